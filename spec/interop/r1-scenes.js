// The r1 scenes that are the same in both roles, and the offences that both ends close with 4400.
//
// Owns: what each scene demands. Never: decides what the protocol says, or knows its role: a `talk` is r1-client.js's or r1-server.js's.
'use strict';

const { STATUS } = require('./dop-plain');
const { describe } = require('./run');
const { Flood, binary, counting, few, fill, text, three } = require('./r1-talk');

// Every payload that could be taken for something else, and every length that changes a frame.
function payloads({ token, half, remote }) {
  const texts = [
    '', 'hello', '\u65e5\u672c\u8a9e', 'a\0b', '\ufeffmark', '\x10', '\x10\x10', '\x10m', '\x10mhello', '\x10a1', '\x10d0', '\x10x', '\x10x3 d',
    '\x10p1 1 1 1', '\x10r1 0', '\x10z', token, `${token}x`, token.slice(0, -1), `${token} r 9 0`, half, remote, `\x10m${token}`,
    fill(125, 'x'), fill(126, 'x'), `\x10${fill(124, 'x')}`, fill(65536, 'line\n'), `\x10${fill(70000, 'a')}`,
  ];
  const blobs = ['', '\0', '\x10', '\x10a5', '\x10d5', '\x10mhello', token, `${token} r 9 0`, counting(126), counting(65536), counting(300000)];
  return [...texts.map(text), ...blobs.map(binary)];
}

