// The scenes of the server role, against a client under test that sends data of its own choosing; the server echoes them.
//
// Owns: the listening socket, the cuts, and what each scene demands. Never: decides what the protocol says; that is dop-plain.js.
'use strict';

const http = require('http');

const { Sessions, complaint, makeHalf } = require('./dop-plain');
const { describe } = require('./run');
const { RawEnd, WebSocket, Wire } = require('./wire');
const refusals = require('./refusals');

const PATH = '/dop';
const OFFERS = ['', 'dop', 'dop, dop.r1'];

// A WebSocket server as `ws` makes it by default: it echoes the first subprotocol that is offered, unless `select(offers)` says
// which, or false for none. `open(wire, offer, query)` has
// the wire; `admit(socket)` says whether an upgrade is answered at all.
function listen(run, port, { open, admit, broken, select = null }) {
  const acceptor = new WebSocket.Server({ noServer: true, handleProtocols: select });
  const server = http.createServer((request, response) => {
    broken(`a request for ${request.url} without an upgrade`);
    response.writeHead(426).end();
  });
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {});
    const offer = (request.headers['sec-websocket-protocol'] || '').split(',').map((part) => part.trim()).join(', ');
    run.step(`an upgrade comes, offer "${offer}"`);
    if (request.url.split('?')[0] !== PATH) broken(`an upgrade for ${request.url}`);
    const gates = admit(socket);
    if (!gates) return socket.destroy();
    return acceptor.handleUpgrade(request, socket, head, (ws) => {
      const wire = new Wire(run, ws, gates);
      wire.socket = socket;
      open(wire, offer, request.url.slice(PATH.length));
    });
  });
  acceptor.on('wsClientError', (err, socket) => {
    broken(`one that is malformed: ${err.message}`);
    socket.destroy();
  });
  server.on('error', (err) => run.fail(`expected to listen on 127.0.0.1:${port}, came: ${err.message}`));
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => {
      process.stdout.write(`listening ws://127.0.0.1:${server.address().port}${PATH}\n`);
      resolve(server);
    });
  });
}

class Host {
  constructor(run, count) {
    this.run = run;
    this.count = count;
    this.welcomes = [];
    this.away = false;
    this.node = null;
    this.wire = null;
    this.echoed = 0;
    this.known = new Set();
    this.firstOffer = null;
    this.sessions = new Sessions(this.makeHooks());
  }

  async listen(port) {
    this.run.waitingFor = 'to listen';
    this.server = await listen(this.run, port, {
      open: (wire, offer) => this.open(wire, offer),
      admit: (socket) => this.admit(socket),
      broken: (what) => this.run.fail(`expected an upgrade for ${PATH}, came ${what}`),
    });
  }

  makeHooks() {
    const { run } = this;
    return {
      first: (node, text) => this.first(text),
      connect: (node) => run.push('connect', 'a new session', { node }),
      reconnect: (node) => run.push('reconnect', 'the token of the session', { node }),
      message: (node, data, binary) => this.echo(node, data, binary),
      disconnect: (node, why) => run.push('disconnect', this.farewell(why), { why }),
      refuse: (node, why, data, binary) => run.fail(`expected a step of the protocol, came ${describe(data, binary)}: ${why}`),
      lost: (node, code) => run.push('lost', `the close of the socket with ${code}`, { code }),
      closed: (node, code) => run.push('closed', `the close of the socket with ${code}`, { code }),
      late: (node, data, binary) => this.late(node, data, binary),
    };
  }

  farewell(why) {
    if (why === 'forgotten') return 'the end of the resume window';
    return why === 'heard' ? 'the token as a text message: a formal disconnection' : 'the disconnection that we asked for';
  }

  // What a socket to come is to be: a new session (`token` absent) or a token presented. One welcome admits one socket.
  welcome({ token = null, gates = {}, half, raw = null } = {}) {
    this.welcomes.push({ token, gates, half, raw });
  }

  admit(socket) {
    if (this.away) {
      this.run.step('resets the upgrade: the server is away');
      if (socket.resetAndDestroy) socket.resetAndDestroy();
      return null;
    }
    if (this.welcomes.length) return this.welcomes[0].gates;
    this.run.fail('expected no further socket, came an upgrade');
    return null;
  }

  open(wire, offer) {
    const { raw, half, token } = this.welcomes.shift();
    this.expected = token;
    this.checkOffer(offer);
    this.wire = wire;
    this.echoed = 0;
    if (raw) raw.open(wire);
    else this.known.add(this.sessions.accept(wire, half).tokenLocal);
  }

