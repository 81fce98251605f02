// The r1 scenes of the client role, against a server under test as r1.lua is one.
//
// Owns: what each scene demands. Never: decides what the protocol says; that is dop-r1.js and r1-session.js.
'use strict';

const { R1Client } = require('./dop-r1');
const { STATUS, ClientNode, complaint, makeHalf } = require('./dop-plain');
const { RawEnd, dial } = require('./wire');
const { scenes: shared } = require('./r1-scenes');
const { Talk, text, three } = require('./r1-talk');

const OFFER = ['dop', 'dop.r1'];
const MARGIN = 500;

class Client extends Talk {
  constructor(run, url) {
    super(run);
    this.url = url;
    this.query = '';
    this.options = {};
  }

  limit(limits) {
    this.options.limits = limits;
  }

  async dial(session, { gates, query = this.query } = {}) {
    this.run.waitingFor = 'the socket to open';
    await dial(this.run, this.url + query, { open: (wire) => session.open(this.dress(wire)) }, { offer: OFFER, select: 'dop.r1', gates }).opened;
  }

  async connect({ gates, hooks = this.hooks } = {}) {
    this.session = new R1Client(hooks, this.options);
    await this.dial(this.session, { gates });
    await this.run.take('connect', 'the half of the server twice');
  }

  anew() {
    return this.connect();
  }

  cut() {
    this.session.drop();
  }

  again() {
    this.dial(this.session);
  }

  async back(gates) {
    if (!this.session.wire) await this.dial(this.session, { gates });
    const { session } = await this.run.take('reconnect', 'another half, then the session resumed');
    this.run.check(session === this.session, 'expected the same session back, came another');
  }

  // A socket without a protocol that says `first` when the server's half came; the answers are for the scene to take.
  async raw(first, { offer = OFFER, select = 'dop.r1', query = this.query } = {}) {
    const end = new RawEnd(this.run);
    const wire = dial(this.run, this.url + query, end, { offer, select });
    this.run.waitingFor = 'the socket to open';
    await wire.opened;
    const { data, binary, said } = await this.run.take('message', 'the half of the server, unasked');
    const why = complaint(data, binary);
    this.run.check(!why, `expected the half of the server, came ${said}: ${why}`);
    wire.theirs = data;
    if (first !== undefined) wire.send(...[].concat(first), false);
    return wire;
  }

  async refused(first, code, why, options) {
    await this.raw(first, options);
    await this.expectClose([code], `the close with ${code} for ${why}`);
  }

  async answered(first, answer, why, options) {
    const wire = await this.raw(first, options);
    await this.hear(text(answer), `${JSON.stringify(answer)} for ${why}`);
    wire.reset();
  }

  // A session that heard the server's half and nothing more; of ours the first `passed` went out.
  async halfway(passed) {
    const session = new R1Client(this.hooks, this.options);
    const heard = new Promise((resolve) => {
      session.hooks = { ...this.hooks, half: () => resolve((session.hear = () => {})) };
    });
    await this.dial(session, { gates: { [passed]: { heard: Infinity } } });
    await heard;
    session.hooks = this.hooks;
    this.session = session;
    return { session, wire: session.wire };
  }

  isOver(session) {
    return this.answered(`${session.token} r 1000 0`, `\x10x${session.sent}`, 'a session that an offence ended');
  }

  async another() {
    const other = new Talk(this.run);
    await this.connect({ hooks: other.hooks });
    other.session = this.session;
    const { wire } = other.session;
    await other.exchange();
    return async () => {
      this.run.check(other.session.wire === wire, 'expected another session not to notice, came a loss of its socket');
      await other.exchange();
      await other.settled();
    };
  }
}

