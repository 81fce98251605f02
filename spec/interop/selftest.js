#!/usr/bin/env node
// The peer against itself: every scene of one role against the patient counterpart of the other.
//
// Owns: the child processes it starts, and ends each by its own handle. Never: shows that the scenes are strict, only that
// they can be passed.
'use strict';

const { spawn } = require('child_process');
const path = require('path');

const client = require('./client');
const server = require('./server');
const r1client = require('./r1-client');
const r1server = require('./r1-server');

const PEER = path.join(__dirname, 'peer.js');
const SHORT = '0.5';
// A client of the package `ws` takes no answer without a subprotocol to an offer of some.
const BEYOND_WS = ['downgrade-to-nothing'];

function start(...args) {
  return spawn(process.execPath, [PEER, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}

function listening(child) {
  return new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error('the server ended before it listened')));
    child.stdout.once('data', (data) => resolve(/listening (\S+)/.exec(data.toString())[1]));
  });
}

function ended(child) {
  return new Promise((resolve) => child.once('exit', resolve));
}

// The verdict is that of the end which plays the scene; the other one is stopped.
async function play(judge, other, name) {
  const began = Date.now();
  const code = await ended(judge);
  other.kill();
  process.stdout.write(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} ${Date.now() - began} ms\n`);
  return code === 0;
}

async function main() {
  let failures = 0;
  for (const scene of Object.keys(client.scenes)) {
    const host = start('server', '0', 'echo', SHORT, SHORT);
    const url = await listening(host);
    if (!(await play(start('client', url, scene, SHORT), host, `client ${scene}`))) failures += 1;
  }
  for (const scene of Object.keys(server.scenes)) {
    const host = start('server', '0', scene);
    const url = await listening(host);
    if (!(await play(host, start('client', url, 'talk'), `server ${scene}`))) failures += 1;
  }
  for (const scene of Object.keys(r1client.scenes)) {
    const host = start('r1-server', '0', 'serve');
    const url = await listening(host);
    if (!(await play(start('r1-client', url, scene), host, `r1-client ${scene}`))) failures += 1;
  }
  for (const scene of Object.keys(r1server.scenes).filter((name) => !BEYOND_WS.includes(name))) {
    const host = start('r1-server', '0', scene);
    const url = await listening(host);
    if (!(await play(host, start('r1-client', url, 'call'), `r1-server ${scene}`))) failures += 1;
  }
  return failures;
}

main().then((failures) => process.exit(failures ? 1 : 0));
