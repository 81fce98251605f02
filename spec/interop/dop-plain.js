// The connectivity protocol in its plain dialect, both roles, written from the protocol text alone.
//
// Owns: status, tokens, the map of sessions, and the timers of the server side (resume window, deadline, probe).
// Never: opens a socket, knows WebSocket frames, or imports anything of the library under test. It speaks to a *wire*, an
// object with send(data, binary), close(code), reset(), ping() and a field `node`, and reports through *hooks*.
'use strict';

const crypto = require('crypto');

const STATUS = { OPEN: 0, PRECONNECTED: 1, CONNECTED: 2, RECONNECTING: 3, DISCONNECTED: 4 };
const NAMES = Object.keys(STATUS);
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

// A half-token as the known JavaScript peer has it: 16 characters of [A-Za-z0-9].
function makeHalf() {
  let half = '';
  while (half.length < 16) half += ALPHABET[crypto.randomInt(ALPHABET.length)];
  return half;
}

// Cut the longer to the length of the shorter, order by bytes, concatenate. Both are printable ASCII when we get here.
function merge(a, b) {
  const length = Math.min(a.length, b.length);
  const x = a.slice(0, length);
  const y = b.slice(0, length);
  return Buffer.compare(Buffer.from(x, 'latin1'), Buffer.from(y, 'latin1')) < 0 ? x + y : y + x;
}

// Two halves that are equal after cutting come from a mirror, or from an attacker: one end must not choose both.
function mirrors(a, b) {
  const length = Math.min(a.length, b.length);
  return a.slice(0, length) === b.slice(0, length);
}

// Why a message cannot be a half-token, or null.
function complaint(data, binary) {
  if (binary) return 'a half is a text message';
  if (data.length < 16) return 'a half has at least 16 bytes';
  if (data.length > 256) return 'a half has at most 256 bytes';
  for (const byte of data) {
    if (byte < 0x21 || byte > 0x7e) return 'a half is printable ASCII without spaces';
  }
  return null;
}

// What both roles share. Hooks (all optional): half(node, text), connect(node, before), reconnect(node),
// first(node, text),
// message(node, data, binary), disconnect(node, why), refuse(node, why, data, binary), lost(node, code), closed(node, code), late(node, data, binary).
class Node {
  constructor(hooks, half) {
    this.hooks = hooks;
    this.status = STATUS.OPEN;
    this.tokenLocal = half;
    this.tokenRemote = null;
    this.token = null;
    this.wire = null;
    this.queue = [];
    this.ended = null;
  }

  tell(hook, ...args) {
    if (this.hooks[hook]) this.hooks[hook](this, ...args);
  }

  attach(wire) {
    this.wire = wire;
    wire.node = this;
  }

  // Data leave at once on a CONNECTED node and wait in order on any other.
  send(data, binary = false) {
    if (!binary && this.token !== null && Buffer.from(data).equals(Buffer.from(this.token))) {
      throw new Error('RESERVED: the token cannot be sent as a text message');
    }
    if (this.status === STATUS.CONNECTED) this.wire.send(data, binary);
    else this.queue.push([data, binary]);
  }

  // CONNECTED: what was queued goes first, whatever the hook may send.
  enter(hook, ...args) {
    this.status = STATUS.CONNECTED;
    for (const [data, binary] of this.queue.splice(0)) this.wire.send(data, binary);
    this.tell(hook, ...args);
  }

  end(why) {
    this.status = STATUS.DISCONNECTED;
    this.ended = why;
    this.tell('disconnect', why);
  }

  // Formal disconnection, asked for here. The end that hears it closes the socket, so that a test sees it do so.
  disconnect() {
    this.wire.send(this.token, false);
    this.end('sent');
  }

  // Any input that the protocol does not foresee before CONNECTED.
  refuse(why, data, binary = false) {
    const wire = this.wire;
    this.tell('refuse', why, Buffer.from(data), binary);
    this.detach();
    if (this.status === STATUS.DISCONNECTED) this.ended = 'refused';
    wire.node = new Deaf(this);
    wire.close(1008);
  }

