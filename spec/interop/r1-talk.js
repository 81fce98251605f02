// What the scenes of both r1 roles stand on: a session under test, what is said over it, and what is asked of the other end.
//
// Owns: the words of the demands. Never: decides what the protocol says (r1-session.js), nor makes sockets: a role has
// connect(), the first session; anew(), a further one; cut(), the socket is lost; again(), it was lost by the other end; back(), the
// session has another one; isOver(session), the other end forgot it; another(), a second session, and a check that it is well.
'use strict';

const crypto = require('crypto');
const { makeHalf } = require('./dop-plain');
const { describe, firstDifference } = require('./run');
const { RawEnd } = require('./wire');

const fill = (length, unit) => unit.repeat(Math.ceil(length / unit.length)).slice(0, length);
const counting = (length) => Buffer.from(Array.from({ length }, (unused, i) => (i * 7 + (i >> 8)) & 0xff));
const text = (said) => [Buffer.from(said), false];
const binary = (said) => [Buffer.from(said), true];

const few = () => [text(`text \u2713 ${makeHalf()}`), text('\x10a0'), binary(counting(300)), text(''), binary('')];
const three = (name) => [1, 2, 3].map((i) => `${name} ${i}`);

// A small generator of random numbers with a seed, so that a run can be had again: PEER_SEED.
function seeded() {
  const seed = Number(process.env.PEER_SEED) || crypto.randomInt(1, 1 << 30);
  let state = seed;
  const random = (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 4294967296) * below);
  };
  return { seed, random };
}

class Talk {
  constructor(run) {
    this.run = run;
    this.session = null;
    this.acks = [];
    this.heard = null;
    this.hooks = this.makeHooks();
    this.offences = false;
    this.substitutes = [];
  }

  makeHooks() {
    const { run } = this;
    return {
      connect: (session) => run.push('connect', 'a new session', { session }),
      reconnect: (session) => run.push('reconnect', 'the session resumed', { session }),
      message: (session, data, isBinary) => this.message(data, isBinary),
      acked: (session, h) => this.acks.push({ h, at: Date.now() }),
      disconnect: (session, why, unsettled) => run.push('disconnect', `the end of the session: ${why}`, { why, unsettled, session }),
      offence: (session, why) => this.offences || run.fail(`expected a step of the protocol, came ${why}`),
      lost: (session, code) => run.push('lost', `the close of the socket with ${code}`, { code }),
      closed: (session, code) => run.push('closed', `the close of the socket with ${code}`, { code }),
      failed: (session, code) => run.push('failed', `the close of a socket without a session with ${code}`, { code }),
      attempt: (none, asked) => run.step(`attempt ${asked.n} at ${asked.h}`),
    };
  }

  message(data, isBinary) {
    if (this.heard) return this.heard(data, isBinary);
    return this.run.push('message', describe(data, isBinary), { data, binary: isBinary });
  }

  say(data, isBinary = false) {
    const refused = this.session.send(data, isBinary);
    this.run.check(!refused, `expected room for ${describe(Buffer.from(data), isBinary)}, came ${refused}`);
  }

  async hear([data, isBinary], what = `the echo of ${describe(data, isBinary)}`) {
    const echo = await this.run.take('message', what);
    const same = echo.binary === isBinary && echo.data.equals(data);
    const where = echo.binary === isBinary ? `, different from byte ${firstDifference(data, echo.data)} on` : '';
    this.run.check(same, `expected ${what}, came ${echo.said}${where}`);
  }

  async exchange(messages = few()) {
    for (const message of messages) this.say(...message);
    for (const message of messages) await this.hear(message);
    await this.barrier('nothing after the last echo');
  }

  async barrier(what) {
    this.run.waitingFor = 'the pong to our ping';
    await this.session.wire.ping();
    this.run.nothingMore(what);
  }

  // All that we said is acknowledged, within the second that an acknowledgement may take, and a half. An end that was
  // kept from running acknowledges before it answers a ping: what was due by then comes first.
  async settled(limit = 1500) {
    const began = Date.now();
    const { session } = this;
    await this.run.until(() => session.acked === session.sent || Date.now() - began > limit, 'the last acknowledgement');
    if (session.acked !== session.sent) {
      this.run.waitingFor = 'the pong to our ping';
      await session.wire.ping();
    }
    this.run.check(session.acked === session.sent, `expected ${session.sent} acknowledged within ${limit} ms, came ${session.acked}`);
  }

  // What the end under test tells of its sessions: {reason, connect, reconnect, disconnect, message, unsettled: ["fate kind message", ...]}.
  async report() {
    this.say('please report');
    const lines = (await this.run.take('message', 'a report')).data.toString().split('\n');
    const [, connect, reconnect, disconnect, message] = lines[1].split(' ').map(Number);
    return { reason: lines[0].slice('report '.length), connect, reconnect, disconnect, message, unsettled: lines.slice(2) };
  }

  async expectReport(reason, unsettled, counts = {}) {
    const came = await this.report();
    const list = (entries) => `${entries.length} of "${entries.slice(0, 8).join('", "')}"`;
    this.run.check(came.reason === reason, `expected the last session to end with "${reason}", came "${came.reason}"`);
    const same = came.unsettled.join('\n') === unsettled.join('\n');
    this.run.check(same, `expected ${list(unsettled)} handed back over there, came ${list(came.unsettled)}`);
    for (const [name, count] of Object.entries(counts)) {
      this.run.check(came[name] === count, `expected ${count} times "${name}" over there, came ${came[name]}`);
    }
  }

