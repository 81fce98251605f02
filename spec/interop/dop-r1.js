// dop.r1, both roles, written from the protocol text alone: how a session begins, comes back, and is found to be gone.
//
// Owns: halves, tokens, attempts, the server's map of sessions, tombstones, and its windows.
// Never: opens a socket, or counts a message; that is r1-session.js. Plain DOP is dop-plain.js.
'use strict';

const { STATUS, makeHalf, merge, mirrors, complaint, Sessions } = require('./dop-plain');
const { Session, Deaf, parse, parseResume } = require('./r1-session');

const SPACE = 0x20;
// So many attempts in a row before which nothing had moved end a session.
const STUCK = 10;

// Further hooks: half(session, text), fresh(session, old): a new session takes the socket of one that is gone;
// failed(session, code): the socket of an attempt that had no session yet is gone; over(session, code): of a last attempt.
class R1Client extends Session {
  constructor(hooks, options, half = makeHalf()) {
    super(hooks, options);
    this.half = half;
    this.remote = null;
    this.confirmed = false;
  }

  // A session that holds a token from an earlier life, or from somewhere else.
  static holding(hooks, options, token) {
    const session = new R1Client(hooks, options);
    session.token = token;
    session.status = STATUS.RECONNECTING;
    session.confirmed = true;
    return session;
  }

  // At once on open: the half, or the attempt to resume.
  open(wire) {
    this.attach(wire);
    this.remote = null;
    if (this.token === null) return wire.send(this.half, false);
    this.attempt += 1;
    return wire.send(`${this.token} r ${this.attempt} ${this.received}`, false);
  }

  hearEarly(data, binary) {
    if (this.status === STATUS.DISCONNECTED) return undefined;
    if (this.status === STATUS.RECONNECTING) return this.hearAnswer(data, binary);
    const why = complaint(data, binary);
    if (why) return this.refuse(why);
    const text = data.toString('latin1');
    if (this.remote !== null) return text === this.remote ? this.enter() : this.refuse('another half');
    if (mirrors(text, this.half)) return this.refuse('the half mirrors ours');
    this.meet(text);
    return this.wire.send(this.half, false);
  }

  meet(remote) {
    this.remote = remote;
    this.token = merge(this.half, remote);
    this.status = STATUS.PRECONNECTED;
    this.tell('half', remote);
  }

  hearAnswer(data, binary) {
    if (this.remote === null) {
      const text = data.toString('latin1');
      if (complaint(data, binary) || mirrors(text, this.token)) return this.offend('no half before the answer');
      this.remote = text;
      return this.tell('half', text);
    }
    const said = binary || data[0] !== 0x10 ? null : parse(data);
    if (said && said.letter === 'r') return this.resumed(...said.values);
    if (said && said.letter === 'x') return this.gone(said);
    return this.offend('neither resumed nor gone');
  }

  resumed(n, h) {
    if (n !== this.attempt || !this.possible(h)) return this.offend(`resumed by attempt ${n} at ${h}`);
    this.acknowledge(h);
    return this.enter();
  }

  enter() {
    const known = this.confirmed;
    this.confirmed = true;
    return super.enter(known ? 'reconnect' : 'connect');
  }

  gone({ h, ended }) {
    const { wire, remote } = this;
    const settled = h !== null && this.possible(h) ? h : null;
    if (ended) return this.finish('ended', settled);
    // Who never was CONNECTED has lost nothing: it begins again with what it has to say.
    const next = this.confirmed ? new R1Client(this.hooks, this.options) : this;
    this.wire = null;
    if (this.confirmed) this.finish('unknown', settled);
    next.half = makeHalf();
    next.attempt = 0;
    next.attach(wire);
    next.meet(remote);
    this.tell('fresh', next);
    wire.send(next.half, false);
    return wire.send(next.half, false);
  }

  closed(code) {
    this.code = code;
    if (this.token === null) {
      this.detach();
      return this.tell('failed', code);
    }
    if (this.status === STATUS.RECONNECTING && [4400, 4403, 4409].includes(code)) return this.finish('protocol', null, 0);
    return super.closed(code);
  }
}

// A socket of a server that has no session yet.
class Newcomer {
  constructor(sessions, half, principal) {
    this.sessions = sessions;
    this.half = half;
    this.principal = principal;
    this.asked = false;
    this.wire = null;
    this.timer = null;
  }

  open(wire) {
    this.wire = wire;
    wire.node = this;
    this.timer = setTimeout(() => this.leave(1013), this.sessions.times.handshake);
    wire.send(this.half, false);
  }

  hear(data, binary) {
    if (!binary && data.includes(SPACE)) return this.hearResume(data);
    const why = complaint(data, binary);
    if (why) return this.refuse(why);
    const text = data.toString('latin1');
    this.sessions.tell('first', text);
    if (this.sessions.knows(text)) return this.refuse('a bare token');
    if (mirrors(text, this.half)) return this.refuse('the half mirrors ours');
    const token = merge(text, this.half);
    if (this.sessions.knows(token)) return this.refuse('that token is registered');
    return this.sessions.begin(this, text, token);
  }

  hearResume(data) {
    const asked = parseResume(data);
    if (!asked || this.asked) return this.refuse('no attempt to resume, or the second one');
    if (this.sessions.plain.find(asked.token)) return this.refuse('an attempt to resume a plain session');
    this.asked = true;
    this.sessions.tell('attempt', asked);
    return this.sessions.resume(this, asked);
  }

