// One run of one scene: what happened, in order, and what the scene waits for.
//
// Owns: the queue of events, the failure, and the words that describe a message.
// Never: knows the protocol or a socket. Whatever arrives and was not asked for is a failure at the next question.
'use strict';

class Failure extends Error {}

// A message in words, short enough for one line.
function describe(data, binary) {
  const head = data.subarray(0, 48);
  const shown = binary ? head.toString('hex') : JSON.stringify(head.toString('utf8'));
  return `${binary ? 'binary' : 'text'} of ${data.length} bytes ${shown}${data.length > 48 ? '...' : ''}`;
}

// Where two payloads part, for those too long to print.
function firstDifference(a, b) {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at += 1;
  return at;
}

class Run {
  constructor(name, limit) {
    this.name = name;
    this.limit = limit;
    this.began = Date.now();
    this.events = [];
    this.waiter = null;
    this.silence = null;
    this.waitingFor = 'the scene to begin';
    this.failed = new Promise((resolve, reject) => {
      this.reject = reject;
    });
    this.failed.catch(() => {});
    this.timer = setTimeout(() => {
      this.fail(`expected ${this.waitingFor}, came nothing more within ${limit} ms of the whole scene`);
    }, limit);
  }

  step(line) {
    if (process.env.PEER_VERBOSE === '1') {
      process.stderr.write(`${String(Date.now() - this.began).padStart(5)} ${this.name}: ${line}\n`);
    }
  }

  // From a callback: nobody can catch there, so the whole run is rejected. The first failure is the one that tells.
  fail(sentence) {
    this.step(`failure: ${sentence}`);
    this.reject(new Failure(sentence));
  }

  push(type, said, detail = {}) {
    this.step(`event: ${said}`);
    const event = { type, said, ...detail };
    if (this.silence) return this.fail(`expected ${this.silence}, came ${said}`);
    this.events.push(event);
    if (this.waiter) this.waiter();
  }

  // The next event, which must be of this type, or one of these.
  async take(types, what) {
    this.waitingFor = what;
    if (!this.events.length) {
      await new Promise((resolve) => {
        this.waiter = resolve;
      });
      this.waiter = null;
    }
    const event = this.events.shift();
    if (![].concat(types).includes(event.type)) throw new Failure(`expected ${what}, came ${event.said}`);
    return event;
  }

  // The first event of these types, whatever came before it on other sockets; that stays to be asked for.
  async pick(types, what) {
    this.waitingFor = what;
    const find = () => this.events.findIndex((event) => types.includes(event.type));
    while (find() < 0) {
      await new Promise((resolve) => {
        this.waiter = resolve;
      });
      this.waiter = null;
    }
    return this.events.splice(find(), 1)[0];
  }

  nothingMore(what) {
    if (this.events.length) throw new Failure(`expected ${what}, came ${this.events[0].said}`);
  }

  // Time in which nothing may happen.
  async quiet(ms, what) {
    this.nothingMore(what);
    this.waitingFor = what;
    this.silence = what;
    await new Promise((resolve) => setTimeout(resolve, ms));
    this.silence = null;
  }

  // A condition that no event tells of.
  async until(holds, what) {
    this.waitingFor = what;
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  check(truth, sentence) {
    if (!truth) throw new Failure(sentence);
  }
}

module.exports = { Run, Failure, describe, firstDifference };
