# A peer on the package `websockets`, see README.md.
import asyncio
import os
import secrets
import ssl
import string
import sys

import websockets
from websockets.client import WebSocketClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.server import WebSocketServerProtocol

ROLE = sys.argv[1]
CERT = os.environ.get("PEER_CERT")
COMMON = {
    "compression": "deflate" if os.environ.get("PEER_DEFLATE") else None,
    "ping_interval": None,
    "max_size": 1 << 22,
}


def say(line):
    print(line, flush=True)


def make_half():
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(16))


def merge(a, b):
    size = min(len(a), len(b))
    return "".join(sorted([a[:size], b[:size]]))


def sample(size, kind):
    if kind == "binary":
        return bytes(i % 256 for i in range(size))
    unit = "äb€𐍈c"
    times = size // len(unit.encode())
    return unit * times + "." * (size - times * len(unit.encode()))


class Telling:
    """Tells of the pings of the other end, which the package answers by itself."""

    async def pong(self, data=b""):
        say("pinged")
        await super().pong(data)


class Client(Telling, WebSocketClientProtocol):
    pass


class Server(Telling, WebSocketServerProtocol):
    pass


async def answer_ping(ws, word):
    await (await ws.ping(word))
    await ws.send("ponged " + word)


async def obey(ws, words):
    if words[1] == "send":
        data = sample(int(words[2]), words[3])
        pieces = int(words[4])
        step = max(1, -(-len(data) // pieces))
        await ws.send([data[i * step : (i + 1) * step] for i in range(pieces)])
    elif words[1] == "ping":
        asyncio.ensure_future(answer_ping(ws, words[2]))
    elif words[1] == "close":
        asyncio.ensure_future(ws.close(int(words[2]), words[3]))
    elif words[1] == "cut":
        ws.transport.abort()
    else:
        say(f"error what is {words[1]}")


# Echoes until the socket ends. Whether the session ended as well.
async def talk(ws, token):
    async for message in ws:
        if message == token:
            say("disconnected heard")
            await ws.close(1000)
            return True
        if isinstance(message, str) and message.startswith("please "):
            await obey(ws, message.split(" "))
        else:
            await ws.send(message)
    return False


async def begin(ws, half):
    theirs = await ws.recv()
    await ws.send(half)
    if await ws.recv() != theirs:
        say("error the second message is not the half again")
    say("connected")
    return merge(half, theirs)


async def client(url):
    token = None
    context = ssl.create_default_context(cafile=os.environ["PEER_CA"]) if CERT else None
    while True:
        try:
            async with websockets.connect(url, create_protocol=Client, ssl=context, **COMMON) as ws:
                try:
                    half = make_half()
                    await ws.send(token or half)
                    if token is None:
                        token = await begin(ws, half)
                    else:
                        await ws.recv()
                        if await ws.recv() != token:
                            say("error the token did not come back")
                        say("reconnected")
                    if await talk(ws, token):
                        token = None
                        break
                except ConnectionClosed:
                    pass
                finally:
                    await ws.wait_closed()
                    say(f"closed {ws.close_code}")
        except (OSError, websockets.exceptions.InvalidHandshake) as err:
            say(f"error {err}")
        await asyncio.sleep(0.02)


SESSIONS = set()


async def serve(ws):
    try:
        half = make_half()
        await ws.send(half)
        first = await ws.recv()
        token = first
        if first in SESSIONS:
            await ws.send(first)
            say("reconnected")
        else:
            await ws.send(half)
            if await ws.recv() != first:
                say("error the second message is not the half again")
            token = merge(half, first)
            SESSIONS.add(token)
            say("connected")
        if await talk(ws, token):
            SESSIONS.discard(token)
    except ConnectionClosed:
        pass
    finally:
        await ws.wait_closed()
        say(f"closed {ws.close_code}")


async def server():
    context = None
    if CERT:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERT, os.environ["PEER_KEY"])
    async with websockets.serve(
        serve, "127.0.0.1", 0, create_protocol=Server, subprotocols=["dop"], ssl=context, **COMMON
    ) as listener:
        say(f"listening {listener.sockets[0].getsockname()[1]}")
        await asyncio.Future()


asyncio.run(client(sys.argv[2]) if ROLE == "client" else server())
