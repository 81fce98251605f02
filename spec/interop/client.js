// The scenes of the client role, against a server under test that echoes every data message and sends nothing else.
//
// Owns: what each scene demands. Never: decides what the protocol says; that is dop-plain.js.
'use strict';

const { ClientNode, complaint, makeHalf, merge } = require('./dop-plain');
const { describe, firstDifference } = require('./run');
const { RawEnd, dial } = require('./wire');
const refusals = require('./refusals');

const LONG = 70000;
const MARGIN = 1000;

const fill = (length, unit) => unit.repeat(Math.ceil(length / unit.length)).slice(0, length);
const counting = (length) => Buffer.from(Array.from({ length }, (unused, i) => (i * 7 + (i >> 8)) & 0xff));

// Twenty texts: every length that changes the frame, and every text that is almost an instruction.
function texts(node) {
  return [
    '', 'hello', '\u00e9', '\u65e5\u672c\u8a9e', '\u{1f642}', 'e\u0301', '\0', 'a\0b', '\ufeffmark',
    '\x10a5', '\x10d3', '{"json":[1,2,3]}', `${node.token}x`, node.token.slice(0, -1), ` ${node.token}`,
    node.tokenLocal, fill(125, 'x'), fill(126, 'x'), fill(65536, 'line\n'),
    fill(LONG - 3, 'a') + '\u20ac',
  ].map((text) => [Buffer.from(text), false]);
}

// Twenty binary messages. The token in a binary message is data.
function binaries(node) {
  return [
    Buffer.alloc(0), Buffer.from([0]), Buffer.from([0xff]), Buffer.from([0xc0, 0x80]), Buffer.from('\x10a5'),
    Buffer.from(node.token), Buffer.from(node.tokenRemote), Buffer.from(node.tokenLocal), Buffer.from('hello'),
    ...[16, 32, 125, 126, 127, 128, 256, 1025, 65535, 65536, LONG].map(counting),
  ].map((data) => [data, true]);
}

function few(node) {
  return [
    [Buffer.from(`text \u2713 ${makeHalf()}`), false],
    [Buffer.alloc(0), false],
    [counting(300), true],
    [Buffer.from(node.token), true],
  ];
}

class Client {
  constructor(run, url, offer) {
    this.run = run;
    this.url = url;
    this.offer = offer;
    this.halves = new Set();
    this.hooks = this.makeHooks();
    this.node = null;
    this.wire = null;
  }

  makeHooks() {
    const { run } = this;
    return {
      half: (node, text) => {
        if (this.halves.has(text)) run.fail(`expected a fresh half on each socket, came "${text}" again`);
        this.halves.add(text);
      },
      connect: (node) => run.push('connect', 'a new session', { node }),
      reconnect: (node) => run.push('reconnect', 'the token back', { node }),
      message: (node, data, binary) => run.push('message', describe(data, binary), { data, binary }),
      disconnect: (node, why) => run.push('disconnect', this.farewell(why), { why }),
      refuse: (node, why, data, binary) => run.fail(`expected a step of the protocol, came ${describe(data, binary)}: ${why}`),
      lost: (node, code) => run.push('lost', `the close of the socket with ${code}`, { code }),
      closed: (node, code) => run.push('closed', `the close of the socket with ${code}`, { code }),
      late: (node, data, binary) => run.push('late', `after the disconnection ${describe(data, binary)}`),
    };
  }

  farewell(why) {
    if (why === 'unknown') return 'the half for the second time: the token is unknown';
    return why === 'heard' ? 'the token as a text message: a formal disconnection' : 'the disconnection that we asked for';
  }

  async dial(node, gates) {
    this.run.waitingFor = 'the socket to open';
    this.wire = dial(this.run, this.url, node, { offer: this.offer, gates });
    await this.wire.opened;
  }

  async connect({ gates, half = makeHalf() } = {}) {
    const node = new ClientNode(this.hooks, half);
    await this.dial(node, gates);
    this.node = (await this.run.take('connect', 'the half of the server twice')).node;
  }

  // The same session on a new socket: the node presents its token by itself.
  async reconnect(gates) {
    await this.dial(this.node, gates);
    const { node } = await this.run.take('reconnect', 'another half, then the token');
    this.run.check(node === this.node, 'expected the same node back, came another');
  }

  // A token that the server does not know, presented; ends CONNECTED in a new session.
  async presentUnknown(node, gates) {
    const token = node.token;
    await this.dial(node, gates);
    const gone = await this.run.take('disconnect', 'the half of the server twice, for a token it cannot know');
    this.run.check(gone.why === 'unknown', `expected the old session to be unknown, came ${gone.said}`);
    this.node = (await this.run.take('connect', 'a new session in place of the unknown one')).node;
    const wanted = merge(token, this.node.tokenRemote);
    this.run.check(this.node.token === wanted, `expected the token "${wanted}", came "${this.node.token}"`);
  }