  // A session keeps its dialect: with a token that was made on a plain socket only plain DOP may be offered.
  checkOffer(offer) {
    const allowed = this.expected === null ? OFFERS : [this.firstOffer === '' ? '' : 'dop'];
    if (this.expected === null) this.firstOffer = offer;
    if (!allowed.includes(offer)) this.run.fail(`expected the subprotocols "${allowed.join('" or "')}" offered, came "${offer}"`);
  }

  first(text) {
    if (this.expected !== null && text !== this.expected) {
      this.run.fail(`expected the token "${this.expected}", came "${text}"`);
    }
    if (this.expected === null && this.known.has(text)) this.run.fail(`expected a fresh half, came "${text}" again`);
    this.known.add(text);
  }

  // A half or a token in a text is an instruction sent once too often, which a CONNECTED node can only take for data.
  echo(node, data, binary) {
    if (!binary && this.known.has(data.toString('latin1'))) {
      this.run.push('instruction', `as data, once too often, ${describe(data, binary)}`);
    }
    this.echoed += 1;
    node.send(data, binary);
  }

  // Data that crossed our disconnection are nobody's; the token would be an answer, and there is none.
  late(node, data, binary) {
    const token = !binary && data.equals(Buffer.from(node.token));
    if (node.ended === 'heard' || token) this.run.push('late', `after the disconnection ${describe(data, binary)}`);
  }

  async connected() {
    this.node = (await this.run.take('connect', 'the half of the client twice')).node;
    this.known.add(this.node.token);
  }

  // So many data messages have been echoed on this socket, and the client has read the echoes.
  async exchange() {
    await this.run.until(() => this.arrived(this.echoed >= this.count), `${this.count} data messages from the client`);
    this.run.waitingFor = 'the pong to our ping';
    await this.wire.ping();
    this.run.nothingMore('nothing but data');
  }

  // Data are waited for by counting, so that whatever else comes meanwhile must be looked at here.
  arrived(enough) {
    this.run.nothingMore('nothing but data');
    return enough;
  }

  async back(what = 'the client to present its token') {
    const { node } = await this.run.take('reconnect', what);
    this.run.check(node === this.node, 'expected the same session back, came another');
    await this.exchange();
  }

  // Forgotten at once: the client does not know that yet.
  async forget() {
    this.sessions.forget(this.node);
    await this.run.take('disconnect', 'our own forgetting');
  }

  async expectClose(codes, what) {
    const { code } = await this.run.take('closed', what);
    this.run.check(codes.includes(code), `expected ${what}, came a close with ${code}`);
  }

  // The client is told to go away for good, and does.
  async expectGone() {
    await this.expectClose([1000, 1005], 'the close with 1000 of a disconnected client');
    await this.run.quiet(1000, 'no socket of a disconnected client');
  }

  async leave() {
    await this.run.quiet(200, 'nothing but data at the end of the scene');
  }

  async expectFirst(what) {
    const { data, binary, said } = await this.run.take('message', what);
    const why = complaint(data, binary);
    this.run.check(!why, `expected ${what}, came ${said}: ${why}`);
    const text = data.toString('latin1');
    this.first(text);
    return text;
  }

  async expectHalf(half, what) {
    const { data, binary, said } = await this.run.take('message', what);
    this.run.check(!binary && data.toString('latin1') === half, `expected ${what}, came ${said}`);
  }
}

// Our half leaves only after the client's first message: a client by the book speaks at once on open.
const slowFirst = () => ({ 0: { heard: 1, quiet: 100 } });
// Our second message is held: the client has no cause to say anything before it. Not for a new session, where its half comes twice.
const slowSecond = () => ({ 1: { quiet: 200 } });