  hear(data, binary) {
    if (this.status === STATUS.DISCONNECTED) return this.tell('late', data, binary);
    if (this.status !== STATUS.CONNECTED) return this.hearEarly(data, binary);
    if (!binary && data.equals(Buffer.from(this.token))) {
      this.end('heard');
      return this.wire.close(1000);
    }
    return this.tell('message', data, binary);
  }

  // The socket is gone. A session survives it; what never became one does not.
  detach() {
    this.wire = null;
    if (this.status === STATUS.DISCONNECTED) return;
    this.status = this.token === null ? STATUS.DISCONNECTED : STATUS.RECONNECTING;
  }

  closed(code) {
    const over = this.status === STATUS.DISCONNECTED;
    this.detach();
    this.tell(over ? 'closed' : 'lost', code);
  }

  // Lose the socket by reset, keep the session, tell nobody: the caller knows.
  drop() {
    this.wire.reset();
    this.detach();
  }
}

// What listens on a wire that was refused: in flight messages are nobody's any more.
class Deaf {
  constructor(node) {
    this.node = node;
  }
  hear() {}
  detach() {}
  closed(code) {
    this.node.tell('closed', code);
  }
}

class ClientNode extends Node {
  // A node that holds a token from an earlier life of the client.
  static holding(hooks, token) {
    const node = new ClientNode(hooks, token);
    node.token = token;
    node.status = STATUS.RECONNECTING;
    return node;
  }

  // At once on open: the half, or the token exactly once.
  open(wire) {
    this.attach(wire);
    this.tokenRemote = null;
    wire.send(this.token === null ? this.tokenLocal : this.token, false);
  }

  hearEarly(data, binary) {
    const why = complaint(data, binary);
    if (why) return this.refuse(why, data, binary);
    const text = data.toString('latin1');
    if (this.token === null) return this.hearConnecting(text);
    return this.hearResuming(text);
  }

  hearConnecting(text) {
    if (this.tokenRemote === null) {
      if (mirrors(text, this.tokenLocal)) return this.refuse('the half mirrors ours', text);
      this.tokenRemote = text;
      this.status = STATUS.PRECONNECTED;
      this.tell('half', text);
      return this.wire.send(this.tokenLocal, false);
    }
    if (text !== this.tokenRemote) return this.refuse('the second message is not the half again', text);
    this.token = merge(this.tokenLocal, this.tokenRemote);
    return this.enter('connect', null);
  }

  // Our token counts only after another half was heard on this socket: an echo must not complete a reconnection.
  hearResuming(text) {
    if (this.tokenRemote === null) {
      if (mirrors(text, this.token)) return this.refuse('the half mirrors the token', text);
      this.tokenRemote = text;
      this.status = STATUS.PRECONNECTED;
      return this.tell('half', text);
    }
    if (text === this.token) return this.enter('reconnect');
    if (text === this.tokenRemote) return this.startAnew();
    return this.refuse('the second message is neither the token nor the half again', text);
  }

  // The half came twice: the other end does not know the token any more, and has taken it as a half.
  startAnew() {
    const wire = this.wire;
    const next = new ClientNode(this.hooks, this.token);
    next.tokenRemote = this.tokenRemote;
    next.token = merge(next.tokenLocal, next.tokenRemote);
    this.wire = null;
    this.end('unknown');
    next.attach(wire);
    wire.send(next.tokenLocal, false);
    next.enter('connect', this);
  }
}

class ServerNode extends Node {
  constructor(sessions, half) {
    super(sessions.hooks, half);
    this.sessions = sessions;
    this.timer = null;
    this.waiting = false;
    this.challenger = null;
  }

  open(wire) {
    this.attach(wire);
    this.timer = setTimeout(() => this.expire(), this.sessions.deadline);
    wire.send(this.tokenLocal, false);
  }

  // The deadline from accept to CONNECTED.
  expire() {
    const wire = this.wire;
    this.detach();
    wire.node = new Deaf(this);
    wire.close(1013);
  }

