// What no node may take for a half-token, as a table that both roles try: each is answered by a close with 1008.
//
// Owns: the cases. Never: speaks to anything.
//   bytes(theirs, ours)  the offending message, made of the halves of both ends
//   binary               it is a binary message
//   second               a sound half goes first, and the offence is the second message
'use strict';

const { makeHalf } = require('./dop-plain');

const fifteen = (end) => makeHalf().slice(0, 15) + end;

module.exports = {
  'short-half': [
    { why: 'no byte at all', bytes: () => '' },
    { why: '1 byte', bytes: () => 'x' },
    { why: '15 bytes', bytes: () => makeHalf().slice(0, 15) },
  ],
  'long-half': [
    { why: '257 bytes', bytes: () => 'x'.repeat(257) },
    { why: '1,025 bytes', bytes: () => 'x'.repeat(1025) },
  ],
  'binary-half': [{ why: 'a sound half in a binary message', bytes: () => makeHalf(), binary: true }],
  'bad-byte-half': [
    { why: 'a space', bytes: () => fifteen(' ') },
    { why: 'the byte 0x7f', bytes: () => fifteen('\x7f') },
    { why: 'a character outside ASCII', bytes: () => fifteen('\u00e9') },
    { why: 'a line feed', bytes: () => fifteen('\n') },
    { why: 'a NUL', bytes: () => fifteen('\0') },
  ],
  'mirrored-half': [{ why: 'the half that was heard', bytes: (theirs) => theirs }],
  'mirrored-prefix': [
    { why: 'the first 16 characters of the half that was heard', bytes: (theirs) => theirs.slice(0, 16) },
    { why: 'the half that was heard and more', bytes: (theirs) => theirs + makeHalf() },
  ],
  'wrong-second': [
    { why: 'another half', second: true, bytes: () => makeHalf() },
    { why: 'the half and more', second: true, bytes: (theirs, ours) => `${ours}x` },
    { why: 'a part of the half', second: true, bytes: (theirs, ours) => ours.slice(0, -1) },
    { why: 'the half in a binary message', second: true, binary: true, bytes: (theirs, ours) => ours },
    { why: 'data', second: true, bytes: () => 'hello' },
  ],
};