const scenes = {
  async connection(host) {
    host.welcome({ gates: slowFirst() });
    await host.connected();
    await host.exchange();
    await host.leave();
  },

  async 'odd-halves'(host) {
    const printable = Array.from({ length: 94 }, (unused, i) => String.fromCharCode(0x21 + i)).join('');
    host.welcome({ half: (printable + makeHalf()).repeat(3).slice(0, 256) });
    await host.connected();
    await host.exchange();
    host.welcome({ token: host.node.token });
    host.node.drop();
    await host.back();
    await host.leave();
  },

  async reconnection(host) {
    host.welcome();
    await host.connected();
    await host.exchange();
    for (const gates of [slowSecond(), slowFirst(), {}]) {
      host.welcome({ token: host.node.token, gates });
      host.node.drop();
      await host.back();
    }
    host.welcome({ token: host.node.token });
    const code = await host.wire.finish(1000);
    host.run.check(code === 1000 || code === 1005, `expected the close to be answered with 1000, came ${code}`);
    await host.back();
    await host.leave();
  },

  // The socket is lost again before the token went back: once after our half, once before it.
  async 'reconnection-interrupted'(host) {
    host.welcome();
    await host.connected();
    await host.exchange();
    const { token } = host.node;
    const [mute, half] = [new RawEnd(host.run), new RawEnd(host.run, makeHalf())];
    for (const raw of [mute, half, null]) host.welcome({ token, raw });
    host.node.drop();
    await host.expectHalf(token, 'the client to present its token');
    mute.wire.reset();
    await host.expectHalf(token, 'the client to present its token again');
    await half.wire.ping();
    host.run.nothingMore('nothing before the token goes back');
    half.wire.reset();
    await host.back();
    await host.leave();
  },

  async 'reconnection-becomes-connection'(host) {
    host.welcome();
    await host.connected();
    await host.exchange();
    host.welcome({ token: host.node.token, gates: slowSecond() });
    host.node.drop();
    await host.forget();
    await host.connected();
    await host.exchange();
    host.welcome({ token: host.node.token });
    host.node.drop();
    await host.back();
    await host.leave();
  },

  // The network is away for longer than the window, each upgrade being reset; then the session is unknown.
  async forgetting(host) {
    host.sessions.window = 400;
    host.welcome();
    await host.connected();
    await host.exchange();
    host.away = true;
    host.node.drop();
    await host.run.take('disconnect', 'the end of the resume window');
    host.welcome({ token: host.node.token, gates: slowSecond() });
    host.away = false;
    await host.connected();
    await host.exchange();
    await host.leave();
  },

  async disconnection(host) {
    host.welcome();
    await host.connected();
    await host.exchange();
    host.node.send('please disconnect');
    const { why, said } = await host.run.take('disconnect', 'the token as a text message');
    host.run.check(why === 'heard', `expected the token as a text message, came ${said}`);
    await host.expectGone();
  },

  async 'disconnection-by-server'(host) {
    host.welcome();
    await host.connected();
    await host.exchange();
    host.node.disconnect();
    await host.run.take('disconnect', 'our own disconnection');
    await host.expectGone();
  },

  // The client's own token, or a part of it, is no half: an echo must not complete a reconnection.
  'mirrored-token': refusedAnswers((token) => [[token], [token.slice(0, 16)], [`${token}x`]]),

  // What is no half at all says nothing about the session.
  'garbage-answer': refusedAnswers(() => [[''], ['hello'], [makeHalf().slice(1)], [`${makeHalf()}\n`]]),

  // After the half only the token, or the half again, may come.
  'wrong-answer': refusedAnswers((token) => [[makeHalf(), makeHalf()], [makeHalf(), token.slice(0, -1)], [makeHalf(), 'hello']]),
};

// A token presented is answered wrongly: closed with 1008, and the session is kept, for the client comes back with its token.
function refusedAnswers(answers) {
  return async (host) => {
    host.welcome();
    await host.connected();
    await host.exchange();
    const { token } = host.node;
    const trials = answers(token).map((texts) => ({ texts, raw: new RawEnd(host.run) }));
    for (const { raw } of trials) host.welcome({ token, raw });
    host.welcome({ token });
    host.node.drop();
    for (const { texts, raw } of trials) {
      await host.expectHalf(token, 'the client to present its token');
      for (const text of texts) raw.wire.send(text, false);
      await host.expectClose([1008], `the close with 1008 for ${JSON.stringify(texts)}`);
    }
    await host.back();
    await host.leave();
  };
}

// One offence a socket; the client says its half once (twice where a sound half went first), closes with 1008, and dials again.
function refusal(cases) {
  return async (host) => {
    const trials = cases.map((one) => {
      const ours = makeHalf();
      return { one, ours, raw: new RawEnd(host.run, one.second ? ours : undefined) };
    });
    for (const { raw } of trials) host.welcome({ raw });
    host.welcome();
    for (const { one, ours, raw } of trials) {
      host.run.step(`case: ${one.why}`);
      const half = await host.expectFirst('the half of the client, at once on open');
      if (one.second) await host.expectHalf(half, 'the half of the client again');
      raw.wire.send(one.bytes(half, ours), Boolean(one.binary));
      await host.expectClose([1008], `the close with 1008 for ${one.why}`);
    }
    await host.connected();
    await host.exchange();
    await host.leave();
  };
}

for (const [name, cases] of Object.entries(refusals)) scenes[name] = refusal(cases);

module.exports = { Host, listen, scenes };
