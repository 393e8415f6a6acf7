"""The recipe's WebSocket server on Python's `websockets`: it answers `Server received from client: TEXT` to text and
sends binary messages back. Started by `testkit/src/python.rs`; everything it sees goes to standard output, one JSON
object a line, the first of which says that it listens.

    echo.py --host 127.0.0.1 --port 8010 [--deflate] [--protocols chat,superchat] [--fragment FRAMES]

With --fragment, binary messages go back in so many frames. Text that begins with a slash is a command to the server:
    /close CODE TEXT   closes with that code and reason
    /ping TEXT         sends a ping
    /fragments A B C   answers one message in as many frames as there are words
"""

import argparse
import asyncio
import hashlib
import json

import websockets


def say(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


def pieces(data, count):
    size = max(1, -(-len(data) // count))
    return [data[at : at + size] for at in range(0, len(data), size)] or [b""]


async def command(socket, name, words):
    if name == "close":
        await socket.close(int(words[0]), " ".join(words[1:]))
    elif name == "ping":
        data = " ".join(words)
        answered = await socket.ping(data)
        answered.add_done_callback(lambda done: done.exception() or say("pong", data=data))
    elif name == "fragments":
        await socket.send(words)


async def answer(socket, message, options):
    binary = isinstance(message, bytes)
    data = message if binary else message.encode()
    say("message", binary=binary, length=len(data), sha256=hashlib.sha256(data).hexdigest())
    if binary:
        await socket.send(pieces(data, options.fragment) if options.fragment > 1 else data)
    elif message.startswith("/"):
        name, *words = message[1:].split(" ")
        await command(socket, name, words)
    else:
        await socket.send(f"Server received from client: {message}")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--deflate", action="store_true")
    parser.add_argument("--protocols", default="")
    parser.add_argument("--fragment", type=int, default=1)
    options = parser.parse_args()

    async def serve(socket, *_path):
        extensions = ", ".join(extension.name for extension in getattr(socket, "protocol", socket).extensions)
        say("open", extensions=extensions)
        try:
            async for message in socket:
                await answer(socket, message, options)
        except websockets.ConnectionClosed:
            pass
        say("close", code=socket.close_code, reason=socket.close_reason)

    await websockets.serve(
        serve,
        options.host,
        options.port,
        compression="deflate" if options.deflate else None,
        subprotocols=[name for name in options.protocols.split(",") if name] or None,
        max_size=64 << 20,
        ping_interval=None,
    )
    say("ready", port=options.port)
    await asyncio.Event().wait()


asyncio.run(main())