  hearEarly(data, binary) {
    const why = complaint(data, binary);
    if (why) return this.refuse(why, data, binary);
    const text = data.toString('latin1');
    if (this.waiting) return this.refuse('the token was presented already', text);
    if (this.tokenRemote === null) return this.hearFirst(text);
    if (text !== this.tokenRemote) return this.refuse('the second message is not the half again', text);
    return this.confirm();
  }

  hearFirst(text) {
    this.tell('first', text);
    if (this.sessions.foreign(text)) return this.refuse('a token of the other dialect', text);
    const holder = this.sessions.find(text);
    if (holder) return this.sessions.present(holder, this);
    if (mirrors(text, this.tokenLocal)) return this.refuse('the half mirrors ours', text);
    this.tokenRemote = text;
    this.status = STATUS.PRECONNECTED;
    return this.wire.send(this.tokenLocal, false);
  }

  confirm() {
    const token = merge(this.tokenLocal, this.tokenRemote);
    if (this.sessions.find(token)) return this.refuse('the token is registered already', this.tokenRemote);
    clearTimeout(this.timer);
    this.token = token;
    this.sessions.map.set(token, this);
    return this.enter('connect', null);
  }

  // This node, RECONNECTING, takes the socket of the newcomer, which is deleted without an event.
  take(newcomer) {
    const wire = newcomer.wire;
    clearTimeout(this.timer);
    clearTimeout(newcomer.timer);
    newcomer.wire = null;
    newcomer.status = STATUS.DISCONNECTED;
    this.attach(wire);
    wire.send(this.token, false);
    this.enter('reconnect');
  }

  detach() {
    super.detach();
    clearTimeout(this.timer);
    if (this.status === STATUS.RECONNECTING) {
      this.timer = setTimeout(() => this.sessions.forget(this), this.sessions.window);
    }
    const challenger = this.challenger;
    this.challenger = null;
    if (!challenger || !challenger.wire) return;
    if (this.status === STATUS.RECONNECTING) this.take(challenger);
    else challenger.expire();
  }

  end(why) {
    clearTimeout(this.timer);
    this.sessions.remove(this);
    super.end(why);
  }
}

// The server's side: sessions by token. Times are milliseconds.
class Sessions {
  constructor(hooks, { window = 60000, deadline = 10000, probe = 2000 } = {}) {
    this.hooks = hooks;
    this.window = window;
    this.deadline = deadline;
    this.probe = probe;
    this.map = new Map();
    // Whether a token is that of a session in another dialect.
    this.foreign = () => false;
  }

  find(token) {
    return this.map.get(token);
  }

  // Removal is by identity: another node may hold the key.
  remove(node) {
    if (this.map.get(node.token) === node) this.map.delete(node.token);
  }

  forget(node) {
    node.end('forgotten');
  }

  accept(wire, half = makeHalf()) {
    const node = new ServerNode(this, half);
    node.open(wire);
    return node;
  }

  present(holder, newcomer) {
    if (holder.status === STATUS.RECONNECTING) return holder.take(newcomer);
    const older = holder.challenger;
    newcomer.waiting = true;
    holder.challenger = newcomer;
    if (older && older.wire) older.expire();
    else this.challenge(holder);
  }

  // The holder's socket looks alive: only the pong with our payload proves it.
  challenge(holder) {
    const wire = holder.wire;
    const settle = (alive) => {
      clearTimeout(timer);
      const newcomer = holder.challenger;
      if (holder.wire !== wire || !newcomer) return;
      if (!alive) {
        wire.node = new Deaf(holder);
        wire.close(1001);
        return holder.detach();
      }
      holder.challenger = null;
      if (newcomer.wire) newcomer.expire();
    };
    const timer = setTimeout(settle, this.probe, false);
    wire.ping().then(() => settle(true));
  }
}

module.exports = { STATUS, NAMES, makeHalf, merge, mirrors, complaint, ClientNode, ServerNode, Sessions };
