// The counterpart of the r1 scenes in either role, by the book and patient: it does what r1.lua does.
//
// Owns: nothing but its sockets. Never: judges the other end. With it the peer is tested against itself.
'use strict';

const { R1Client, R1Sessions } = require('./dop-r1');
const { STATUS, ClientNode, Sessions, makeHalf } = require('./dop-plain');
const { dial } = require('./wire');
const { listen } = require('./server');

const REDIAL = 20;
const AGAIN = 100;

class End {
  constructor(run) {
    this.run = run;
    this.events = { connect: 0, reconnect: 0, disconnect: 0, message: 0 };
    this.last = { why: 'none', unsettled: [] };
    this.waiting = new Map();
  }

  hooks(more = {}) {
    return {
      connect: () => {
        this.events.connect += 1;
      },
      reconnect: () => {
        this.events.reconnect += 1;
      },
      message: (session, data, binary) => this.hear(session, data, binary),
      acked: (session) => this.flush(session),
      offence: (session, why) => this.run.step(`refuses: ${why}`),
      disconnect: (session, why, unsettled) => this.disconnected(session, why, unsettled),
      ...more,
    };
  }

  disconnected(session, why, unsettled) {
    if (session.confirmed) this.events.disconnect += 1;
    if (session.confirmed) this.last = { why: why === 'ended' ? 'peer' : why, unsettled };
  }

  say(session, data, binary = false) {
    if (!this.waiting.has(session)) this.waiting.set(session, []);
    this.waiting.get(session).push([data, binary]);
    this.flush(session);
  }

  flush(session) {
    const waiting = this.waiting.get(session) || [];
    while (waiting.length && session.send(...waiting[0]) !== 'FULL') waiting.shift();
  }

  hear(session, data, binary) {
    this.events.message += 1;
    const [, what, number] = (!binary && /^please ([a-z]+) ?([0-9]*)$/.exec(data.toString())) || [];
    if (what === undefined) return this.say(session, data, binary);
    return this[what](session, Number(number));
  }

  disconnect(session) {
    session.disconnect();
  }

  report(session) {
    const { connect, reconnect, disconnect, message } = this.events;
    const lines = [`report ${this.last.why}`, `events ${connect} ${reconnect} ${disconnect} ${message}`];
    for (const { fate, binary, data } of this.last.unsettled) {
      lines.push(`${fate} ${binary ? 'binary' : 'text'} ${data.toString('latin1').replace(/[^ -~]/g, '.')}`);
    }
    this.say(session, lines.join('\n'));
  }

  close(session) {
    this.closeAll(session);
  }

  count(session, count) {
    for (let i = 1; i <= count; i += 1) this.say(session, `counted ${i}`, i % 2 === 0);
  }

  pause(session, ms) {
    session.pause();
    setTimeout(() => session.resume(), ms);
  }

  cut(session, count) {
    const { wire } = session;
    wire.send = () => {};
    for (let i = 1; i <= count; i += 1) this.say(session, `cut ${i}`);
    wire.reset();
    setImmediate(() => session.closed(1006));
  }
}

// Both dialects, as a server under test has them. The query of the URL is the principal.
async function serve(run, port, window = 1) {
  const end = new End(run);
  const plain = new Sessions({ message: (node, data, binary) => node.send(data, binary) }, { window: 1000 * window, deadline: 1000, probe: 500 });
  const sessions = new R1Sessions(end.hooks(), { times: { window: 1000 * window, handshake: 1000, close: 1000 } }, plain);
  end.closeAll = () => {
    for (const { wire } of sessions.map.values()) if (wire) wire.close(1001);
  };
  plain.foreign = (token) => sessions.map.has(token);
  await listen(run, port, {
    open: (wire, offer, query) => (wire.ws.protocol === 'dop.r1' ? sessions.accept(wire, undefined, query) : plain.accept(wire)),
    admit: () => ({}),
    broken: (what) => run.step(`came ${what}`),
    select: (offers) => (offers.has('dop.r1') ? 'dop.r1' : offers.has('dop') && 'dop'),
  });
  await new Promise(() => {});
}

// Dials again whenever a socket is lost; after an end, as a client of its own.
async function call(run, url) {
  const end = new End(run);
  let session = null;
  let plain = null;
  const options = { times: { close: 1000 } };
  const dialAgain = () => setTimeout(start, REDIAL);
  let over = false;
  end.closeAll = () => {
    over = true;
    session.disconnect();
  };
  const hooks = end.hooks({
    fresh: (old, next) => {
      session = next;
    },
    lost: dialAgain,
    failed: dialAgain,
    closed: () => session.status === STATUS.DISCONNECTED || session.wire || dialAgain(),
    disconnect: (old, why, unsettled) => {
      end.disconnected(old, why, unsettled);
      if (why !== 'unknown' && !over) setTimeout(start, why === 'protocol' ? REDIAL : AGAIN);
    },
  });
  function start() {
    if (plain) return dial(run, url, plain, { offer: ['dop'], refused: dialAgain });
    if (!session || session.status === STATUS.DISCONNECTED || session.token === null) session = new R1Client(hooks, options);
    if (session.wire) return null;
    const open = (wire) => (wire.ws.protocol === 'dop.r1' ? session.open(wire) : downgrade(wire));
    return dial(run, url, { open }, { offer: ['dop', 'dop.r1'], select: null, refused: dialAgain });
  }
  // The server selected plain DOP: what was of dop.r1 is over, and the socket is that of a plain session.
  function downgrade(wire) {
    if (session.token !== null) session.finish('unknown', null, 0);
    plain = new ClientNode(hooks, makeHalf());
    plain.open(wire);
  }
  start();
  await new Promise(() => {});
}

module.exports = { serve, call };