  async exchange(messages = few(this.node)) {
    for (const [data, binary] of messages) this.node.send(data, binary);
    for (const [data, binary] of messages) {
      const what = `the echo of ${describe(data, binary)}`;
      const echo = await this.run.take('message', what);
      const same = echo.binary === binary && echo.data.equals(data);
      const where = echo.binary === binary ? `, different from byte ${firstDifference(data, echo.data)} on` : '';
      this.run.check(same, `expected ${what}, came ${echo.said}${where}`);
    }
    await this.barrier('nothing after the last echo');
  }

  // All that the server sent before it read our ping has come.
  async barrier(what) {
    this.run.waitingFor = 'the pong to our ping';
    await this.wire.ping();
    this.run.nothingMore(what);
  }

  cut() {
    this.node.drop();
  }

  // A polite close is no disconnection either. The answer has our code, or none.
  async finish() {
    this.run.waitingFor = 'the answer to our close';
    const code = await this.wire.finish(1000);
    this.run.check(code === 1000 || code === 1005, `expected the close to be answered with 1000, came ${code}`);
  }

  // The end of a scene: nothing was still to come, and the socket goes away without a word.
  async leave() {
    await this.run.quiet(150, 'nothing more at the end of the scene');
    this.cut();
  }

  async expectClose(codes, what) {
    const { code } = await this.run.take('closed', what);
    this.run.check(codes.includes(code), `expected ${what}, came a close with ${code}`);
  }

  // A socket without a protocol, whose first message was the server's half.
  async raw() {
    const end = new RawEnd(this.run);
    this.wire = dial(this.run, this.url, end, { offer: this.offer });
    this.run.waitingFor = 'the socket to open';
    await this.wire.opened;
    const { data, binary, said } = await this.run.take('message', 'the half of the server, unasked');
    const why = complaint(data, binary);
    this.run.check(!why, `expected the half of the server, came ${said}: ${why}`);
    const half = data.toString('latin1');
    this.hooks.half(null, half);
    return { end, half };
  }

  // On three sockets, so in any order: the older newcomer is closed with 1013, the newer one gets the token, and the
  // holder's socket, which may learn of that only when it reads again (`wake`), is lost in whichever way.
  async expectTakeover(token, wake) {
    const what = 'the token on the newer socket, the close with 1013 on the older one, and the close of the holder\'s';
    const seen = { sent: false, older: false, holder: false };
    while (!(seen.sent && seen.older && seen.holder)) {
      if (seen.sent && seen.older) wake();
      const { type, code, data, binary, said } = await this.run.take(['closed', 'message'], what);
      const which = type === 'message' ? 'sent' : (code === 1013 && 'older') || 'holder';
      const right = !seen[which] && (type === 'closed' || (!binary && data.toString('latin1') === token));
      this.run.check(right, `expected ${what}, came ${said}`);
      seen[which] = true;
    }
  }

  async expectHalf(half, what) {
    const { data, binary, said } = await this.run.take('message', what);
    this.run.check(!binary && data.toString('latin1') === half, `expected ${what}, came ${said}`);
  }
}

const seconds = (arg, missing) => 1000 * (arg === undefined ? missing : Number(arg));

// Latency that a network could have: our first message leaves only after the server's half was heard, and while it is held
// the server has no cause to say anything else.
const patient = () => ({ 0: { heard: 1, quiet: 100 } });
// Our second message is held: the server has no cause to say anything before it.
const slowSecond = () => ({ 1: { quiet: 250 } });