const scenes = {
  // The limits on both sides, the counts, and when acknowledgements come: after 64, and a second after the first.
  async connection(talk) {
    await talk.connect();
    await talk.exchange();
    const { session, run } = talk;
    const { peer } = session;
    run.check(peer && peer.message >= 65536 && peer.messages >= 1, 'expected the limits as the first message');
    await talk.settled();
    const before = talk.acks.length;
    const many = Array.from({ length: 64 }, (unused, i) => text(`many ${i}`));
    await talk.exchange(many);
    run.check(session.acked === session.sent, `expected the acknowledgement of 64 before the pong, came one of ${session.acked} of ${session.sent}`);
    const asked = Date.now();
    await talk.exchange();
    await talk.settled();
    const took = Date.now() - asked;
    run.check(took >= 900, `expected the acknowledgement of a few messages to wait for a second, came one after ${took} ms`);
    run.check(talk.acks.length - before <= 4, `expected 2 acknowledgements, came ${talk.acks.length - before}`);
    await talk.leave();
  },

  async payloads(talk) {
    await talk.connect();
    await talk.run.until(() => talk.session.peer, 'the limits of the other end');
    await talk.exchange(payloads(talk.session));
    talk.cut();
    for (const message of few()) talk.say(...message);
    await talk.back();
    await talk.run.until(() => talk.run.events.length === few().length, 'the echoes of what was said without a socket');
    talk.run.events.splice(0);
    await talk.exchange(payloads(talk.session));
    await talk.leave();
  },

  // The largest message that the other end takes, and one byte more, which costs the session.
  async largest(talk) {
    await talk.connect();
    await talk.run.until(() => talk.session.peer, 'the limits of the other end');
    const most = talk.session.peer.message;
    for (const message of [text(`\x10${'x'.repeat(most - 1)}`), binary(counting(most))]) await talk.exchange([message]);
    const refused = talk.session.send(Buffer.alloc(most + 1), true);
    talk.run.check(refused === 'TOOLARGE', `expected TOOLARGE above ${most} bytes, came ${refused}`);
    for (const message of [text('x'.repeat(most + 1)), text(`\x10m${'x'.repeat(most + 1)}`), binary(counting(most + 1))]) {
      talk.session.wire.send(...message);
      const { why, session } = await talk.run.pick(['disconnect'], 'the close with 1009 for a message above the limit');
      talk.run.check(why === 'protocol' && session.code === 1009, `expected the close with 1009, came ${session.code}`);
      await talk.isOver(session);
      await talk.anew();
    }
    await talk.leave();
  },

  async cuts(talk) {
    await talk.connect();
    const flood = new Flood(talk, 2000);
    await flood.cuts(30);
    await talk.exchange();
    await talk.expectReport('none', [], { connect: 1, reconnect: 30, disconnect: 0 });
    await talk.settled();
    await talk.leave();
  },

  // The end under test loses the socket itself, with messages that cannot have left.
  async 'cuts-by-end'(talk) {
    await talk.connect();
    for (let i = 0; i < 5; i += 1) {
      talk.say('please cut 20');
      talk.heard = null;
      const cut = Array.from({ length: 20 }, (unused, k) => text(`cut ${k + 1}`));
      const seen = [];
      while (seen.length < 20 || talk.session.status !== STATUS.CONNECTED || talk.run.events.length) {
        const event = await talk.run.take(['message', 'lost', 'reconnect'], 'what was said before the cut, and the session back');
        if (event.type === 'message') seen.push(event);
        else if (event.type === 'lost') talk.again();
      }
      seen.forEach((event, k) => talk.run.check(event.data.equals(cut[k][0]), `expected "cut ${k + 1}", came ${event.said}`));
      await talk.exchange();
    }
    await talk.leave();
  },

  // We end: what we said had come; what was said to us after that had not, and is handed back over there.
  async disconnection(talk) {
    await talk.connect();
    await talk.exchange();
    for (const said of three('last')) talk.say(said);
    talk.session.disconnect();
    await talk.expectEnd('local', [], 'the answer to our end');
    await talk.expectClose([1000, 1005], 'the close with 1000 after the answer');
    await talk.anew();
    await talk.expectReport('peer', three('undelivered text last'), { connect: 2, reconnect: 0, disconnect: 1 });
    await talk.leave();
  },

  // They end: what we said behind that is heard by nobody there, and is handed back here. Heard are what was exchanged, and two wishes.
  async 'disconnection-by-end'(talk) {
    await talk.connect();
    await talk.exchange();
    talk.say('please disconnect');
    for (const said of three('late')) talk.say(said);
    await talk.expectEnd('peer', three('late').map((said) => ['undelivered', said]), 'the formal end');
    await talk.expectClose([1000, 1005], 'the close with 1000 after our answer');
    await talk.anew();
    await talk.expectReport('local', [], { connect: 2, reconnect: 0, disconnect: 1, message: few().length + 2 });
    await talk.leave();
  },

  // Both at once: the two ends are each other's answers.
  async 'disconnection-by-both'(talk) {
    await talk.connect();
    await talk.exchange();
    talk.say('please disconnect');
    talk.session.disconnect();
    await talk.expectEnd('local', [], 'the end of the other side');
    await talk.expectClose([1000, 1005], 'the close with 1000');
    await talk.anew();
    await talk.expectReport('local', [], { connect: 2, disconnect: 1 });
    await talk.leave();
  },

  // Paused, it answers pings and delivers nothing; what was kept aside when a socket is lost comes again.
  async pause(talk) {
    await talk.connect();
    await talk.exchange();
    await talk.settled();
    for (const cut of [false, true]) {
      const { acked } = talk.session;
      talk.say('please pause 1000');
      const said = Array.from({ length: 100 }, (unused, i) => text(`parked ${i}`));
      for (const message of said) talk.say(...message);
      await talk.barrier('no echo of a paused end');
      await talk.run.quiet(300, 'no echo of a paused end');
      talk.run.check(talk.session.acked <= acked + 1, `expected no acknowledgement of what is parked, came ${talk.session.acked - acked}`);
      if (cut) {
        talk.cut();
        await talk.back();
      }
      for (const message of said) await talk.hear(message);
      await talk.exchange();
      await talk.settled();
    }
    await talk.leave();
  },

  // Our end finds it paused: what came before is delivered first, and then it answers.
  async 'end-while-paused'(talk) {
    await talk.connect();
    await talk.exchange();
    const began = Date.now();
    talk.say('please pause 600');
    for (const said of three('parked')) talk.say(said);
    talk.session.disconnect();
    await talk.expectEnd('local', [], 'the answer to our end, when it has read what came before');
    talk.run.check(Date.now() - began > 400, 'expected no answer while it is paused');
    await talk.expectClose([1000, 1005], 'the close with 1000 after the answer');
    await talk.anew();
    await talk.expectReport('peer', three('undelivered text parked'), { connect: 2, disconnect: 1 });
    await talk.leave();
  },

  // It holds what is not acknowledged, within its limits; more comes when that is.
  async held(talk) {
    await talk.connect();
    await talk.exchange();
    const { session, run } = talk;
    session.acknowledgeNow();
    const { messages } = session.peer;
    const total = messages + 500;
    let counted = 0;
    session.acknowledgeNow = () => {};
    talk.heard = (data) => {
      counted += 1;
      if (data.toString() !== `counted ${counted}`) run.fail(`expected "counted ${counted}", came ${describe(data, false)}`);
    };
    talk.say(`please count ${total}`);
    await run.until(() => counted >= messages, `${messages} messages`);
    await run.quiet(200, 'nothing while nothing is acknowledged');
    run.check(counted === messages, `expected ${messages} messages without an acknowledgement, came ${counted}`);
    talk.cut();
    const before = session.received;
    await talk.back();
    await run.quiet(200, 'nothing more than what the first socket brought');
    delete session.acknowledgeNow;
    run.check(counted > messages && session.received > before, 'expected more messages after an acknowledgement by the attempt');
    session.acknowledgeNow();
    await run.until(() => counted === total, `${total} messages`);
    talk.heard = null;
    await talk.exchange();
    await talk.leave();
  },

  // Of a peer that holds little it acknowledges early: after a quarter of the messages, or of the bytes.
  async 'small-limits'(talk) {
    talk.limit({ messages: 8, bytes: 4000 });
    await talk.connect();
    const { session, run } = talk;
    await run.until(() => session.peer, 'the limits of the other end');
    for (let i = 0; i < 40; i += 1) {
      await run.until(() => session.entries.length < 8, 'an acknowledgement');
      talk.say(`${i}`);
    }
    for (let i = 0; i < 40; i += 1) await talk.hear(text(`${i}`));
    await talk.barrier('nothing more');
    run.check(session.sent === session.acked, `expected an acknowledgement of every second message, came ${session.acked} of ${session.sent}`);
    await talk.settled();
    talk.say(counting(1000), true);
    await talk.hear(binary(counting(1000)));
    await talk.barrier('nothing more');
    run.check(session.acked === session.sent, 'expected an acknowledgement of a quarter of the bytes at once');
    await talk.leave();
  },

  // More than we said that we would hold, to an end that is paused.
  async overrun(talk) {
    talk.limit({ messages: 8, bytes: 4000 });
    await talk.connect();
    await talk.run.until(() => talk.session.peer, 'the limits of the other end');
    talk.offences = true;
    talk.say('please pause 1500');
    await talk.barrier('nothing');
    for (let i = 0; i < 9; i += 1) talk.session.wire.send(`${i}`, false);
    await talk.expectOver('more than the limits said');
  },

  // Our answer to its end never comes: after the close timeout it ends all the same.
  async 'end-unanswered'(talk) {
    await talk.connect();
    await talk.exchange();
    const { session, run } = talk;
    session.acknowledgeNow();
    await talk.barrier('nothing');
    talk.say('please count 1');
    talk.say('please disconnect');
    session.hear = () => {};
    const began = Date.now();
    session.closed = (code) => run.push('closed', `the close of the socket with ${code}`, { code });
    await talk.expectClose([1000, 1005], 'the close with 1000 after the close timeout');
    run.check(Date.now() - began > 500, 'expected a second for our answer');
    await talk.anew();
    await talk.expectReport('local', ['unknown text counted 1'], { connect: 2, disconnect: 1 });
    await talk.leave();
  },

  // A bare token ends the session as well, even as the first message. It settles nothing.
  async 'bare-token'(talk) {
    await talk.connect();
    await talk.exchange();
    talk.session.acknowledgeNow();
    talk.say('please count 1');
    await talk.hear(text('counted 1'));
    talk.bare();
    await talk.expectClose([1000, 1005], 'the close with 1000 after a bare token');
    await talk.anew();
    await talk.expectReport('peer', ['unknown text counted 1'], { connect: 2, disconnect: 1 });
    talk.substitutes = [[talk.session.token, false]];
    talk.cut();
    await talk.back();
    await talk.run.pick(['lost'], 'the close with 1000 after a bare token in place of the limits');
    await talk.anew();
    await talk.leave();
  },

  // An idle session that is cut a dozen times goes on.
  async 'cuts-of-nothing'(talk) {
    await talk.connect();
    await talk.exchange();
    await talk.settled();
    talk.session.acknowledgeNow();
    for (let i = 0; i < 12; i += 1) {
      talk.cut();
      await talk.back();
    }
    await talk.exchange();
    await talk.leave();
  },
};

