# SPDX-License-Identifier: ISC
"""Clients that write on every host while the network and the hosts fail, and
what must be left of it in the end."""

import random
import threading
import time

from kvtest import Closed, Refused

OWNED = 20  # keys that only one host writes
SHARED = 20  # keys that all write
DELETED = b"\0deleted"


class Writer(threading.Thread):
    """Writes on one host; remembers by key what was acknowledged last, and
    what was tried since and may have happened."""

    def __init__(self, host, seed, pause=0.001):
        super().__init__(daemon=True)
        self.host = host
        self.rng = random.Random(seed * 1000 + host.host)
        self.pause = pause
        self.ending = threading.Event()
        self.acked = {}  # key -> value
        self.maybe = {}  # key -> values tried since
        self.count = 0
        self.errors = 0
        self.slowest = 0.0
        self.base = {}  # key -> values it could have at the last backup
        self.since = {}  # key -> values tried since then
        self.ever = {}  # key -> all values tried
        self.lock = threading.Lock()

    def run(self):
        while not self.ending.is_set():
            try:
                with self.host.line(limit=5) as c:
                    while not self.ending.is_set():
                        self._write(c)
                        self.ending.wait(self.pause)
            except (OSError, Closed, Refused, TimeoutError):
                self.errors += 1
                self.ending.wait(0.02)

    def _write(self, c):
        n = self.rng.randrange(OWNED + SHARED)
        key = f"own{self.host.host}.{n}" if n < OWNED else f"all{n - OWNED}"
        self.count += 1
        deletes = self.rng.random() < 0.2
        value = DELETED if deletes else b"%d.%d" % (self.host.host,
                                                    self.count)
        with self.lock:
            self.maybe.setdefault(key, []).append(value)
            self.since.setdefault(key, []).append(value)
            self.ever.setdefault(key, []).append(value)
        began = time.monotonic()
        if deletes:
            c.ok("DELETE", "data", key)
        else:
            c.put("data", key, value)
        self.slowest = max(self.slowest, time.monotonic() - began)
        with self.lock:
            self.acked[key] = value
            self.maybe[key] = []

    def candidates(self, key):
        """What the key can have in the end, as far as this host wrote it."""
        found = set(self.maybe.get(key, ()))
        if key in self.acked:
            found.add(self.acked[key])
        return found

    def mark(self):
        """The host is down, and a backup of it is made."""
        with self.lock:
            self.base = {k: self.candidates(k)
                         for k in {*self.acked, *self.maybe}}
            self.since = {}

    def lose_all(self):
        """The host is down, and its store is gone: what others have of it
        may be of any age, as they may have been away."""
        with self.lock:
            for key, values in self.ever.items():
                self.maybe.setdefault(key, []).extend([*values, DELETED])

    def go_back(self):
        """The host is down, and back at its backup: any write since may be
        lost, and any may come back from another host."""
        with self.lock:
            for key, values in self.since.items():
                self.maybe.setdefault(key, []).extend(
                    [*values, *self.base.get(key, (DELETED,))])

    def end(self):
        self.ending.set()
        self.join(15)


class Churn(threading.Thread):
    """Buckets that come and go, values of all sizes, deadlines: nothing of it
    is remembered, all hosts must only agree on it in the end."""

    BUCKETS = 8

    def __init__(self, host, seed):
        super().__init__(daemon=True)
        self.host = host
        self.rng = random.Random(seed * 7777 + host.host)
        self.ending = threading.Event()
        self.count = 0
        self.errors = 0

    def run(self):
        while not self.ending.is_set():
            try:
                with self.host.resp(limit=5) as c:
                    while not self.ending.wait(0.002):
                        self._churn(c)
                        self.count += 1
            except (OSError, Closed, TimeoutError):
                self.errors += 1
                self.ending.wait(0.02)

    def _churn(self, c):
        rng = self.rng
        bucket = f"churn{rng.randrange(self.BUCKETS)}"
        key = f"k{rng.randrange(40)}"
        what = rng.random()
        if what < 0.03:
            c.call("KV.DROP", bucket)
        elif what < 0.06:
            c.call("KV.CREATE", bucket)
        elif what < 0.15:
            c.call("HDEL", bucket, key)
        elif what < 0.20:
            c.call("HPEXPIRE", bucket, rng.randrange(1, 3000), "FIELDS", 1,
                   key)
        elif what < 0.25:
            c.pipeline([("HSET", bucket, f"p{i}", rng.randrange(1000))
                        for i in range(40)])
        else:
            size = rng.choice((0, 1, 20, 500, 5000, 70000, 300000))
            c.call("HSET", bucket, key, rng.randbytes(size))

    def end(self):
        self.ending.set()
        self.join(15)


def churn(net, seed):
    threads = [Churn(h, seed) for h in net.hosts]
    for t in threads:
        t.start()
    return threads


def begin(net, seed, pause=0.001):
    with net.hosts[0].line() as c:
        c.create("data")
    for host in net.hosts:
        host.wait_bucket("data")
    writers = [Writer(h, seed, pause) for h in net.hosts]
    for w in writers:
        w.start()
    return writers


def wrong(writers, contents):
    """The first key whose end is none of what it can be, as text, or None.
    contents: what all hosts hold (they have been compared)."""
    data = contents.get("data", {})
    keys = set().union(*(set(w.acked) | set(w.maybe) for w in writers))
    for key in sorted(keys):
        found = data.get(key.encode(), DELETED)
        allowed = set().union(*(w.candidates(key) for w in writers))
        if not any(key in w.acked for w in writers):
            allowed.add(DELETED)  # perhaps never written
        if found not in allowed:
            return f"{key} is {found!r}, not one of {sorted(allowed)!r}"
    return None
