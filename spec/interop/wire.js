// One WebSocket of the package `ws` as the protocol sees it: whole messages in order, a close code, a reset.
//
// Owns: the WebSocket and its TCP socket, the gates that hold outgoing messages back, pings under way.
// Never: knows a token. It hands messages to `node`, whichever that is, and anything below messages that is wrong to `run.fail`.
'use strict';

const crypto = require('crypto');
const { describe } = require('./run');

// Debian's own node finds Debian's package by itself; another node on the same machine does not.
function loadWs() {
  try {
    return require('ws');
  } catch (err) {
    if (err.code !== 'MODULE_NOT_FOUND') throw err;
    return require('/usr/share/nodejs/ws');
  }
}

const WebSocket = loadWs();

class Wire {
  // gates: before outgoing message number i leaves, wait until `heard` messages have come and then for `quiet` ms in which
  // none may come. This is latency that a network could have, so a peer by the book cannot mind.
  constructor(run, ws, gates = {}) {
    this.run = run;
    this.ws = ws;
    this.gates = gates;
    this.node = null;
    this.socket = null;
    this.sent = 0;
    this.heard = 0;
    this.outbox = [];
    this.hush = false;
    this.gone = false;
    this.finishing = null;
    this.pings = new Map();
    ws.on('message', (data, binary) => this.hear(data, binary));
    ws.on('close', (code) => this.ended(code));
    ws.on('error', (err) => this.broken(err));
    ws.on('ping', () => run.step('heard a ping, ws answers it'));
    ws.on('pong', (data) => this.ponged(data));
  }

  send(data, binary) {
    this.outbox.push({ data: Buffer.from(data), binary });
    this.pump();
  }

  // A close waits for what was sent before it, like any message.
  close(code) {
    this.outbox.push({ code });
    this.pump();
  }

  pump() {
    while (this.outbox.length && !this.gone && this.passes(this.gates[this.sent])) this.write(this.outbox.shift());
  }

  passes(gate) {
    if (!gate || gate.passed) return true;
    if (this.heard < (gate.heard || 0) || this.hush) return false;
    this.hush = true;
    setTimeout(() => {
      this.hush = false;
      gate.passed = true;
      this.pump();
    }, gate.quiet || 0);
    return false;
  }

  write(item) {
    if (item.code !== undefined) {
      this.run.step(`closes with ${item.code}`);
      return this.ws.close(item.code);
    }
    this.sent += 1;
    this.run.step(`sends ${describe(item.data, item.binary)}`);
    return this.ws.send(item.data, { binary: item.binary });
  }

  hear(data, binary) {
    if (this.gone) return;
    const said = describe(data, binary);
    this.run.step(`heard ${said}`);
    if (this.hush) return this.run.fail(`expected nothing before message ${this.sent + 1} of ours on this socket, came ${said}`);
    if (this.finishing) return this.run.fail(`expected nothing but the answer to our close, came ${said}`);
    this.heard += 1;
    this.node.hear(data, binary);
    this.pump();
  }

  // Resolves when the other end has answered, that is when it has read all that was sent before.
  ping() {
    const payload = crypto.randomBytes(8);
    return new Promise((resolve) => {
      this.pings.set(payload.toString('hex'), resolve);
      this.ws.ping(payload);
    });
  }

  ponged(data) {
    const key = data.toString('hex');
    const resolve = this.pings.get(key);
    if (!resolve) return this.run.fail(`expected a pong only to a ping of ours, came one with payload "${key}"`);
    this.pings.delete(key);
    return resolve();
  }

  // Below messages: an upgrade that was not one, a frame that is none.
  broken(err) {
    if (this.gone) return;
    if (this.refused) return this.refused(err);
    this.run.fail(`expected a sound WebSocket, came: ${err.message}`);
  }

  ended(code) {
    if (this.gone || !this.socket) return;
    this.gone = true;
    this.run.step(`the socket is closed, ${code}`);
    if (!this.finishing) return this.node.closed(code);
    this.node.detach();
    return this.finishing(code);
  }

  // Abruptly, by TCP reset where node can.
  reset() {
    this.run.step('cuts the socket by reset');
    this.gone = true;
    if (this.socket.resetAndDestroy) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  // Politely: resolves with the code of the answer.
  finish(code) {
    return new Promise((resolve) => {
      this.finishing = resolve;
      this.close(code);
    });
  }
}

// A wire that a client opens. `node.open` is called when the upgrade is done; `opened` resolves then. Of `offer` the server has
// to select `select`, the first unless another is named.
function dial(run, url, node, { offer = [], select = offer[0] || '', gates, refused } = {}) {
  const ws = new WebSocket(url, offer);
  const wire = new Wire(run, ws, gates);
  wire.refused = refused;
  wire.node = node;
  ws.on('upgrade', (response) => {
    wire.socket = response.socket;
  });
  wire.opened = new Promise((resolve) => {
    ws.on('open', () => {
      wire.refused = null;
      run.step(`the socket is open, subprotocol "${ws.protocol}"`);
      if (select !== null && ws.protocol !== select) run.fail(`expected the subprotocol "${select}", came "${ws.protocol}"`);
      node.open(wire);
      resolve(wire);
    });
  });
  return wire;
}

// An end without a protocol: a scene of refusals reads and writes by itself. `first` is sent on open when given.
class RawEnd {
  constructor(run, first) {
    this.run = run;
    this.first = first;
  }
  open(wire) {
    wire.node = this;
    this.wire = wire;
    if (this.first !== undefined) wire.send(this.first, false);
  }
  hear(data, binary) {
    this.run.push('message', describe(data, binary), { data, binary });
  }
  detach() {}
  closed(code) {
    this.run.push('closed', `the close of the socket with ${code}`, { code });
  }
}

module.exports = { WebSocket, Wire, RawEnd, dial };
