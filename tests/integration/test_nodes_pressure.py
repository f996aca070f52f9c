#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Nodes whose peers have no room, do not read, or send much at once: they wait
for each other, in bounded memory, and no local client notices."""

import os
import signal
import subprocess
import threading
import time

import kvtest
from kvnodes import HOST, Cluster
from kvtest import Store, limit, wait_for

SYNCD = "kv-syncd"
MIB = 1 << 20


class Peak:
    """The most memory of its own, but for maps, that a process had meanwhile."""

    def __init__(self, *processes):
        self.processes = processes
        self.bytes = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self.stop.wait(0.02):
            for p in self.processes:
                try:
                    self.bytes = max(self.bytes, p.anonymous_bytes())
                except (OSError, TypeError):
                    pass  # it ends

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


class Pressure(kvtest.Case):
    def cluster(self, **env):
        c = Cluster(**env)
        self.addCleanup(c.__exit__)
        return c

    def alike(self, bucket, *nodes, limit=60):
        def same():
            d = [n.digest(bucket) for n in nodes]
            return None not in d and len(set(d)) == 1
        wait_for(same, limit, f"equal digests of {bucket}")

    def verified(self, *nodes):
        for n in nodes:
            n.stop()
            p = n.tool("-d", n.store.dir, "verify", limit=120)
            self.assertEqual(p.returncode, 0, f"{n}: {p.stdout}{p.stderr}")

    def quick(self, node, seconds=0.5):
        """The slowest of some local writes and reads."""
        worst = 0
        with node.resp() as c:
            for i in range(20):
                began = time.monotonic()
                c.must("HSET", "quick", "k", str(i))
                self.assertEqual(c.call("HGET", "quick", "k"), b"%d" % i)
                worst = max(worst, time.monotonic() - began)
        self.assertLess(worst, seconds * kvtest.SLOW)
        return worst

    # -- a small log

    @limit(240)
    def test_batches_that_no_segment_holds_are_taken_in_pieces(self):
        env = {"KV_SEGMENT_SIZE": str(MIB), "KV_VALUE_MAX": "400k"}
        c = self.cluster(**env)
        nodes = f"foo@{HOST},bar@{HOST}"
        foo = c.add("foo", nodes)
        with foo.resp() as r:
            for i in range(80):
                r.must("HSET", "d", f"large{i}", "v" * (300 << 10))
                for j in range(50):
                    r.must("HSET", "d", f"small{i}.{j}", "v" * 100)
        bar = c.add("bar", nodes)
        self.alike("d", foo, bar)
        # By seq too, not only in the order of keys.
        syncd = bar.child(SYNCD)
        bar.stop()
        with foo.resp() as r:
            for i in range(80):
                r.must("HSET", "d", f"large{i}", "w" * (300 << 10))
        bar.start()
        syncd = bar.child(SYNCD)
        self.alike("d", foo, bar)
        self.assertTrue(syncd.is_alive())
        self.verified(foo, bar)

    # -- a full disk

    def small_disk(self, mib):
        store = Store()
        self.addCleanup(store.remove)
        store.dir = os.path.join(store.base, "disk")
        os.mkdir(store.dir, 0o700)
        p = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "kvtest",
             store.dir], capture_output=True, text=True)
        if p.returncode != 0:
            self.skipTest(f"mount is refused here: {p.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", store.dir],
                        check=False)
        return store

    @limit(240)
    def test_a_peer_with_a_full_disk_waits_and_says_so(self):
        env = {"KV_SEGMENT_SIZE": str(4 * MIB), "KV_VALUE_MAX": str(MIB)}
        c = self.cluster(**env)
        store = self.small_disk(160)
        nodes = f"foo@{HOST},bar@{HOST}"
        foo = c.add("foo", nodes)
        bar = c.add("bar", nodes, store=store)
        self.addCleanup(bar.close)
        foo.in_step()
        bar.in_step()
        foo.put("d", "early", "bird")
        bar.wait_value("d", "early", b"bird")
        syncds = [n.child(SYNCD) for n in (foo, bar)]
        ballast = kvtest.fill_disk(store.dir)
        with foo.resp() as r, Peak(*syncds) as peak:
            for i in range(1000):
                r.must("HSET", "d", f"k{i}", "v" * (32 << 10))
            bar.wait_log("changes wait", "room", limit=60)
            worst = self.quick(foo)
            row = bar.wait_state(foo.node, "catching up", "no room here")
            self.note(f"kv nodes: {row['reason']}")
            self.assertEqual(bar.get("d", "early"), b"bird")
            os.unlink(ballast)
            self.alike("d", foo, bar)
        bar.wait_state(foo.node, "up")
        wait_for(lambda: "room" not in (bar.nodes()[foo.node]["reason"]
                                        or ""), 10, "no reason any more")
        for p in syncds:
            self.assertTrue(p.is_alive(), p)
        self.assertLessEqual(bar.count_log("changes wait"), 3)
        self.note(f"local writes within {worst * 1000:.0f} ms; kv-syncd "
                  f"{peak.bytes / MIB:.1f} MiB")
        self.assertLess(peak.bytes, 32 * MIB)
        self.verified(foo, bar)

    # -- who does not read

    @limit(240)
    def test_a_peer_that_stops_reading_slows_nobody_and_catches_up(self):
        c = self.cluster(KV_SYNC_TIMEOUT="60s")
        foo, bar, baz = c.start("foo", "bar", "baz")
        mine, theirs = foo.child(SYNCD), bar.child(SYNCD)
        os.kill(theirs.pid, signal.SIGSTOP)
        try:
            with foo.resp() as r, Peak(mine) as peak:
                for i in range(100):
                    r.pipeline([("HSET", "s", f"k{i}.{j}", "v" * 65536)
                                for j in range(16)])
                worst = self.quick(foo)
                self.alike("s", foo, baz)
        finally:
            os.kill(theirs.pid, signal.SIGCONT)
        began = time.monotonic()
        self.alike("s", foo, bar, baz)
        self.note(f"local writes within {worst * 1000:.0f} ms; kv-syncd of "
                  f"the sender {peak.bytes / MIB:.1f} MiB; in step after "
                  f"{time.monotonic() - began:.1f} s")
        self.assertLess(peak.bytes, 32 * MIB)
        self.assertTrue(mine.is_alive() and theirs.is_alive())
        self.verified(foo, bar, baz)

    # -- much at once

    @limit(300)
    def test_large_values_both_ways_over_three_nodes(self):
        c = self.cluster()
        nodes = c.start("foo", "bar", "baz")
        syncds = [n.child(SYNCD) for n in nodes]
        size = 16 * MIB - 1024
        with Peak(*syncds) as peak:
            began = time.monotonic()
            threads = [threading.Thread(target=self.write_large,
                                        args=(n, i, size))
                       for i, n in enumerate(nodes)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.alike("l", *nodes, limit=120)
            took = time.monotonic() - began
        with nodes[0].resp() as r:
            self.assertEqual(r.call("HLEN", "l"), 12)
        self.note(f"12 values of 16 MiB everywhere after {took:.1f} s; "
                  f"kv-syncd {peak.bytes / MIB:.1f} MiB")
        # Three large buffers in and three out, a value on its way from one to
        # the batch, and the rest.
        self.assertLess(peak.bytes, (3 + 3 + 1 + 1) * 16 * MIB)
        for p in syncds:
            self.assertTrue(p.is_alive(), p)
        self.verified(*nodes)

    def write_large(self, node, i, size):
        with node.resp(limit=60) as r:
            for j in range(4):
                r.must("HSET", "l", f"{i}.{j}", bytes((i + 65,)) * size)

    @limit(300)
    def test_buckets_made_and_dropped_in_a_storm_converge(self):
        c = self.cluster()
        foo, bar = c.start("foo", "bar")
        began = time.monotonic()
        threads = [threading.Thread(target=self.storm, args=(n, i))
                   for i, n in enumerate((foo, bar))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        wrote = time.monotonic() - began
        foo.in_step(60)
        bar.in_step(60)
        left = self.alike_names(foo, bar)
        self.assertGreater(left, 4000)
        self.note(f"2 x 10,000 made and 2 x 5,000 dropped in {wrote:.1f} s, "
                  f"in step after {time.monotonic() - began:.1f} s; {left} "
                  "are left")
        self.verified(foo, bar)

    @limit(180)
    def test_digests_of_70000_buckets_are_compared_and_end_no_link(self):
        c = self.cluster()
        foo, bar = c.start("foo", "bar")
        with foo.line(limit=60) as line:
            for base in range(0, 70000, 1000):
                line.send(b"".join(b"CREATE m%d\r\nPUT m%d k v\r\n" % (i, i)
                                   for i in range(base, base + 1000)))
                for _ in range(2000):
                    self.assertEqual(line.read_line(), b"OK")
        foo.in_step(60)
        bar.in_step(60)
        # 32 bytes for each, when all has been still for a second; bar wrote
        # nothing, so no more than this comes from there.
        wait_for(lambda: foo.nodes()[bar.node]["received_bytes"] >= 70000 * 32,
                 30, "bar's digest")
        foo.put("m7", "k", "w")
        bar.wait_value("m7", "k", b"w")
        for node in (foo, bar):
            self.assertEqual(node.count_log("node down"), 0)
            self.assertEqual(node.count_log("diverged"), 0)

    def storm(self, node, seed):
        with node.line(limit=60) as c:
            for base in range(0, 10000, 500):
                lines = []
                for i in range(base, base + 500):
                    name = (i * 7919 + seed * 31) % 10000
                    lines.append(b"CREATE n%d" % name)
                    lines.append(b"PUT n%d k v%d" % (name, seed))
                    if i % 2:
                        lines.append(b"DROP n%d" % name)
                c.send(b"".join(x + b"\r\n" for x in lines))
                for _ in lines:
                    c.read_line()

    def alike_names(self, *nodes):
        def names():
            out = []
            for n in nodes:
                with n.resp(limit=60) as r:
                    out.append((sorted(r.call("KV.BUCKETS")),
                                r.call("KV.DIGEST")))
            return out
        def same():
            first, *others = names()
            return all(x == first for x in others) and first
        buckets, _ = wait_for(same, 60, "the same buckets everywhere")
        return len(buckets)


if __name__ == "__main__":
    kvtest.main()