  refuse(why) {
    this.sessions.tell('offence', why);
    this.leave(1008);
  }

  leave(code) {
    const { wire } = this;
    this.detach();
    wire.node = new Deaf(this);
    wire.close(code);
  }

  tell(hook, ...args) {
    this.sessions.tell(hook, ...args);
  }

  detach() {
    clearTimeout(this.timer);
    this.wire = null;
  }

  closed(code) {
    this.detach();
    this.sessions.tell('failed', code);
  }
}

// The server's end of a session, registered as soon as the client's half was heard.
class R1Server extends Session {
  constructor(sessions, newcomer, remote, token) {
    super(sessions.hooks, sessions.options);
    this.sessions = sessions;
    this.half = newcomer.half;
    this.remote = remote;
    this.token = token;
    this.principal = newcomer.principal;
    this.status = STATUS.PRECONNECTED;
    this.confirmed = false;
    this.window = null;
    this.stuck = 0;
    this.progress = '';
  }

  // Whether the same message would be written once more, and nothing has moved since the last attempts.
  isStuck(h) {
    const progress = `${h} ${this.received}`;
    this.stuck = progress === `${this.acked} ${this.received}` && progress === this.progress && this.sent > h ? this.stuck + 1 : 1;
    this.progress = progress;
    return this.sent > h && this.stuck >= STUCK;
  }

  hearEarly(data, binary) {
    if (this.status === STATUS.DISCONNECTED) return undefined;
    if (!binary && data.toString('latin1') === this.remote) return this.enter();
    return this.refuse('another half');
  }

  enter() {
    const known = this.confirmed;
    clearTimeout(this.window);
    this.confirmed = true;
    return super.enter(known ? 'reconnect' : 'connect');
  }

  // The socket of an attempt takes the place of the one that is here, if any, unread as that may be.
  takeOver(wire, n, h) {
    const old = this.wire;
    this.detach();
    if (old) {
      old.node = new Deaf(this);
      old.close(4001);
    }
    this.attempt = n;
    this.attach(wire);
    this.acknowledge(h);
    wire.send(`\x10r${n} ${this.received}`, false);
    this.enter();
  }

  lose() {
    super.lose();
    clearTimeout(this.window);
    const keep = this.confirmed ? this.times.window : this.times.handshake;
    if (this.status === STATUS.RECONNECTING) this.window = setTimeout(() => this.finish('expired', null), keep);
  }

  finish(why, h, code) {
    clearTimeout(this.window);
    this.sessions.bury(this, why);
    super.finish(why, h, code);
  }
}

const FORMAL = ['local', 'peer'];

// The server's side: sessions and tombstones by token. Further hooks: first(text), attempt({token, n, h}), answer(text).
class R1Sessions {
  constructor(hooks, options = {}, plain = new Sessions({})) {
    this.hooks = hooks;
    this.options = options;
    this.plain = plain;
    this.times = { handshake: 10000, ...options.times };
    this.map = new Map();
    this.tombs = new Map();
  }

  tell(hook, ...args) {
    if (this.hooks[hook]) this.hooks[hook](null, ...args);
  }

  accept(wire, half = makeHalf(), principal = null) {
    const newcomer = new Newcomer(this, half, principal);
    newcomer.open(wire);
    return newcomer;
  }

  knows(token) {
    return this.map.has(token) || this.plain.find(token) !== undefined;
  }

  begin(newcomer, remote, token) {
    const session = new R1Server(this, newcomer, remote, token);
    const { wire } = newcomer;
    newcomer.detach();
    this.map.set(token, session);
    session.attach(wire);
    this.tell('half', remote, session);
    wire.send(session.half, false);
  }

  resume(newcomer, { token, n, h }) {
    const session = this.map.get(token);
    if (!session) return newcomer.wire.send(this.epitaph(token, newcomer.principal), false);
    if (n <= session.attempt) return newcomer.leave(4409);
    if (session.principal !== newcomer.principal) return newcomer.leave(4403);
    if (!session.possible(h) || session.isStuck(h)) {
      newcomer.leave(4400);
      return session.offend(`an attempt at ${h}, where ${session.acked} to ${session.sent} can be`);
    }
    if (session.closing) {
      session.finish('local', h);
      return newcomer.wire.send(this.epitaph(token, newcomer.principal), false);
    }
    const { wire } = newcomer;
    newcomer.detach();
    return session.takeOver(wire, n, h);
  }

  epitaph(token, principal) {
    const tomb = this.tombs.get(token);
    if (!tomb || tomb.principal !== principal) return '\x10x';
    return `\x10x${tomb.h}${tomb.formal ? ' d' : ''}`;
  }

  // Removal is by identity: another session may hold the key.
  bury(session, why) {
    if (this.map.get(session.token) !== session) return;
    this.map.delete(session.token);
    this.tombs.set(session.token, { h: session.received, principal: session.principal, formal: FORMAL.includes(why) });
  }

  // What a crash and a restart leave: nothing.
  restart() {
    for (const session of this.map.values()) {
      clearTimeout(session.window);
      if (session.wire) session.drop();
      clearTimeout(session.window);
    }
    this.map.clear();
    this.tombs.clear();
  }
}

module.exports = { R1Client, R1Sessions };
