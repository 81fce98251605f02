#!/usr/bin/env node
// The command line of the JavaScript peer: one scene, one role, one verdict.
//
// Owns: the arguments, the exit code, the bound on the whole run. Never: knows a step of any scene.
'use strict';

const { Run, Failure } = require('./run');
const client = require('./client');
const server = require('./server');
const reference = require('./reference');
const r1client = require('./r1-client');
const r1server = require('./r1-server');
const r1reference = require('./r1-reference');

const USAGE = `usage: node peer.js client URL SCENE [SECONDS]
       node peer.js server PORT SCENE [COUNT]
       node peer.js r1-client URL SCENE
       node peer.js r1-server PORT SCENE
client scenes: ${Object.keys(client.scenes).join(' ')}
server scenes: ${Object.keys(server.scenes).join(' ')}
r1-client scenes: ${Object.keys(r1client.scenes).join(' ')}
r1-server scenes: ${Object.keys(r1server.scenes).join(' ')}
counterparts:  client URL talk [COUNT], server PORT echo [WINDOW [DEADLINE]], r1-client URL call, r1-server PORT serve
environment:   PEER_TIMEOUT_MS (10000), PEER_VERBOSE=1, PEER_OFFER (subprotocols of the client, "dop")
`;

const has = (table, name) => Object.prototype.hasOwnProperty.call(table, name);
const isCount = (text) => text === undefined || (text !== '' && Number(text) >= 0);
const number = (text) => (text === undefined ? undefined : Number(text));

function runClient(run, url, scene, [arg]) {
  const offer = process.env.PEER_OFFER ? process.env.PEER_OFFER.split(/, */) : [];
  if (scene === 'talk') return reference.talk(run, url, offer, number(arg));
  return client.scenes[scene](new client.Client(run, url, offer), arg);
}

async function runServer(run, port, scene, [arg, other]) {
  if (scene === 'echo') return reference.echo(run, port, number(arg), number(other));
  const host = new server.Host(run, arg === undefined ? 5 : Number(arg));
  await host.listen(port);
  return server.scenes[scene](host);
}

function runR1Client(run, url, scene) {
  if (scene === 'call') return r1reference.call(run, url);
  return r1client.scenes[scene](new r1client.Client(run, url));
}

async function runR1Server(run, port, scene, [arg]) {
  if (scene === 'serve') return r1reference.serve(run, port, number(arg));
  const host = new r1server.Host(run);
  await host.listen(port);
  return r1server.scenes[scene](host);
}

// Null when the command line asks for nothing we know.
function choose([role, where, scene, ...args]) {
  if (where === undefined || !args.every(isCount)) return null;
  if (role === 'client' && (scene === 'talk' || has(client.scenes, scene))) {
    return { name: `client ${scene}`, play: (run) => runClient(run, where, scene, args) };
  }
  if (role === 'server' && /^\d+$/.test(where) && (scene === 'echo' || has(server.scenes, scene))) {
    return { name: `server ${scene}`, play: (run) => runServer(run, Number(where), scene, args) };
  }
  if (role === 'r1-client' && (scene === 'call' || has(r1client.scenes, scene))) {
    return { name: `r1-client ${scene}`, play: (run) => runR1Client(run, where, scene) };
  }
  if (role === 'r1-server' && /^\d+$/.test(where) && (scene === 'serve' || has(r1server.scenes, scene))) {
    return { name: `r1-server ${scene}`, play: (run) => runR1Server(run, Number(where), scene, args) };
  }
  return null;
}

async function main() {
  const choice = choose(process.argv.slice(2));
  if (!choice) {
    process.stderr.write(USAGE);
    return 2;
  }
  const run = new Run(choice.name, Number(process.env.PEER_TIMEOUT_MS) || 10000);
  try {
    await Promise.race([choice.play(run), run.failed]);
    process.stdout.write(`ok ${choice.name}\n`);
    return 0;
  } catch (err) {
    process.stderr.write(`failed ${choice.name}: ${err instanceof Failure ? err.message : err.stack}\n`);
    return 1;
  }
}

// Sockets that are still open go with the process: nothing of a scene outlives its verdict.
main().then((code) => process.exit(code));
