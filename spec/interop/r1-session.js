// One session of dop.r1 as either role has it once the token is known, written from the protocol text alone.
//
// Owns: the counts of both directions, what is not acknowledged yet, the limits of both ends, the grammar, the formal end.
// Never: opens a socket, dials, listens, or knows another session. It speaks to a *wire* (see dop-plain.js) and reports through *hooks*.
'use strict';

const { STATUS } = require('./dop-plain');

const DLE = 0x10;
const LIMITS = { window: 60000, message: 1 << 20, bytes: 1 << 20, messages: 1024 };
const NAMES = ['window', 'message', 'bytes', 'messages'];
// What every end takes, also one whose own limit is smaller.
const ANYBODY_TAKES = 65536;
const TIMES = { ack: 1000, close: 5000, window: 60000, handshake: 10000 };
// These codes on a CONNECTED socket end the session; whatever else happens to a socket is survived.
const FATAL = [1002, 1003, 1007, 1009, 4400];
const TAKEN = 4001;

// A decimal in its shortest form, from 0 to 2^53 - 1, or null.
function integer(text) {
  if (!/^(0|[1-9][0-9]{0,15})$/.test(text)) return null;
  const value = Number(text);
  return value <= Number.MAX_SAFE_INTEGER ? value : null;
}

// All of them, or null when one is none.
function integers(text, count) {
  const values = text.split(' ').map(integer);
  return values.length === count && !values.includes(null) ? values : null;
}

// What a text that begins with 0x10 says, or null.
function parse(data) {
  const letter = String.fromCharCode(data[1]);
  if (letter === 'm') return { letter, payload: data.subarray(2) };
  const rest = data.toString('latin1', 2);
  if (letter === 'x') {
    const [, h, ended] = /^([0-9]*)( d)?$/.exec(rest) || [null, '?'];
    if (h !== '' && integer(h) === null) return null;
    return { letter, h: h === '' ? null : integer(h), ended: Boolean(ended) };
  }
  const values = integers(rest, { p: 4, a: 1, d: 1, r: 2 }[letter]);
  return values && { letter, values };
}

// The first message of a client that comes back, or null.
function parseResume(data) {
  const match = /^([!-~]{32,512}) r ([0-9]+) ([0-9]+)$/.exec(data.toString('latin1'));
  const [n, h] = match ? [integer(match[2]), integer(match[3])] : [null, null];
  return n === null || h === null ? null : { token: match[1], n, h };
}

// Hooks, all optional: connect(session), reconnect(session), message(session, data, binary), acked(session, h), limits(session, limits),
// lost(session, code), disconnect(session, why, unsettled), offence(session, why), closed(session, code).
class Session {
  constructor(hooks, { limits = {}, times = {} } = {}) {
    this.hooks = hooks;
    this.options = { limits, times };
    this.limits = { ...LIMITS, ...limits };
    this.times = { ...TIMES, ...times };
    this.status = STATUS.OPEN;
    this.token = null;
    this.wire = null;
    this.attempt = 0;
    this.ended = null;
    this.code = null;
    this.closing = false;
    this.timer = null;
    // Outgoing: entries[0] is message number acked + 1; `cursor` is the last number written on this socket, `sent` on any.
    this.entries = [];
    this.held = 0;
    this.acked = 0;
    this.sent = 0;
    this.cursor = 0;
    // Incoming: `told` of `received` are acknowledged.
    this.received = 0;
    this.told = 0;
    this.untold = 0;
    this.ackTimer = null;
    this.paused = false;
    this.parked = [];
    this.endParked = null;
    this.peer = null;
    this.peerSpoke = false;
  }

  tell(hook, ...args) {
    if (this.hooks[hook]) this.hooks[hook](this, ...args);
  }

  attach(wire) {
    this.wire = wire;
    wire.node = this;
  }

