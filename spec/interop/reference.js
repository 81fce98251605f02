// The two counterparts that the scenes need, by the book and patient: an echo server and a client that talks.
//
// Owns: nothing but their sockets. Never: judges the other end; it refuses what the protocol refuses and goes on.
// They let the peer be tested against itself, and show what a client or server under test has to do.
'use strict';

const { ClientNode, Sessions, makeHalf } = require('./dop-plain');
const { dial } = require('./wire');
const { listen } = require('./server');

const PLEASE = 'please disconnect';
const REDIAL = 50;

const isPlease = (data, binary) => !binary && data.toString() === PLEASE;

// Echoes until the process ends. Times in seconds.
async function echo(run, port, window = 60, deadline = 10) {
  const sessions = new Sessions(
    {
      message: (node, data, binary) => (isPlease(data, binary) ? node.disconnect() : node.send(data, binary)),
      refuse: (node, why) => run.step(`refuses: ${why}`),
    },
    { window: 1000 * window, deadline: 1000 * deadline, probe: 500 },
  );
  await listen(run, port, {
    open: (wire) => sessions.accept(wire),
    admit: () => ({}),
    broken: (what) => run.step(`came ${what}`),
  });
  await new Promise(() => {});
}

// Says `count` things after each connection and reconnection, dials again whenever the socket is lost, and ends with a disconnection.
async function talk(run, url, offer, count = 5) {
  await new Promise((resolve) => {
    let node = null;
    let timer = null;
    const say = () => {
      for (let i = 0; i < count; i += 1) node.send(`${i} ${makeHalf()}`);
    };
    const again = () => {
      clearTimeout(timer);
      timer = setTimeout(start, REDIAL);
    };
    const hooks = {
      connect(next) {
        node = next;
        say();
      },
      reconnect: say,
      message: (_, data, binary) => isPlease(data, binary) && node.disconnect(),
      lost: again,
      closed(ended) {
        if (ended.ended === 'heard' || ended.ended === 'sent') resolve();
        else again();
      },
    };
    function start() {
      if (!node || node.token === null) node = new ClientNode(hooks, makeHalf());
      dial(run, url, node, { offer, refused: again });
    }
    start();
  });
}

module.exports = { echo, talk };
