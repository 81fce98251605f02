// The r1 scenes of the server role, against a client under test as r1.lua is one.
//
// Owns: the listening socket, and what each scene demands. Never: decides what the protocol says; that is dop-r1.js.
'use strict';

const { R1Sessions } = require('./dop-r1');
const { Sessions, complaint, makeHalf } = require('./dop-plain');
const { RawEnd } = require('./wire');
const { listen } = require('./server');
const { scenes: shared } = require('./r1-scenes');
const { Talk, text, three } = require('./r1-talk');

const BOTH = 'dop, dop.r1';

class Host extends Talk {
  constructor(run, options = {}) {
    super(run);
    this.select = 'dop.r1';
    this.gates = {};
    this.raws = [];
    this.halves = new Set();
    // A sentence when no attempt to resume may come now.
    this.noAttempt = null;
    this.hooks.first = (none, half) => this.fresh(half);
    this.hooks.attempt = (none, asked) => this.attempted(asked);
    this.plain = new Sessions({
      connect: (node) => run.push('connect', 'a plain session', { session: node }),
      reconnect: (node) => run.push('reconnect', 'the plain session back', { session: node }),
      message: (node, data, binary) => this.message(data, binary),
      refuse: (node, why) => run.fail(`expected a step of the protocol, came ${why}`),
    });
    this.sessions = new R1Sessions(this.hooks, options, this.plain);
    this.attempts = 0;
  }

  async listen(port) {
    this.run.waitingFor = 'to listen';
    this.server = await listen(this.run, port, {
      open: (wire, offer) => this.open(wire, offer),
      admit: () => this.gates,
      broken: (what) => this.run.fail(`expected an upgrade, came ${what}`),
      select: (offers) => offers.has(this.select) && this.select,
    });
  }

  open(wire, offer) {
    this.offer = offer;
    this.gates = {};
    this.dress(wire);
    if (this.raws.length) return this.raws.shift().open(wire);
    if (wire.ws.protocol === 'dop.r1') return this.sessions.accept(wire, this.half);
    return this.plain.accept(wire);
  }

  fresh(half) {
    this.run.check(!this.halves.has(half), `expected a fresh half, came "${half}" again`);
    this.halves.add(half);
  }

  attempted({ n, h }) {
    this.attempts += 1;
    this.asked = { n, h };
    if (this.noAttempt) this.run.fail(`expected ${this.noAttempt}, came attempt ${n}`);
  }

  limit(limits) {
    this.sessions.options.limits = limits;
  }

  async connect() {
    this.session = (await this.run.take('connect', 'the half of the client twice')).session;
    this.run.check(this.offer === BOTH, `expected the subprotocols "${BOTH}" offered, came "${this.offer}"`);
    this.noAttempt = null;
  }

  anew() {
    return this.connect();
  }

  cut() {
    this.session.drop();
  }

  again() {}

  async back() {
    const { session } = await this.run.take('reconnect', 'the client to resume the session');
    this.run.check(session === this.session, 'expected the same session back, came another');
    this.run.check(this.offer === BOTH, `expected the subprotocols "${BOTH}" offered, came "${this.offer}"`);
  }

  // The client knows as well that it is over: it begins anew.
  isOver() {
    this.noAttempt = 'a fresh half after the end of the session';
  }

  async another() {
    return async () => {};
  }

  // The next socket is read and written by the scene.
  raw(first) {
    const end = new RawEnd(this.run, first);
    this.raws.push(end);
    return end;
  }

  async expectAttempt(n, h = this.session.told) {
    const { data, said } = await this.run.take('message', `attempt ${n} at ${h} or more`);
    const [token, letter, number, came] = data.toString().split(' ');
    const right = token === this.session.token && letter === 'r' && Number(number) === n && Number(came) >= h;
    this.run.check(right, `expected attempt ${n} at ${h} or more, came ${said}`);
  }