  // Null, or the code of the refusal.
  send(data, binary = false) {
    const bytes = Buffer.from(data);
    if (this.closing || this.status === STATUS.DISCONNECTED) return 'CLOSED';
    if (bytes.length > (this.peer ? this.peer.message : ANYBODY_TAKES)) return 'TOOLARGE';
    const full = this.entries.length >= this.limits.messages || this.held + bytes.length > this.limits.bytes;
    if (this.entries.length && full) return 'FULL';
    this.entries.push({ data: bytes, binary });
    this.held += bytes.length;
    this.pump();
    return null;
  }

  pump() {
    while (this.status === STATUS.CONNECTED && this.cursor < this.acked + this.entries.length) {
      const { data, binary } = this.entries[this.cursor - this.acked];
      this.cursor += 1;
      this.sent = Math.max(this.sent, this.cursor);
      this.wire.send(this.mistakable(data, binary) ? Buffer.concat([Buffer.from('\x10m'), data]) : data, binary);
    }
  }

  mistakable(data, binary) {
    return !binary && (data[0] === DLE || data.equals(Buffer.from(this.token)));
  }

  // The socket that is attached now is confirmed; the peer's h has been applied.
  enter(hook) {
    this.status = STATUS.CONNECTED;
    this.peerSpoke = false;
    this.cursor = this.acked;
    this.told = this.received;
    this.untold = 0;
    this.wire.send(`\x10p${NAMES.map((name) => this.limits[name]).join(' ')}`, false);
    this.pump();
    return this.tell(hook);
  }

  hear(data, binary) {
    if (this.status !== STATUS.CONNECTED) return this.hearEarly(data, binary);
    const said = !binary && data[0] === DLE ? parse(data) : undefined;
    if (!binary && data.equals(Buffer.from(this.token))) return this.finish('peer', null);
    if (said === null) return this.offend('a control message that is none');
    if (!this.peerSpoke && !(said && said.letter === 'p')) return this.offend('the first message is not the limits');
    if (said === undefined) return this.deliver(data, binary);
    if (said.letter === 'm') return this.deliver(said.payload, false);
    if (said.letter === 'p') return this.hearLimits(said.values);
    if (said.letter === 'a') return this.acknowledge(said.values[0]);
    if (said.letter === 'd') return this.hearEnd(said.values[0]);
    return this.offend('an answer that nobody waits for');
  }

  hearLimits(values) {
    const limits = Object.fromEntries(NAMES.map((name, i) => [name, values[i]]));
    if (this.peerSpoke) return this.offend('the limits for the second time');
    if (this.peer && NAMES.some((name) => limits[name] < this.peer[name])) return this.offend('limits that shrink');
    if (!limits.message || !limits.messages) return this.offend('a limit that is zero');
    if (this.entries.some(({ data }) => data.length > limits.message)) return this.offend('a limit below what was accepted');
    this.peer = limits;
    this.peerSpoke = true;
    return this.tell('limits', limits);
  }

  // What an application that is paused does not take waits here, uncounted, as long as the socket lasts.
  pause() {
    this.paused = true;
  }

  resume() {
    this.paused = false;
    for (const [data, binary] of this.parked.splice(0)) this.deliver(data, binary);
    if (this.endParked !== null && !this.paused) this.hearEnd(this.endParked);
  }

  deliver(data, binary) {
    if (this.closing || this.status !== STATUS.CONNECTED) return undefined;
    if (data.length > Math.max(this.limits.message, ANYBODY_TAKES)) return this.finish('protocol', null, 1009);
    if (this.paused) return this.park(data, binary);
    return this.count(data, binary);
  }

  park(data, binary) {
    const bytes = this.parked.reduce((sum, [one]) => sum + one.length, data.length);
    const over = this.parked.length >= this.peer.messages || bytes > this.peer.bytes;
    if (this.parked.length && over) return this.offend('more than the limits said');
    return this.parked.push([data, binary]);
  }

  count(data, binary) {
    this.received += 1;
    this.untold += data.length;
    const soon = this.received - this.told >= Math.max(1, Math.min(64, Math.floor(this.peer.messages / 4)));
    this.tell('message', data, binary);
    if (this.status !== STATUS.CONNECTED) return;
    if (soon || this.untold >= Math.max(1, this.peer.bytes / 4)) this.acknowledgeNow();
    else if (!this.ackTimer) this.ackTimer = setTimeout(() => this.acknowledgeNow(), this.times.ack);
  }