// How sockets are closed under a session. The numbers are close codes.
const OVER = [1002, 1003, 1007, 1009, 4400];
const SURVIVED = [1000, 1001, 1008, 1011, 1013, 4403, 4409, 4999];

scenes['close-codes'] = async (talk) => {
  await talk.connect();
  await talk.exchange();
  for (const code of SURVIVED) {
    await talk.gone(code);
    await talk.back();
    await talk.exchange();
  }
  for (const code of OVER) {
    await talk.exchange();
    const unsettled = few().length;
    talk.run.check(talk.untold() >= unsettled, 'expected echoes that are not acknowledged yet');
    await talk.gone(code);
    await talk.anew();
    const { reason, unsettled: back } = await talk.report();
    talk.run.check(reason === 'protocol', `expected the session to end over there with "protocol" after ${code}, came "${reason}"`);
    talk.run.check(back.length >= unsettled, `expected ${unsettled} messages handed back over there, came ${back.length}`);
  }
  await talk.leave();
};

// What cannot be, said on a CONNECTED socket in a session where `sent` messages were said and `heard` heard.
const LIMITS = '60000 1048576 1048576 1024';
const offences = {
  'an acknowledgement of what was never said': ({ received }) => `\x10a${received + 1}`,
  'an acknowledgement that shrinks': () => '\x10a0',
  'an acknowledgement with a leading zero': ({ received }) => `\x10a0${received}`,
  'an acknowledgement without a number': () => '\x10a',
  'an acknowledgement below zero': () => '\x10a-1',
  'an acknowledgement of 2^53': () => '\x10a9007199254740992',
  'an acknowledgement with more behind it': ({ received }) => `\x10a${received} `,
  'an end at what was never said': ({ received }) => `\x10d${received + 1}`,
  'an end without a number': () => '\x10d',
  'limits for the second time': () => `\x10p${LIMITS}`,
  'an answer to nothing': ({ received }) => `\x10r1 ${received}`,
  'a word about a session that is gone': () => '\x10x',
  'a letter that is none': () => '\x10z',
  'no letter': () => '\x10',
};

