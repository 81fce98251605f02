// A peer on the package `ws`, see README.md. PEER_WS: the folder of the package.
'use strict';

const fs = require('fs');
const http = require('http');
const https = require('https');
const { Sessions, ClientNode, makeHalf } = require('../interop/dop-plain');

const WebSocket = require(process.env.PEER_WS);
const [, , role, url] = process.argv;
const secure = Boolean(process.env.PEER_CERT);
const perMessageDeflate = process.env.PEER_DEFLATE ? { threshold: 0 } : false;

function say(line) {
  process.stdout.write(`${line}\n`);
}

function sample(size, binary) {
  if (binary) return Buffer.from(Array.from({ length: size }, (_, i) => i % 256));
  const unit = 'äb€𐍈c';
  const times = Math.floor(size / Buffer.byteLength(unit));
  return Buffer.from(unit.repeat(times) + '.'.repeat(size - times * Buffer.byteLength(unit)));
}

// One WebSocket as dop-plain.js wants it.
class Wire {
  constructor(ws) {
    this.ws = ws;
    this.node = null;
    ws.on('message', (data, binary) => this.node.hear(data, binary));
    ws.on('ping', () => say('pinged'));
    ws.on('pong', (data) => this.node.send(`ponged ${data}`));
    ws.on('error', (err) => say(`error ${err.message}`));
    ws.on('close', (code) => this.closed(code));
  }
  send(data, binary) { this.ws.send(Buffer.from(data), { binary }); }
  close(code, reason) { this.ws.close(code, reason); }
  reset() { this.ws.terminate(); }
  closed(code) {
    say(`closed ${code}`);
    if (this.node) this.node.closed(code);
    else if (role === 'client') setTimeout(dial, 20);
  }
}

function fragments(ws, data, binary, pieces) {
  const step = Math.max(1, Math.ceil(data.length / pieces));
  for (let i = 0; i < pieces; i += 1) {
    ws.send(data.subarray(i * step, (i + 1) * step), { binary, fin: i === pieces - 1 });
  }
}

function message(node, data, binary) {
  const words = binary ? [] : data.toString().split(' ');
  if (words[0] !== 'please') return node.send(data, binary);
  const { wire } = node;
  switch (words[1]) {
    case 'send': return fragments(wire.ws, sample(Number(words[2]), words[3] === 'binary'), words[3] === 'binary', Number(words[4]));
    case 'ping': return wire.ws.ping(words[2]);
    case 'close': return wire.close(Number(words[2]), words[3]);
    case 'cut': return wire.reset();
    default: return say(`error what is ${words[1]}`);
  }
}

let current = null; // the client's node

const hooks = {
  message,
  connect: (node) => { current = node; say('connected'); },
  reconnect: () => say('reconnected'),
  disconnect: (node, why) => say(`disconnected ${why}`),
  refuse: (node, why) => say(`error ${why}`),
  lost: () => { if (role === 'client') setTimeout(dial, 20); },
};

function dial() {
  const ws = new WebSocket(url, { perMessageDeflate, ca: secure ? fs.readFileSync(process.env.PEER_CA) : undefined });
  const wire = new Wire(ws);
  ws.on('open', () => {
    const node = current && current.token !== null ? current : new ClientNode(hooks, makeHalf());
    node.open(wire);
  });
}

function listen() {
  const sessions = new Sessions(hooks);
  const server = secure
    ? https.createServer({ cert: fs.readFileSync(process.env.PEER_CERT), key: fs.readFileSync(process.env.PEER_KEY) })
    : http.createServer();
  const wss = new WebSocket.Server({
    server, perMessageDeflate, handleProtocols: (offers) => (Array.from(offers).includes('dop') ? 'dop' : false),
  });
  wss.on('connection', (ws) => sessions.accept(new Wire(ws)));
  server.listen(0, '127.0.0.1', () => say(`listening ${server.address().port}`));
}

if (role === 'client') dial();
else listen();