const scenes = {
  ...shared,

  // After the window: exactly what had come and what had not, and a new session on the same socket.
  async late(client, window = 1000) {
    await client.connect();
    await client.exchange();
    await client.settled();
    client.session.acknowledgeNow();
    for (const said of three('heard')) client.say(said);
    for (const said of three('heard')) await client.hear(text(said));
    await client.barrier('nothing but the echoes');
    const { session } = client;
    client.run.check(session.acked < session.sent, 'expected what was said not to be acknowledged yet');
    session.wire.send = () => {};
    for (const said of three('swallowed')) client.say(said);
    client.cut();
    for (const said of three('kept')) client.say(said);
    await client.run.quiet(window + MARGIN, 'nothing while the server forgets');
    await client.dial(session);
    const unsettled = [...three('swallowed').map((said) => ['undelivered', said]), ...three('kept').map((said) => ['unsent', said])];
    await client.expectEnd('unknown', unsettled, 'the word that the session is gone');
    client.session = (await client.run.take('connect', 'a new session on the same socket')).session;
    client.run.check(client.session !== session && client.session.token !== session.token, 'expected a session of its own');
    await client.expectReport('expired', three('unknown text heard'), { connect: 2, reconnect: 0, disconnect: 1 });
    await client.exchange();
    client.cut();
    await client.back();
    await client.exchange();
    await client.leave();
  },

  // After the application's end a late client is told so, and does not go on.
  async ended(client) {
    await client.connect();
    await client.exchange();
    const { session } = client;
    const copy = R1Client.holding(client.hooks, {}, session.token);
    session.disconnect();
    await client.expectEnd('local', [], 'the answer to our end');
    await client.expectClose([1000, 1005], 'the close with 1000');
    await client.answered(`${session.token} r 1 0`, `\x10x${session.sent} d`, 'a session that was ended formally');
    await client.dial(copy);
    await client.expectEnd('ended', [], 'the word that the session was ended');
    await client.expectClose([1000, 1005], 'the answer to our close');
    await client.connect();
    await client.exchange();
    await client.leave();
  },

  // They end while we have no socket that works: we are told so when we come back.
  async 'ended-meanwhile'(client) {
    await client.connect();
    await client.exchange();
    await client.settled();
    const { session } = client;
    client.say('please disconnect');
    session.hear = () => {};
    await client.barrier('nothing, for we do not listen');
    delete session.hear;
    client.cut();
    for (const said of three('kept')) client.say(said);
    await client.dial(session);
    await client.expectEnd('ended', three('kept').map((said) => ['unsent', said]), 'the word that the session was ended');
    await client.expectClose([1000, 1005], 'the answer to our close');
    await client.connect();
    await client.exchange();
    await client.leave();
  },

  // They end while our socket is there, and wait for our answer: a newer attempt settles that, an older one changes nothing.
  async 'closing-resumed'(client) {
    await client.connect();
    await client.exchange();
    client.cut();
    await client.back();
    const { session } = client;
    client.say('please count 2');
    client.say('please disconnect');
    const old = session.wire;
    old.node = new RawEnd(client.run);
    old.node.hear = () => {};
    await old.ping();
    await client.refused(`${session.token} r 1 0`, 4409, 'attempt 1 after 1, while it waits for our end');
    session.lose();
    await client.dial(session);
    const events = [];
    while (events.length < 3) events.push(await client.run.take(['closed', 'disconnect'], 'the word that the session was ended, and two closes'));
    const end = events.find((event) => event.type === 'disconnect');
    client.run.check(end.why === 'ended' && end.unsettled.length === 0, `expected all to be settled, came ${end.why} and ${end.unsettled.length}`);
    await client.connect();
    await client.expectReport('local', ['undelivered text counted 1', 'undelivered binary counted 2'], { connect: 2, reconnect: 1, disconnect: 1 });
    await client.leave();
  },

  // The same message again and again, and nothing moves: the tenth attempt is refused.
  async stuck(client) {
    await client.connect();
    await client.exchange();
    const { session, run } = client;
    await client.settled();
    session.acknowledgeNow();
    await client.barrier('nothing');
    session.deliver = () => {};
    client.say('please count 1');
    await client.settled();
    for (let i = 1; i < 10; i += 1) {
      client.cut();
      await client.back();
      await client.barrier('nothing');
    }
    client.cut();
    await client.dial(session);
    const { why } = await run.take('disconnect', 'the close with 4400 for an attempt after which nothing would move');
    run.check(why === 'protocol' && session.code === 4400, `expected the close with 4400, came ${why} and ${session.code}`);
    await client.isOver(session);
    await client.connect();
    await client.expectReport('protocol', ['unknown text counted 1'], { connect: 2, reconnect: 9, disconnect: 1 });
    await client.leave();
  },

  // An attempt that is not newer is closed with 4409 and disturbs nobody, on a socket or without one.
  async stale(client) {
    await client.connect();
    await client.exchange();
    await client.refused(`${client.session.token} r 0 0`, 4409, 'attempt 0');
    for (let i = 0; i < 3; i += 1) {
      client.cut();
      await client.back();
    }
    await client.exchange();
    for (const n of [1, 3]) await client.refused(`${client.session.token} r ${n} 0`, 4409, `attempt ${n} after 3`);
    await client.refused(`${client.session.token} r 2 9007199254740991`, 4409, 'attempt 2 after 3, at more than was ever said');
    await client.exchange();
    client.cut();
    await client.refused(`${client.session.token} r 3 0`, 4409, 'attempt 3 again');
    await client.back();
    await client.exchange();
    await client.leave();
  },

  // The newer attempt wins at once. What is said on the old socket afterwards is heard by nobody.
  async takeover(client) {
    await client.connect();
    await client.exchange();
    for (let i = 0; i < 3; i += 1) {
      const { session } = client;
      const old = session.wire;
      const listener = new RawEnd(client.run);
      for (const said of three('under way')) client.say(said);
      listener.hear = () => {};
      old.node = listener;
      session.lose();
      await client.dial(session);
      for (const said of three('stray')) old.send(said, false);
      const seen = { closed: 0, reconnect: 0, message: [] };
      while (!seen.closed || !seen.reconnect || seen.message.length < 3) {
        const event = await client.run.take(['closed', 'reconnect', 'message'], 'the session back, and the close with 4001 of the old socket');
        if (event.type === 'message') seen.message.push(event.data.toString());
        else seen[event.type] = event.code || 1;
      }
      client.run.check(seen.closed === 4001, `expected the old socket to close with 4001, came ${seen.closed}`);
      client.run.check(seen.message.join() === three('under way').join(), `expected what was under way, came ${seen.message}`);
      await client.exchange();
    }
    await client.settled();
    await client.expectReport('none', [], { connect: 1, reconnect: 3, disconnect: 0 });
    await client.leave();
  },

  // The socket is lost in PRECONNECTED, after the server heard our half: attempt 1 at 0 confirms the session.
  async 'half-confirmed'(client) {
    const { session, wire } = await client.halfway(1);
    await wire.ping();
    session.drop();
    for (const said of three('kept')) client.say(said);
    delete session.hear;
    await client.dial(session);
    await client.run.take('connect', 'the session confirmed');
    client.run.check(session.attempt === 1, 'expected the session by attempt 1');
    for (const said of three('kept')) await client.hear(text(said));
    await client.exchange();
    await client.expectReport('none', [], { connect: 1, reconnect: 0, disconnect: 0 });
    client.cut();
    await client.back();
    await client.exchange();
    await client.leave();
  },

  // The same while the server still holds the first socket for alive.
  async 'half-confirmed-alive'(client) {
    const { session, wire } = await client.halfway(1);
    await wire.ping();
    wire.node = new RawEnd(client.run);
    wire.node.hear = () => {};
    session.lose();
    delete session.hear;
    await client.dial(session);
    const events = [];
    while (events.length < 2) events.push(await client.run.take(['connect', 'closed'], 'the session confirmed, and the close of the old socket'));
    const closed = events.find((event) => event.type === 'closed');
    client.run.check(closed && closed.code === 4001, `expected the old socket closed with 4001, came ${closed && closed.code}`);
    await client.exchange();
    await client.expectReport('none', [], { connect: 1, reconnect: 0, disconnect: 0 });
    await client.leave();
  },

  // It is lost before the server heard our half: the server knows nothing, and we begin anew with what was kept.
  async 'half-unknown'(client) {
    const { session } = await client.halfway(0);
    session.drop();
    for (const said of three('kept')) client.say(said);
    delete session.hear;
    await client.dial(session);
    await client.run.take('connect', 'a new session on the same socket');
    for (const said of three('kept')) await client.hear(text(said));
    await client.exchange();
    await client.expectReport('none', [], { connect: 1, reconnect: 0, disconnect: 0 });
    await client.leave();
  },

  // The record of a session that was never confirmed is kept for the handshake's second, and leaves a tombstone.
  async 'half-confirmed-late'(client) {
    const { session, wire } = await client.halfway(1);
    await wire.ping();
    session.drop();
    delete session.hear;
    await client.run.quiet(1000 + MARGIN, 'nothing while the server forgets');
    await client.answered(`${session.token} r 1 0`, '\x10x0', 'a session that was never confirmed, too late');
    await client.connect();
    await client.expectReport('none', [], { connect: 1, reconnect: 0, disconnect: 0 });
    await client.leave();
  },

  // A server that closes as a whole ends no session formally: it may be back soon.
  async closed(client) {
    await client.connect();
    await client.exchange();
    client.say('please close');
    const { code } = await client.run.take('lost', 'the close with 1001 of a server that closes');
    client.run.check(code === 1001, `expected the close with 1001 of a server that closes, came ${code}`);
  },

  // A second message that is not the half again: what is there then?
  async 'wrong-second'(client) {
    const { session, wire } = await client.halfway(1);
    await wire.ping();
    wire.node = new RawEnd(client.run);
    wire.gates = {};
    wire.outbox = [];
    session.lose();
    wire.send(makeHalf(), false);
    await client.expectClose([1008], 'the close with 1008 for another half');
    delete session.hear;
    await client.dial(session);
    await client.run.take('connect', 'the session confirmed');
    await client.exchange();
    await client.leave();
  },

  // A session of a process that is no more: its server answers a bare word, and nothing can be known.
  async killed(client) {
    await client.connect();
    await client.exchange();
    const { session } = client;
    session.token = makeHalf() + makeHalf();
    for (const said of three('written')) client.say(said);
    for (const said of three('written')) await client.hear(text(said));
    client.cut();
    for (const said of three('kept')) client.say(said);
    await client.dial(session);
    const end = await client.run.take('disconnect', 'the bare word that the session is gone');
    const fates = end.unsettled.map(({ fate }) => fate);
    const written = session.sent - session.acked;
    const wanted = fates.map((_, i) => (i < written ? 'unknown' : 'unsent'));
    client.run.check(fates.length === written + 3 && fates.join() === wanted.join(), `expected "${wanted}", came "${fates}"`);
    client.session = (await client.run.take('connect', 'a new session on the same socket')).session;
    await client.exchange();
    await client.leave();
  },

  // The principal is the query of the URL. Another one, or none, changes nothing, and hears nothing about a session that is over.
  async principal(client) {
    client.query = '?ann';
    await client.connect();
    await client.exchange();
    const { token } = client.session;
    for (const query of ['?bob', '']) await client.refused(`${token} r 7 9007199254740991`, 4403, `the principal "${query}"`, { query });
    await client.exchange();
    client.cut();
    for (const query of ['?bob', '']) await client.refused(`${token} r 7 0`, 4403, `the principal "${query}"`, { query });
    await client.back();
    await client.exchange();
    const { sent } = client.session;
    client.session.disconnect();
    await client.expectEnd('local', [], 'the answer to our end');
    await client.expectClose([1000, 1005], 'the close with 1000');
    await client.answered(`${token} r 9 0`, '\x10x', 'another principal', { query: '?bob' });
    await client.answered(`${token} r 9 0`, `\x10x${sent} d`, 'its own principal');
    await client.connect();
    await client.leave();
  },

  // What is no attempt, and touches no session.
  async malformed(client) {
    await client.connect();
    await client.exchange();
    const { token } = client.session;
    for (const first of ['r 1 0', ' 1 0', ' r 1', ' r 01 0', ' r 1 00', ' r 1 -1', ' r 1 0 ', '  r 1 0', ' r 1 0 0', ' R 1 0', ' r 1 9007199254740992']) {
      await client.refused(token + first, 1008, `"T${first}"`);
    }
    await client.refused(token, 1008, 'a bare token of dop.r1 on a socket of dop.r1');
    await client.refused(token, 1008, 'a bare token of dop.r1 on a plain socket', { offer: ['dop'], select: 'dop' });
    await client.refused(token, 1008, 'a bare token of dop.r1 on a socket without a subprotocol', { offer: [], select: '' });
    await client.refused(`${token} r 1 0`, 1008, 'an attempt on a plain socket', { offer: ['dop'], select: 'dop' });
    await client.refused([Buffer.from(`${token} r 1 0`), true], 1008, 'an attempt in a binary message');
    await client.exchange();
    client.cut();
    await client.back();
    await client.exchange();
    await client.leave();
  },

  // A second attempt on a socket where the first one found nothing.
  async 'attempt-again'(client) {
    const wire = await client.raw(`${makeHalf()}${makeHalf()} r 1 0`);
    await client.hear(text('\x10x'), 'the bare word that the session is gone');
    wire.send(`${makeHalf()}${makeHalf()} r 1 0`, false);
    await client.expectClose([1008], 'the close with 1008 for a second attempt on a socket');
    await client.connect();
    await client.leave();
  },

  // Who relays the halves of two sockets to each other makes the same token twice: the second one is refused, the first goes on.
  async relay(client) {
    const [one, other] = [await client.raw(), await client.raw()];
    one.send(other.theirs, false);
    await client.hear([one.theirs, false], 'the half again');
    other.send(one.theirs, false);
    await client.expectClose([1008], 'the close with 1008 for a token that is registered');
    one.send(other.theirs, false);
    const { said } = await client.run.take('message', 'the limits');
    client.run.check(said.includes('\\u0010p'), `expected the limits of a session that began, came ${said}`);
    one.reset();
    await client.connect();
    await client.exchange();
    await client.leave();
  },

  // An h that cannot be ends the session, with and without a socket.
  async 'impossible-attempt'(client) {
    const other = await client.another();
    for (const attached of [true, false]) {
      for (const wrong of [(session) => session.received + 1, () => 0]) {
        await client.anew();
        await client.exchange();
        const { session } = client;
        session.acknowledgeNow();
        await client.barrier('nothing');
        if (!attached) client.cut();
        await client.raw(`${session.token} r 1 ${wrong(session)}`);
        if (attached) {
          const events = [];
          while (events.length < 2) events.push(await client.run.take(['closed', 'disconnect', 'lost'], 'two closes'));
          const closed = events.find((event) => event.type === 'closed');
          client.run.check(closed && closed.code === 4400, `expected the close with 4400, came ${closed && closed.code}`);
        } else {
          await client.expectClose([4400], 'the close with 4400 for an attempt at what cannot be');
        }
        await client.isOver(session);
      }
    }
    await other();
  },

  // A plain session's token on a socket of dop.r1 touches nothing; the plain session goes on, its client offering "dop".
  async dialects(client) {
    const node = new ClientNode({ connect: () => client.run.push('connect', 'a plain session'), reconnect: () => client.run.push('reconnect', 'the plain session back') }, makeHalf());
    await dial(client.run, client.url, node, { offer: ['dop'] }).opened;
    await client.run.take('connect', 'a plain session');
    await client.refused(node.token, 1008, 'a plain token on a socket of dop.r1');
    await client.refused(`${node.token} r 1 0`, 1008, 'a plain session asked for by dop.r1');
    node.drop();
    await client.refused(node.token, 1008, 'a plain token on a socket of dop.r1');
    await dial(client.run, client.url, node, { offer: ['dop'] }).opened;
    await client.run.take('reconnect', 'the plain session back');
    client.run.check(node.status === STATUS.CONNECTED, 'expected the plain session to be CONNECTED');
  },
};

module.exports = { Client, scenes };
