#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Power cuts of a host that takes over what another one writes: what its disk
may look like after a cut at any place opens, verifies, and comes back in step:
a vector that claims what is not there would leave it without that for good."""

import os
import random
import shutil
import signal
import threading
import time

import crash
from crash import MODES, SEED, CrashCase, Trace, kvtest
from kvnodes import HOST, Cluster
from test_power import Images, remove_shm

IMAGES = int(os.environ.get("KV_IMAGES", "20"))
SECONDS = 3 * kvtest.SLOW
BUCKETS = [f"b{i}" for i in range(4)]
KEYS = 300


class Writer(threading.Thread):
    """Puts, deletes, drops and transactions over many buckets of one node."""

    def __init__(self, node, seed, buckets):
        super().__init__()
        self.node, self.rng, self.buckets = node, random.Random(seed), buckets
        self.over = threading.Event()
        self.wrong = None

    def commands(self):
        rng = self.rng
        bucket, key = rng.choice(self.buckets), f"k{rng.randrange(KEYS)}"
        value = f"{rng.random()}" * rng.choice((1, 1, 20, 200))
        dice = rng.randrange(100)
        if dice < 2:
            return [("UNLINK", bucket)]
        if dice < 20:
            return [("HDEL", bucket, key)]
        if dice < 40:
            return [("SET", f"{bucket}.{key}", value)]
        if dice < 50:
            return [("MULTI",), ("HSET", bucket, key, value),
                    ("HDEL", bucket, "k1"), ("SET", key, value), ("EXEC",)]
        return [("HSET", bucket, key, value)]

    def run(self):
        try:
            with self.node.resp() as c:
                while not self.over.is_set():
                    for _ in range(50):
                        for command in self.commands():
                            c.call(*command)
        except Exception as e:  # pylint: disable=broad-except
            self.wrong = e

    def end(self):
        self.over.set()
        self.join()
        if self.wrong:
            raise self.wrong


class Hosts(CrashCase):
    def in_step(self, *nodes):
        """They come to hold the same, by their vectors alone: what is claimed
        and not there would be found by digests, and repaired."""
        for n in nodes:
            n.in_step()
        names = [*BUCKETS, "own", "db0"]

        def alike():
            a, b = ([n.digest(x) for x in names] for n in nodes)
            return a == b
        kvtest.wait_for(alike, 20, f"equal digests of {names}")
        for n in nodes:
            self.assertEqual(n.count_log("digests differ"), 0, n.log_text())


class Receiver(Hosts):
    @classmethod
    def setUpClass(cls):
        cls.shared = crash.Scratch()
        cls.addClassCleanup(cls.shared.close)
        cls.library = crash.iotrace_library(cls.shared)

    def write_on(self, foo, bar, seed):
        """Both write, the traced one into a bucket of its own too; now and
        then one of its programs dies."""
        rng = random.Random(seed)
        writers = [Writer(foo, seed, BUCKETS),
                   Writer(bar, seed + 1, [*BUCKETS[:1], "own"])]
        for w in writers:
            w.start()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(SECONDS / 8)
            role = rng.choice(("kv-syncd", "kv-checkpointer", "kv-walwriter"))
            for p in bar.children(role):
                p.kill(signal.SIGKILL)
        for w in writers:
            w.end()

    def record(self, cluster, mode, seed):
        """(the one that stays, the one that was cut, its trace, first event
        of its taking over)."""
        trace = Trace(self.scratch.name("trace"), data=1 << 30)
        store = kvtest.Store()
        self.addCleanup(store.remove)
        args = ["--durability", mode, "--segment-size", "1m",
                "--value-max", "64k"]
        both = f"foo@{HOST},bar@{HOST}"
        foo = cluster.add("foo", both, args=args)
        bar = cluster.add("bar", both, args=args, store=store,
                          env={"LD_PRELOAD": self.library,
                               "IOTRACE_DIR": store.dir,
                               "IOTRACE_FILE": trace.path})
        for n in (foo, bar):
            n.in_step()
        first = trace.events
        self.write_on(foo, bar, seed)
        self.in_step(foo, bar)
        bar.stop()
        remove_shm(store.dir)
        self.assertFalse(trace.is_full, "the trace is too small")
        bar.set_env(LD_PRELOAD=None, IOTRACE_DIR=None, IOTRACE_FILE=None)
        return foo, bar, trace, first

    def come_back(self, foo, bar, images, cut, rng, verify):
        """The host finds this on its disk."""
        shutil.rmtree(bar.store.dir)
        told = images.cut(cut, rng.randrange(1 << 32), bar.store.dir)
        try:
            if verify:
                self.assert_verifies(bar.store)
                remove_shm(bar.store.dir)
            bar.start()
            self.in_step(foo, bar)
            bar.tool("verify", "--peers", code=0)
            bar.stop()
            self.assert_verifies(bar.store)
        except AssertionError as e:
            raise AssertionError(f"cut {cut} of {images.events} ({told}): "
                                 f"{e}\n{bar.log_text()[-3000:]}") from None
        finally:
            bar.kill9_all()
            remove_shm(bar.store.dir)

    def cuts(self, mode, count, seed):
        print(f"seed={seed} durability={mode} images={count}", flush=True)
        rng = random.Random(seed)
        with Cluster() as cluster:
            foo, bar, trace, first = self.record(cluster, mode, seed)
            images = Images(trace)
            self.addCleanup(images.close)
            for n, cut in enumerate(images.choose(rng, count, first, first)):
                self.come_back(foo, bar, images, cut, rng, n % 2 == 0)
            self.note(f"{count} images of {images.events} events")


def add_tests():
    for n, mode in enumerate(MODES):
        count = (IMAGES + 2 - n) // 3

        def test(self, args=(mode, count, SEED + n)):
            self.cuts(*args)
        test.kv_limit = 60 + 10 * count
        if count > 0:
            setattr(Receiver, f"test_what_it_claims_is_there_{mode}", test)


add_tests()

if __name__ == "__main__":
    print(f"KV_SEED={SEED}")
    kvtest.main()
