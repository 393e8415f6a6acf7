"""A WebSocket client on Python's `websockets`, driven line by line: it obeys JSON objects on standard input and prints
what happens as JSON objects on standard output. Started by `testkit/src/python.rs`.

    client.py URL [--deflate] [--protocol chat]... [--ca FILE --name SERVER]

{"text": "…"}  {"fragments": ["a", "b"]}  {"random": BYTES}  {"pieces": [BYTES, FRAMES]}  {"ping": "…"}
{"close": [CODE, "…"]}
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import ssl
import sys

import websockets


def say(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


def told(data):
    """How a message that was sent is told of."""
    say("sent", length=len(data), sha256=hashlib.sha256(data).hexdigest())
    return data


def pieces(data, count):
    size = max(1, -(-len(data) // count))
    return [data[at : at + size] for at in range(0, len(data), size)]


async def obey(socket, order):
    for name, value in order.items():
        if name == "text":
            await socket.send(value)
        elif name == "fragments":
            await socket.send(value)
        elif name == "random":
            await socket.send(told(os.urandom(value)))
        elif name == "pieces":
            length, count = value
            # Four letters: something for a compressor to do.
            data = bytes(random.choices(b"abcd", k=length))
            await socket.send(pieces(told(data), count))
        elif name == "ping":
            answered = await socket.ping(value)
            answered.add_done_callback(lambda done: done.exception() or say("pong", data=value))
        elif name == "close":
            await socket.close(*value)


async def listen(socket):
    try:
        async for message in socket:
            binary = isinstance(message, bytes)
            data = message if binary else message.encode()
            text = None if binary or len(data) > 65536 else message
            say("message", binary=binary, length=len(data), sha256=hashlib.sha256(data).hexdigest(), text=text)
    except websockets.ConnectionClosed:
        pass
    say("close", code=socket.close_code, reason=socket.close_reason)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--deflate", action="store_true")
    parser.add_argument("--protocol", action="append", default=None)
    parser.add_argument("--ca")
    parser.add_argument("--name")
    options = parser.parse_args()
    # Over TLS: whom to trust, and the server's name.
    tls = {"ssl": ssl.create_default_context(cafile=options.ca), "server_hostname": options.name} if options.ca else {}
    socket = await websockets.connect(
        options.url,
        compression="deflate" if options.deflate else None,
        subprotocols=options.protocol,
        **tls,
        max_size=64 << 20,
        # Its own pings would be answered before the gateway's are looked for.
        ping_interval=None,
    )
    extensions = ", ".join(extension.name for extension in getattr(socket, "protocol", socket).extensions)
    say("open", protocol=socket.subprotocol or "", extensions=extensions)
    listening = asyncio.ensure_future(listen(socket))
    orders = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)

    async def obeys():
        while line := await orders.readline():
            await obey(socket, json.loads(line))

    obeying = asyncio.ensure_future(obeys())
    await listening
    obeying.cancel()


asyncio.run(main())
