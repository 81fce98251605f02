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

const PEER = path.join(__dirname, 'peer.js');
const SHORT = '0.5';

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
  return failures;
}

main().then((failures) => process.exit(failures ? 1 : 0));
