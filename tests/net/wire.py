#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A bad network between hosts, in user space: a hub that hands Ethernet
frames from one interface to another with delay, jitter, loss, reordering and
cuts.  It needs no kernel module (netem is often missing) and its faults can
be aimed at one direction between two hosts.

    wire.py seed interface...       in the hub's network namespace

Orders come as lines on standard input, each is answered by `ok` or `error`:

    delay MS JITTER_MS      one way, every frame
    loss PERCENT
    reorder PERCENT         such a frame is held for 10 ms more
    cut I J                 nothing from host I to host J (numbers from 1)
    mend                    no cuts
    count                   frames carried, lost, cut
"""

import heapq
import itertools
import os
import random
import selectors
import socket
import sys
import time

FRAME_MAX = 65536
QUEUE_MAX = 20000  # frames; past it the network drops, as networks do


class Wire:
    def __init__(self, seed, interfaces):
        self.rng = random.Random(seed)
        self.sockets = []
        for name in interfaces:
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                              socket.htons(3))
            s.bind((name, 0))
            s.setblocking(False)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            self.sockets.append(s)
        self.places = {}  # hardware address -> number of the socket
        self.delay = self.jitter = self.loss = self.reorder = 0.0
        self.cuts = set()
        self.queue = []
        self.order = itertools.count()
        self.carried = self.lost = self.cut = 0
        self.last = {}  # (from, to) -> when its last frame arrives

    def obey(self, words):
        what, *rest = words
        if what == "delay":
            self.delay, self.jitter = (float(x) / 1000 for x in rest)
        elif what == "loss":
            self.loss = float(rest[0]) / 100
        elif what == "reorder":
            self.reorder = float(rest[0]) / 100
        elif what == "cut":
            self.cuts.add((int(rest[0]) - 1, int(rest[1]) - 1))
        elif what == "mend":
            self.cuts.clear()
        elif what != "count":
            raise ValueError(f"no such order: {what}")
        return f"ok {self.carried} {self.lost} {self.cut}"

    def _send(self, source, target, frame, now):
        if (source, target) in self.cuts:
            self.cut += 1
            return
        if self.rng.random() < self.loss or len(self.queue) > QUEUE_MAX:
            self.lost += 1
            return
        due = now + self.delay + self.jitter * self.rng.random()
        # Jitter alone keeps the order, as a queue in a router does.
        due = max(due, self.last.get((source, target), 0))
        if self.rng.random() < self.reorder:
            due += 0.010
        else:
            self.last[source, target] = due
        heapq.heappush(self.queue, (due, next(self.order), target, frame))

    def _take(self, source, now):
        for _ in range(64):
            try:
                frame, where = self.sockets[source].recvfrom(FRAME_MAX)
            except BlockingIOError:
                return
            if where[2] == socket.PACKET_OUTGOING:
                continue
            self.places[frame[6:12]] = source
            known = self.places.get(frame[:6])
            targets = [known] if known is not None else range(
                len(self.sockets))
            for target in targets:
                if target != source:
                    self._send(source, target, frame, now)

    def _deliver(self, now):
        while self.queue and self.queue[0][0] <= now:
            _, _, target, frame = heapq.heappop(self.queue)
            try:
                self.sockets[target].send(frame)
                self.carried += 1
            except OSError:
                self.lost += 1

    def run(self):
        selector = selectors.DefaultSelector()
        for n, s in enumerate(self.sockets):
            selector.register(s, selectors.EVENT_READ, n)
        os.set_blocking(0, False)
        selector.register(0, selectors.EVENT_READ, None)
        rest = b""
        while True:
            now = time.monotonic()
            wait = max(0, self.queue[0][0] - now) if self.queue else None
            ready = selector.select(wait)
            now = time.monotonic()
            for key, _ in ready:
                if key.data is not None:
                    self._take(key.data, now)
                    continue
                data = os.read(0, 4096)
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    try:
                        print(self.obey(line.decode().split()), flush=True)
                    except (ValueError, IndexError) as e:
                        print(f"error {e}", flush=True)
            self._deliver(time.monotonic())


if __name__ == "__main__":
    Wire(int(sys.argv[1]), sys.argv[2:]).run()