  // A fresh half on the next socket, which is then lost.
  async expectFresh(end, what) {
    const { data, binary, said } = await this.run.take('message', what);
    const why = complaint(data, binary);
    this.run.check(!why, `expected ${what}, came ${said}: ${why}`);
    this.fresh(data.toString());
    end.wire.reset();
  }
}

// Answers to an attempt that cannot be; the client closes with 4400, and its session is over. `n` is the client's attempt.
const answers = {
  'resumed by another attempt': (n, h) => [`\x10r${n + 1} ${h}`],
  'resumed at more than was ever said': (n, h) => [`\x10r${n} ${h + 1000}`],
  'resumed at less than was acknowledged': (n) => [`\x10r${n} 0`],
  'resumed without a number': (n) => [`\x10r${n}`],
  'a second half': () => [makeHalf()],
  'the half again': (n, h, half) => [half],
  'data': () => ['hello'],
  'binary data': (n, h) => [Buffer.from(`\x10r${n} ${h}`)],
  'limits': () => ['\x10p60000 1048576 1048576 1024'],
  'an acknowledgement': (n, h) => [`\x10a${h}`],
  'a word that is no word': () => ['\x10x5 e'],
};

function downgrade(selected) {
  return async (host) => {
    await host.connect();
    await host.exchange();
    await host.settled();
    host.session.acknowledgeNow();
    host.say('please count 1');
    await host.hear(text('counted 1'));
    const { session } = host;
    host.select = selected;
    session.drop();
    const { session: plain } = await host.run.take('connect', 'a plain session on the socket that was to resume dop.r1');
    host.run.check(host.offer === BOTH, `expected the subprotocols "${BOTH}" offered, came "${host.offer}"`);
    host.session = plain;
    host.say = (data) => plain.send(data);
    await host.expectReport('unknown', ['unknown text counted 1'], { connect: 2, reconnect: 0, disconnect: 1 });
    host.noAttempt = 'no attempt of a plain session';
    plain.drop();
    const { session: back } = await host.run.take('reconnect', 'the plain session back');
    host.run.check(back === plain && host.offer === 'dop', `expected the plain session back, offering "dop", came "${host.offer}"`);
    await host.expectReport('unknown', ['unknown text counted 1'], { connect: 2, reconnect: 1, disconnect: 1 });
    host.run.check(host.attempts === 0, 'expected no attempt of dop.r1 on a plain socket');
  };
}