// What cannot be the first message.
const firsts = {
  'data before the limits': () => ['hello', false],
  'binary data before the limits': () => ['hello', true],
  'data in an envelope before the limits': () => ['\x10mhello', false],
  'an acknowledgement before the limits': () => ['\x10a0', false],
  'the limits in a binary message': () => [`\x10p${LIMITS}`, true],
  'three limits': () => ['\x10p60000 1048576 1048576', false],
  'five limits': () => [`\x10p${LIMITS} 1`, false],
  'a limit with a leading zero': () => [`\x10p0${LIMITS}`, false],
  'no largest message': () => ['\x10p60000 0 1048576 1024', false],
  'no message at all': () => ['\x10p60000 1048576 1048576 0', false],
  'limits that shrink': () => ['\x10p60000 1048576 1048575 1024', false, 'later'],
  'a window that shrinks': () => ['\x10p59999 1048576 1048576 1024', false, 'later'],
};

// Each costs the session it was said in, and no other one: `other` is one whose socket stays open through all of it.
scenes.offences = async (talk) => {
  const other = await talk.another();
  talk.offences = true;
  for (const [why, make] of Object.entries(offences)) {
    talk.run.step(`case: ${why}`);
    await talk.anew();
    await talk.exchange();
    talk.session.acknowledgeNow();
    talk.session.wire.send(make(talk.session), false);
    await talk.expectOver(why);
  }
  await other();
};

scenes['first-offences'] = async (talk) => {
  const other = await talk.another();
  const cases = Object.entries(firsts).map(([why, make]) => [why, ...make()]);
  talk.offences = true;
  for (const [, data, isBinary, later] of cases) talk.substitutes.push(...(later ? [null] : []), [data, isBinary]);
  for (const [why, , , later] of cases) {
    talk.run.step(`case: ${why}`);
    await talk.anew();
    if (later) {
      await talk.exchange();
      talk.cut();
      await talk.back();
    }
    await talk.expectOver(why);
  }
  await other();
};

module.exports = { scenes };