  acknowledgeNow() {
    clearTimeout(this.ackTimer);
    this.ackTimer = null;
    if (this.status !== STATUS.CONNECTED || this.closing || this.told === this.received) return;
    this.told = this.received;
    this.untold = 0;
    this.wire.send(`\x10a${this.received}`, false);
  }

  possible(h) {
    return h >= this.acked && h <= this.sent;
  }

  acknowledge(h) {
    if (!this.possible(h)) return this.offend(`an acknowledgement of ${h}, where ${this.acked} to ${this.sent} can be`);
    for (const { data } of this.entries.splice(0, h - this.acked)) this.held -= data.length;
    this.acked = h;
    return this.tell('acked', h);
  }

  hearEnd(h) {
    if (!this.possible(h)) return this.offend(`an end at ${h}, where ${this.acked} to ${this.sent} can be`);
    if (this.parked.length) {
      this.endParked = h;
      return this.acknowledge(h);
    }
    if (!this.closing) this.wire.send(`\x10d${this.received}`, false);
    return this.finish(this.closing ? 'local' : 'peer', h);
  }

  // The formal end. What was accepted is written already, for pump() leaves nothing behind on a CONNECTED socket.
  disconnect() {
    if (this.status !== STATUS.CONNECTED) return this.finish('local', null);
    this.wire.send(`\x10d${this.received}`, false);
    this.closing = true;
    this.parked = [];
    this.timer = setTimeout(() => this.finish('local', null), this.times.close);
    return null;
  }

  // Over for good, with all that is not known to have been delivered. `h` is the peer's last word, or null.
  finish(why, h, code = 1000) {
    const { wire } = this;
    if (this.status === STATUS.DISCONNECTED) return;
    if (h !== null) this.acknowledge(h);
    const fate = (number) => {
      if (number > this.sent) return 'unsent';
      return h === null ? 'unknown' : 'undelivered';
    };
    const unsettled = this.entries.map((entry, i) => ({ ...entry, fate: fate(this.acked + i + 1) }));
    this.detach();
    this.status = STATUS.DISCONNECTED;
    this.ended = why;
    if (wire) {
      wire.node = new Deaf(this);
      if (code) wire.close(code);
    }
    this.tell('disconnect', why, unsettled);
  }

  // Something that cannot be: it costs the session, at both ends.
  offend(why) {
    this.tell('offence', why);
    this.finish('protocol', null, 4400);
  }

  // Before CONNECTED an offence costs the socket only.
  refuse(why) {
    const { wire } = this;
    this.tell('offence', why);
    this.lose();
    wire.node = new Deaf(this);
    wire.close(1008);
  }

  // The socket is nobody's any more; what is due is due no more.
  detach() {
    clearTimeout(this.ackTimer);
    clearTimeout(this.timer);
    this.ackTimer = null;
    this.wire = null;
    this.paused = false;
    this.parked = [];
    this.endParked = null;
  }

  // Lose the socket by reset, keep the session, tell nobody: the caller knows.
  drop() {
    this.wire.reset();
    this.lose();
  }

  closed(code) {
    this.code = code;
    if (this.status === STATUS.CONNECTED && this.closing) return this.finish('local', null, 0);
    if (this.status === STATUS.CONNECTED && FATAL.includes(code)) return this.finish('protocol', null, 0);
    if (this.status === STATUS.CONNECTED && code === TAKEN) return this.finish('taken', null, 0);
    this.lose();
    return this.tell('lost', code);
  }

  lose() {
    this.detach();
    if (this.status !== STATUS.DISCONNECTED) this.status = STATUS.RECONNECTING;
  }
}

// What listens on a wire that a session left.
class Deaf {
  constructor(session) {
    this.session = session;
  }
  hear(data, binary) {
    this.session.tell('late', data, binary);
  }
  detach() {}
  closed(code) {
    this.session.tell('closed', code);
  }
}

module.exports = { Session, Deaf, LIMITS, parse, parseResume, integer };