const scenes = {
  ...shared,

  async late(host) {
    const window = 300;
    host.sessions.options.times = { window };
    await host.connect();
    await host.exchange();
    await host.settled();
    host.session.acknowledgeNow();
    for (const said of three('heard')) host.say(said);
    for (const said of three('heard')) await host.hear(text(said));
    await host.barrier('nothing but the echoes');
    const { session } = host;
    // Upgrades are refused until the session is forgotten.
    const listeners = host.server.listeners('upgrade');
    host.server.removeAllListeners('upgrade');
    host.server.on('upgrade', (request, socket) => socket.destroy());
    session.wire.send = () => {};
    for (const said of three('swallowed')) host.say(said);
    host.cut();
    const unsettled = [...three('heard').map((said) => ['unknown', said]), ...three('swallowed').map((said) => ['unknown', said])];
    await host.expectEnd('expired', unsettled, 'the end of the window');
    host.server.removeAllListeners('upgrade');
    listeners.forEach((listener) => host.server.on('upgrade', listener));
    await host.connect();
    host.run.check(host.attempts === 1 && host.session.token !== session.token, 'expected one attempt, then a session of its own');
    await host.expectReport('unknown', [], { connect: 2, reconnect: 0, disconnect: 1 });
    await host.exchange();
    host.cut();
    await host.back();
    await host.exchange();
    await host.leave();
  },

  // The client's messages are swallowed by the network: after the window it learns which.
  async 'late-undelivered'(host) {
    host.sessions.options.times = { window: 0 };
    await host.connect();
    await host.exchange();
    await host.settled();
    host.session.acknowledgeNow();
    host.say('please count 5');
    const { session } = host;
    session.hear = () => {};
    await host.barrier('nothing, for we do not listen');
    delete session.hear;
    host.cut();
    await host.expectEnd('expired', [['unknown', 'please count 5']], 'the end of the window');
    await host.connect();
    const lost = [1, 2, 3, 4, 5].map((i) => `undelivered ${i % 2 ? 'text' : 'binary'} counted ${i}`);
    await host.expectReport('unknown', lost, { connect: 2, disconnect: 1 });
    await host.leave();
  },

  // We ended formally, and the client never heard it: it is told, and does not begin anew by itself.
  async ended(host) {
    await host.connect();
    await host.exchange();
    const { session } = host;
    const end = host.raw(makeHalf());
    session.wire.reset();
    session.lose();
    await host.expectAttempt(1);
    host.noAttempt = 'no further attempt';
    end.wire.send(`\x10x${session.received} d`, false);
    await host.expectClose([1000, 1005], 'the close with 1000 after the word that the session was ended');
    await host.connect();
    await host.expectReport('peer', [], { connect: 2, reconnect: 0, disconnect: 1 });
    await host.leave();
  },

  // The server was killed: it knows nothing, and what the client had written is unknown.
  async killed(host) {
    await host.connect();
    await host.exchange();
    host.session.acknowledgeNow();
    host.say('please count 2');
    const { session } = host;
    session.hear = () => {};
    await host.barrier('nothing, for we do not listen');
    host.sessions.restart();
    await host.connect();
    host.run.check(host.attempts === 1 && host.session.token !== session.token, 'expected one attempt, then a session of its own');
    await host.expectReport('unknown', ['unknown text counted 1', 'unknown binary counted 2'], { connect: 2, disconnect: 1 });
    await host.leave();
  },

  // A word with an h that cannot be is one without.
  async 'gone-at-what-cannot-be'(host) {
    await host.connect();
    await host.exchange();
    host.session.acknowledgeNow();
    host.say('please count 2');
    const { session } = host;
    session.hear = () => {};
    await host.barrier('nothing, for we do not listen');
    const half = makeHalf();
    const end = host.raw(half);
    session.drop();
    await host.expectAttempt(1);
    end.wire.send('\x10x1000', false);
    const first = await host.run.take('message', 'a fresh half');
    await host.hear([first.data, false], 'the fresh half again');
    host.fresh(first.data.toString());
    end.wire.reset();
    await host.connect();
    host.run.check(host.attempts === 1, 'an attempt to resume the session that was never confirmed');
    await host.expectReport('unknown', ['unknown text counted 1', 'unknown binary counted 2'], { connect: 2, reconnect: 0, disconnect: 1 });
    await host.leave();
  },

  // The client loses its socket in PRECONNECTED: it comes back with attempt 1 at 0, and its first event is the connection.
  async 'half-confirmed'(host) {
    host.hooks.half = (none, half, session) => {
      session.hearEarly = () => {
        delete session.hearEarly;
        session.drop();
      };
      host.hooks.half = null;
    };
    host.gates = { 1: { heard: Infinity } };
    await host.connect();
    host.run.check(host.asked && host.asked.n === 1 && host.asked.h === 0, `expected attempt 1 at 0, came ${JSON.stringify(host.asked)}`);
    await host.exchange();
    await host.expectReport('none', [], { connect: 1, reconnect: 0, disconnect: 0 });
    host.cut();
    await host.back();
    host.run.check(host.asked.n === 2, `expected attempt 2, came ${host.asked.n}`);
    await host.exchange();
    await host.leave();
  },

  // In PRECONNECTED another half is refused, and the session asked for all the same.
  async 'wrong-second'(host) {
    const half = makeHalf();
    const end = host.raw(half);
    const { data } = await host.run.take('message', 'a half');
    await host.hear([data, false], 'the half again');
    end.wire.send(makeHalf(), false);
    await host.expectClose([1008], 'the close with 1008 for another half');
    await host.connect();
    host.run.check(host.attempts === 1 && host.asked.n === 1 && host.asked.h === 0, 'expected attempt 1 at 0 before the fresh half');
    await host.leave();
  },

  // A client that heard nothing begins with a fresh half.
  async 'half-unheard'(host) {
    const end = host.raw();
    await host.expectFresh(end, 'a half, at once on open');
    host.noAttempt = 'a fresh half';
    await host.connect();
    await host.exchange();
    await host.leave();
  },

  // Another holder took the session: the client stops, and says so.
  async taken(host) {
    await host.connect();
    await host.exchange();
    await host.settled();
    host.session.acknowledgeNow();
    host.noAttempt = 'no attempt of a client whose session was taken';
    await host.gone(4001);
    await host.connect();
    await host.expectReport('taken', [], { connect: 2, reconnect: 0 });
    await host.leave();
  },

  // Closes before the answer: three of them mean that the session is over, all others that the attempt failed.
  async 'closes-before-the-answer'(host) {
    await host.connect();
    await host.exchange();
    const trials = [1000, 1001, 1008, 1011, 1013, 4001, 4999].flatMap((code) => [undefined, makeHalf()].map((half) => ({ code, end: host.raw(half) })));
    host.cut();
    for (const [i, { code, end }] of trials.entries()) {
      await host.expectAttempt(i + 1);
      end.wire.close(code);
      await host.expectClose([code, 1005], `the answer to our close with ${code}`);
    }
    await host.back();
    await host.exchange();
    for (const code of [4400, 4403, 4409]) {
      const end = host.raw(makeHalf());
      const { attempt } = host.session;
      host.cut();
      await host.expectAttempt(attempt + 1);
      host.noAttempt = `a fresh half after the close with ${code}`;
      end.wire.close(code);
      await host.expectClose([code, 1005], `the answer to our close with ${code}`);
      await host.connect();
      const { reason } = await host.report();
      host.run.check(reason === 'protocol' || reason === 'unknown', `expected the end of the session, came "${reason}"`);
      await host.exchange();
    }
    await host.leave();
  },

  async answers(host) {
    for (const [why, make] of Object.entries(answers)) {
      host.run.step(`case: ${why}`);
      await host.connect();
      await host.exchange();
      host.session.acknowledgeNow();
      await host.barrier('nothing');
      const half = makeHalf();
      const end = host.raw(half);
      const { session } = host;
      host.cut();
      await host.expectAttempt(session.attempt + 1);
      host.isOver();
      for (const said of make(session.attempt + 1, session.received, half)) end.wire.send(said, Buffer.isBuffer(said));
      await host.expectClose([4400], `the close with 4400 for ${why}`);
    }
    await host.connect();
    await host.leave();
  },

  // A session of dop.r1 that lands on a server which selects plain DOP, or nothing, is over; a plain one begins on that socket.
  downgrade: downgrade('dop'),
  'downgrade-to-nothing': downgrade(false),

  // Whoever closes as a whole ends its session formally.
  async closed(host) {
    await host.connect();
    await host.exchange();
    host.noAttempt = 'no attempt of a client that was closed';
    for (const said of three('before')) host.say(said);
    host.say('please close');
    for (const said of three('behind')) host.say(said);
    for (const said of three('before')) await host.hear(text(said));
    await host.expectEnd('peer', three('behind').map((said) => ['undelivered', said]), 'the formal end of a client that was closed');
    await host.expectClose([1000, 1001, 1005], 'the close of a client that was closed');
    await host.run.quiet(300, 'no socket of a client that was closed');
  },
};

module.exports = { Host, scenes };