const scenes = {
  async connection(client) {
    await client.connect();
    const all = texts(client.node).flatMap((text, i) => [text, binaries(client.node)[i]]);
    await client.exchange(all);
    for (const one of few(client.node)) await client.exchange([one]);
    await client.leave();
    await client.connect({ gates: patient() });
    await client.exchange();
    await client.leave();
  },

  // A half of 256 bytes, and halves that order before and after any other by bytes.
  async 'odd-halves'(client) {
    const printable = Array.from({ length: 94 }, (unused, i) => String.fromCharCode(0x21 + i)).join('');
    for (const half of [fill(256, makeHalf()), printable, fill(16, '!'), fill(16, '~')]) {
      await client.connect({ half });
      await client.exchange();
      client.cut();
      await client.reconnect();
      await client.exchange();
      client.cut();
    }
  },

  async reconnection(client) {
    await client.connect();
    await client.exchange();
    for (const gates of [{}, patient(), {}]) {
      client.cut();
      await client.reconnect(gates);
      await client.exchange();
    }
    await client.finish();
    await client.reconnect();
    await client.exchange();
    await client.leave();
  },

  // The socket is lost again before the token came back: once just after ours was sent, once before it was.
  async 'reconnection-interrupted'(client) {
    await client.connect();
    await client.exchange();
    client.cut();
    await client.dial(client.node);
    client.cut();
    await client.dial(client.node, { 0: { heard: Infinity } });
    await client.run.until(() => client.wire.heard === 1, 'the half of the server');
    client.cut();
    await client.reconnect();
    await client.exchange();
    await client.leave();
  },

  async 'reconnection-becomes-connection'(client, arg) {
    await client.connect();
    await client.exchange();
    client.cut();
    await client.run.quiet(seconds(arg, 1) + MARGIN, 'nothing while the server forgets');
    await client.presentUnknown(client.node);
    await client.exchange();
    client.cut();
    await client.reconnect();
    await client.exchange();
    await client.leave();
  },

  // Within the window the session is there; after it, it is not, and the server says its half twice but never the token.
  async forgetting(client, arg) {
    const window = seconds(arg, 1);
    await client.connect();
    await client.exchange();
    client.cut();
    await client.run.quiet(window / 4, 'nothing while no socket is open');
    await client.reconnect();
    await client.exchange();
    client.cut();
    await client.run.quiet(window + MARGIN, 'nothing while the server forgets');
    await client.presentUnknown(client.node, slowSecond());
    await client.exchange();
    await client.leave();
  },

  async disconnection(client) {
    await client.connect();
    await client.exchange();
    const { token } = client.node;
    client.node.disconnect();
    await client.run.take('disconnect', 'our own disconnection');
    await client.expectClose([1000, 1005], 'the server to close with 1000 after it heard the token');
    await client.presentUnknown(ClientNode.holding(client.hooks, token), slowSecond());
    await client.exchange();
    await client.leave();
  },

  async 'disconnection-by-server'(client) {
    await client.connect();
    await client.exchange();
    const { token } = client.node;
    client.node.send('please disconnect');
    const gone = await client.run.take('disconnect', 'the token as a text message');
    client.run.check(gone.why === 'heard', `expected the token as a text message, came ${gone.said}`);
    await client.expectClose([1000, 1005], 'the close with 1000 after the token');
    await client.presentUnknown(ClientNode.holding(client.hooks, token));
    await client.exchange();
    await client.leave();
  },

  // The token of a session whose socket is well is refused with 1013 and disturbs nobody.
  async 'live-token'(client) {
    await client.connect();
    await client.exchange();
    const holder = client.wire;
    for (const which of ['first', 'second']) {
      const { end } = await client.raw();
      end.wire.send(client.node.token, false);
      await client.expectClose([1013], `the close with 1013 of the ${which} newcomer, the holder being alive`);
    }
    client.wire = holder;
    await client.exchange();
    await client.leave();
  },

  // A holder that does not answer the probe is replaced, by the newest of the newcomers.
  async 'dead-holder'(client) {
    await client.connect();
    await client.exchange();
    const holder = client.wire;
    holder.ws.pause();
    holder.node = new RawEnd(client.run);
    const { token } = client.node;
    const older = await client.raw();
    older.end.wire.send(token, false);
    await older.end.wire.ping();
    const newer = await client.raw();
    newer.end.wire.send(token, false);
    await client.expectTakeover(token, () => holder.ws.resume());
    client.wire = newer.end.wire;
    newer.end.wire.node = client.node;
    client.node.wire = newer.end.wire;
    await client.exchange();
    await client.leave();
  },

  // The holder disconnects formally while a newcomer waits for the probe: the session is over for both, and unknown.
  async 'leaving-holder'(client) {
    await client.connect();
    await client.exchange();
    const { node, wire } = client;
    wire.ws.pause();
    const { end } = await client.raw();
    end.wire.send(node.token, false);
    await end.wire.ping();
    node.disconnect();
    await client.run.take('disconnect', 'our own disconnection');
    await client.expectClose([1013], 'the close with 1013, the session being over');
    wire.ws.resume();
    await client.expectClose([1000, 1005], 'the server to close with 1000 after it heard the token');
    await client.presentUnknown(ClientNode.holding(client.hooks, node.token));
    await client.exchange();
    await client.leave();
  },

  // Who says nothing is sent away with 1013 when the deadline passes, and not much before it.
  async deadline(client, arg) {
    const deadline = seconds(arg, 1);
    await client.raw();
    await client.run.quiet(deadline * 0.75, 'nothing before the deadline');
    await client.expectClose([1013], 'the close with 1013 at the deadline');
  },
};

// One offence a socket; the server says its half once (twice where a sound half went first), closes with 1008, and is well.
function refusal(cases) {
  return async (client) => {
    for (const one of cases) {
      client.run.step(`case: ${one.why}`);
      const { end, half } = await client.raw();
      const ours = makeHalf();
      if (one.second) {
        end.wire.send(ours, false);
        await client.expectHalf(half, 'the half of the server again');
      }
      end.wire.send(one.bytes(half, ours), Boolean(one.binary));
      await client.expectClose([1008], `the close with 1008 for ${one.why}`);
    }
    await client.connect();
    await client.exchange();
    await client.leave();
  };
}

for (const [name, cases] of Object.entries(refusals)) scenes[name] = refusal(cases);

module.exports = { Client, scenes };