  // Our end of the session is over; `unsettled` are [fate, message] in order.
  async expectEnd(why, unsettled, what) {
    const end = await this.run.take('disconnect', what);
    const came = end.unsettled.map(({ fate, data }) => `${fate} ${data}`).join('", "');
    const wanted = unsettled.map((entry) => entry.join(' ')).join('", "');
    this.run.check(end.why === why, `expected the session to end with "${why}", came "${end.why}"`);
    this.run.check(came === wanted, `expected "${wanted}" handed back here, came "${came}"`);
  }

  async expectClose(codes, what) {
    const { code } = await this.run.pick(['closed', 'failed', 'lost'], what);
    this.run.check(codes.includes(code), `expected ${what}, came a close with ${code}`);
  }

  // Our socket closes with that code; on our side the session is kept.
  async gone(code) {
    const { session, run } = this;
    const { wire } = session;
    wire.node = new RawEnd(run);
    session.lose();
    wire.close(code);
    await run.pick(['closed'], `the answer to our close with ${code}`);
  }

  async leave() {
    await this.run.quiet(100, 'nothing more at the end of the scene');
    if (this.session.wire) this.session.drop();
  }

  // What the end under test sent and could not know to have come: it echoes, so it is the last of what we heard.
  untold() {
    return this.session.received - this.session.told;
  }

  // A bare token on our socket, behind which we do not listen.
  bare() {
    const { session, run } = this;
    const { wire } = session;
    session.lose();
    wire.node = new RawEnd(run);
    wire.node.hear = () => {};
    wire.send(session.token, false);
  }

  // The session is lost to the close with 4400 that an offence of ours brought.
  async expectOver(why) {
    const what = `the close with 4400 for ${why}`;
    const end = await this.run.pick(['disconnect'], what);
    const { code } = end.session;
    this.run.check(end.why === 'protocol' && code === 4400, `expected ${what}, came the end "${end.why}" and ${code}`);
    await this.isOver(end.session);
  }

  // What goes in place of our limits on a socket, where `substitutes`, one for each socket to come, has something.
  dress(wire) {
    const substitute = this.substitutes.shift();
    if (!substitute) return wire;
    const send = wire.send.bind(wire);
    wire.send = (data, isBinary) => {
      const limits = !isBinary && data.toString('latin1').startsWith('\x10p');
      if (limits) wire.send = send;
      return limits ? send(...substitute) : send(data, isBinary);
    };
    return wire;
  }
}

// Messages both ways without waiting for anything, while sockets are lost; each must come once and in order.
class Flood {
  constructor(talk, count) {
    this.talk = talk;
    this.count = count;
    this.said = 0;
    this.echoed = 0;
    this.counted = 0;
    const { seed, random } = seeded();
    this.random = random;
    this.seed = seed;
    talk.run.step(`seed ${seed}`);
    talk.heard = (data, isBinary) => this.hear(data, isBinary);
    talk.say(`please count ${count}`);
  }

  payload(i) {
    return Buffer.from(`${i % 5 === 0 ? '\x10a' : ''}said ${i} ${'x'.repeat((i * 37) % 400)}`);
  }

  hear(data, isBinary) {
    const own = data.toString('latin1', 0, 7) === 'counted';
    const number = own ? (this.counted += 1) : (this.echoed += 1);
    const wanted = own ? Buffer.from(`counted ${number}`) : this.payload(number);
    if (!data.equals(wanted) || isBinary !== (number % 2 === 0)) {
      this.talk.run.fail(`expected ${describe(wanted, number % 2 === 0)}, came ${describe(data, isBinary)} (seed ${this.seed})`);
    }
  }

  // As many as there is room for, in small parts, so that a cut finds some under way.
  pour(most) {
    const { session } = this.talk;
    for (let i = 0; i < most && this.said < this.count; i += 1) {
      if (session.send(this.payload(this.said + 1), (this.said + 1) % 2 === 0)) return;
      this.said += 1;
    }
  }

  get arrived() {
    return this.echoed + this.counted;
  }

  async until(arrived) {
    const { run } = this.talk;
    const enough = () => {
      this.pour(1 + this.random(40));
      run.nothingMore('nothing but data');
      return this.arrived >= arrived;
    };
    await run.until(enough, `${arrived} messages (seed ${this.seed}, ${this.echoed} echoed and ${this.counted} counted so far)`);
  }

  async cuts(count) {
    let replayed = 0;
    for (let i = 1; i <= count; i += 1) {
      await this.until(Math.floor((2 * this.count * i) / (count + 2)) + this.random(30));
      await new Promise((resolve) => setTimeout(resolve, this.random(4)));
      this.pour(this.random(60));
      this.talk.cut();
      replayed += this.talk.session.sent - this.talk.session.acked;
      this.pour(this.random(20));
      await this.talk.back();
    }
    await this.until(2 * this.count);
    this.talk.heard = null;
    this.talk.run.check(replayed > count, `expected cuts that find messages under way, came ${replayed} replayed`);
  }
}

module.exports = { Talk, Flood, counting, text, binary, three, few, fill };
