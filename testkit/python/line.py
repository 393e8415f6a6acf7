"""A bad line between this network namespace and a new one: it loses some packets, holds most back for a while and lets the
others overtake them, as Linux' netem does, which few kernels at hand have. Needs the right to make namespaces and TUN
devices. Started by `testkit/src/network/far.rs`, which gives the addresses; ends with its standard input.

    line.py --near 10.71.0.1 --far 10.71.0.2 --loss 0.01 --reorder 0.25 --delay-ms 5 --seed 7

The first line of its output says which process holds the far namespace. {"tell": true} asks for the counts.
"""

import argparse
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x0001 | 0x1000
PACKET_BYTES_MAX = 65536
# As much as a router would hold: a sender that fills it loses packets to its own haste.
QUEUE_PACKETS_MAX = 4000


def say(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


def tun(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN_NO_PI))
    return device


def run(*words):
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def far_namespace():
    """A process that does nothing but hold a network namespace, and dies with this one."""
    words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"]
    holder = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    if holder.stdout.readline() != b"up\n":
        raise OSError("no network namespace can be made")
    return holder


def lay(options):
    """The two ends of the line as file descriptors, and who holds the far namespace."""
    holder = far_namespace()
    near, far = tun("near"), tun("far")
    run("ip", "link", "set", "far", "netns", str(holder.pid))
    inside = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
    for prefix, name, own, other in [([], "near", options.near, options.far), (inside, "far", options.far, options.near)]:
        run(*prefix, "ip", "address", "add", own, "peer", other, "dev", name)
        run(*prefix, "ip", "link", "set", name, "up")
    return near, far, holder


def carry(options, near, far):
    dice = random.Random(options.seed)
    counts = {"packets": 0, "lost": 0, "early": 0}
    other = {near: far, far: near}
    waiting = []
    delay = options.delay_ms / 1000
    orders = sys.stdin.fileno()
    while True:
        timeout = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        ready, _, _ = select.select([near, far, orders], [], [], timeout)
        if orders in ready:
            if not os.read(orders, 4096):
                return
            say("told", **counts)
        for end in ready:
            if end != orders:
                packet = os.read(end, PACKET_BYTES_MAX)
                counts["packets"] += 1
                if dice.random() < options.loss or len(waiting) >= QUEUE_PACKETS_MAX:
                    counts["lost"] += 1
                    continue
                is_early = bool(waiting) and dice.random() < options.reorder
                counts["early"] += is_early
                due = time.monotonic() + (0 if is_early else delay)
                heapq.heappush(waiting, (due, counts["packets"], other[end], packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, end, packet = heapq.heappop(waiting)
            try:
                os.write(end, packet)
            except OSError:
                # The device takes no more for now; one more packet is lost.
                counts["lost"] += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--near", required=True)
    parser.add_argument("--far", required=True)
    for name in ["loss", "reorder", "delay-ms", "seed"]:
        parser.add_argument(f"--{name}", type=float, default=0)
    options = parser.parse_args()
    try:
        near, far, holder = lay(options)
    except (OSError, subprocess.CalledProcessError) as error:
        say("line", why=str(error))
        return
    say("line", holder=holder.pid)
    carry(options, near, far)


main()
