#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What CREATE can be asked for: buckets whose keys end by themselves, buckets
that keep what is lost."""

import json
import subprocess
import unittest

import kvclock
import kvtest
from kvnodes import Cluster
from kvtest import Error, Kvd, wait_for



class OneNode(kvtest.Case):
    @classmethod
    def setUpClass(cls):
        cls.kvd = Kvd(ports=1)
        cls.addClassCleanup(cls.kvd.close)

    def ttl(self, c, bucket, key):
        return c.call("HPTTL", bucket, "FIELDS", 1, key)[0]

    def near(self, got, wanted):
        self.assertLessEqual(got, wanted)
        self.assertGreater(got, wanted - 20000 * kvtest.SLOW)

    def test_the_words_of_create_in_the_line_protocol(self):
        with self.kvd.line() as c:
            c.ok("CREATE", "words", "TTLMAX", "60000")
            c.ok("CREATE", "words", "TTLMAX", "60000")
            c.ok("CREATE", "words")
            c.ok("CREATE", "mine", "LOCAL", "TTLMAX", "5000")
            c.ok("CREATE", "all", "ALL", "TTLMAX", "5000")
            c.ok("CREATE", "all2", "ALL", "500", "TTLMAX", "5000")
            for words in (["ttlmax", "5000"], ["TTLMAX"], ["TTLMAX", "x"],
                          ["TTLMAX", "-1"], ["TTLMAX", "5000", "LOCAL"],
                          ["TTLMAX", "5000", "TTLMAX", "5000"],
                          ["LOCAL", "ALL"], ["TTLMAX", "5000", "x"]):
                self.assertEqual(c.line("CREATE", "none", *words),
                                 b"UNKNOWN COMMAND", words)
            for ms in "0", "1", "1500", "16777216000":
                self.assertEqual(
                    c.line("CREATE", "none", "TTLMAX", ms),
                    b"ERROR TTLMAX is in milliseconds, whole seconds of them,"
                    b" up to 16777215000")
            self.assertEqual(c.line("COUNT", "none"), b"NOT FOUND")
            c.ok("CREATE", "long", "TTLMAX", "16777215000")
            c.ok("CREATE", "both", "CONFLICTS", "TTLMAX", "5000")
            c.create("both2")
            c.ok("CREATE", "both2", "CONFLICTS")
            c.send(b"BUCKETS\r\n")
            rows = c.read_until(b"OK\r\n").split(b"\r\n")
            self.assertIn(b"words TTLMAX 60000", rows)
            self.assertIn(b"long TTLMAX 16777215000", rows)
            self.assertIn(b"both TTLMAX 5000 CONFLICTS", rows)
            self.assertIn(b"both2 CONFLICTS", rows)

    def test_a_bucket_with_keys_keeps_what_it_has(self):
        with self.kvd.line() as c, self.kvd.resp() as r:
            c.create("kept")
            c.put("kept", "k", "1")
            why = b"the bucket is there with keys and without this TTLMAX"
            self.assertEqual(c.line("CREATE", "kept", "TTLMAX", "5000"),
                             b"ERROR " + why)
            self.assertEqual(r.call("KV.CREATE", "kept", "ttlmax", 5000),
                             Error(b"ERR " + why))
            self.assertEqual(self.ttl(r, "kept", "k"), -1)
            c.ok("DELETE", "kept", "k")
            c.ok("CREATE", "kept", "TTLMAX", "5000")
            c.put("kept", "k", "1")
            self.near(self.ttl(r, "kept", "k"), 5000)

    def test_every_way_to_write_gives_a_deadline(self):
        with self.kvd.resp() as c, self.kvd.line() as line:
            self.assertEqual(c.must("KV.CREATE", "s", "TTLMAX", 60000), b"OK")
            self.assertIsInstance(c.call("KV.CREATE", "s", "TTLMAX"), Error)
            line.put("s", "line", "1")
            c.must("HSET", "s", "hset", 1)
            c.must("HINCRBY", "s", "incr", 1)
            c.must("HSETEX", "s", "PX", 9999999, "FIELDS", 1, "long", 1)
            c.must("MULTI")
            c.must("HSET", "s", "multi", 1)
            c.must("EXEC")
            for key in "line", "hset", "incr", "long", "multi":
                self.near(self.ttl(c, "s", key), 60000)
            c.must("HPEXPIRE", "s", 3000, "FIELDS", 1, "hset")
            self.near(self.ttl(c, "s", "hset"), 3000)
            c.must("HPERSIST", "s", "FIELDS", 1, "hset")
            self.near(self.ttl(c, "s", "hset"), 60000)
            c.must("HPEXPIRE", "s", 3000, "FIELDS", 1, "hset")
            c.must("HPEXPIRE", "s", 99999999, "FIELDS", 1, "hset")
            self.near(self.ttl(c, "s", "hset"), 60000)
            c.must("SELECT", "s")
            c.must("SET", "string", 1)
            c.must("SET", "longer", 1, "EX", 99999)
            for key in "string", "longer":
                self.near(c.call("PTTL", key), 60000)
            c.must("PEXPIRE", "string", 2000)
            self.near(c.call("PTTL", "string"), 2000)
            self.assertEqual(c.call("PERSIST", "string"), 1)
            self.near(c.call("PTTL", "string"), 60000)

    def test_keys_go_and_subscribers_see_it(self):
        with self.kvd.line() as c, self.kvd.line() as s:
            c.ok("CREATE", "short", "TTLMAX", "1000")
            s.send(b"SUBSCRIBE short\r\n")
            s.read_quiet(0.1)
            c.put("short", "k", "v")
            self.assertEqual(s.read_line(), b"k SET TO v")
            self.assertEqual(s.read_line(), b"k DELETED")
            self.assertEqual(c.get("short", "k"), b"")

    def test_the_tool_makes_and_shows_them(self):
        store = self.kvd.store.dir
        for way in (["-p", str(self.kvd.ports[0])], ["-d", store]):
            name = "tool" + way[0]
            run = self.run_tool
            run(way, "create", name, "--ttl-max", "2h", code=0)
            run(way, "create", name + "x", "--ttl-max", "1500ms", code=2)
            run(way, "put", name, "k", "v", code=0)
            p = run(way, "create", name, "--ttl-max", "3h", code=4)
            self.assertIn("TTLMAX" if way[0] == "-p" else "--ttl-max",
                          p.stderr)
            rows = [json.loads(x) for x in
                    run(way, "--json", "buckets", name,
                        code=0).stdout.splitlines()]
            self.assertEqual(rows, [{"bucket": name, "keys": 1,
                                     "ttl_max_ms": 7200000}])

    def run_tool(self, way, *args, code):
        p = subprocess.run([kvtest.program("kv"), *way, *args],
                           env=kvtest.clean_env(self.kvd.store.base),
                           stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, timeout=30 * kvtest.SLOW)
        self.assertEqual(p.returncode, code, p.stdout + p.stderr)
        return p

    def test_what_a_bucket_is_is_told(self):
        with self.kvd.resp() as c:
            c.must("KV.CREATE", "told", "LOCAL", "TTLMAX", 3000)
            self.assertEqual(c.call("KV.BUCKET", "told"), [
                b"keys", 0, b"bytes", 0, b"conflicts", 0, b"local", 1,
                b"ttlmax", 3000, b"shadows", 0])
            self.assertIsNone(c.call("KV.BUCKET", "nosuch") or None)

    def test_the_option_outlives_a_restart(self):
        with Kvd(ports=1) as kvd:
            with kvd.line() as c:
                c.ok("CREATE", "s", "TTLMAX", "60000")
                c.put("s", "k", "v")
            kvd.stop()
            kvd.start()
            with kvd.resp() as c:
                self.near(self.ttl(c, "s", "k"), 60000)
                c.must("HSET", "s", "l", 1)
                self.near(self.ttl(c, "s", "l"), 60000)


class TwoNodes(kvtest.Case):
    def two(self, **env):
        c = Cluster(**env)
        self.addCleanup(c.__exit__)
        return c.start("foo", "bar")

    def test_sessions_vanish_on_both(self):
        foo, bar = self.two()
        with foo.line() as a:
            a.ok("CREATE", "s", "TTLMAX", "3000")
            a.put("s", "k", "v")
        bar.wait_value("s", "k", b"v")
        with bar.resp() as b:
            left = b.call("HPTTL", "s", "FIELDS", 1, "k")[0]
            self.assertLessEqual(left, 3000)
            b.must("HSET", "s", "l", "w")
        foo.wait_value("s", "l", b"w")
        for node in foo, bar:
            for key in "k", "l":
                node.wait_value("s", key, None)
        with foo.resp() as a, bar.resp() as b:
            wait_for(lambda: a.call("HLEN", "s") == b.call("HLEN", "s") == 0,
                     10, "both to be empty")

    def test_the_option_reaches_a_node_that_has_keys_already(self):
        """Made on both while they were apart; the later one is for all."""
        foo, bar = self.two()
        bar.stop()
        with foo.line() as a:
            a.create("s")
            a.put("s", "old", "v")
        foo.stop()
        bar.start()
        with bar.line() as b:
            b.ok("CREATE", "s", "TTLMAX", "4000")
            b.put("s", "k", "v")
        foo.start()
        foo.wait_value("s", "k", b"v")
        for node in foo, bar:
            for key in "old", "k":
                node.wait_value("s", key, None)
        with foo.resp() as a, bar.resp() as b:
            self.assertEqual(a.call("KV.BUCKET", "s")[9], 4000)
            wait_for(lambda: a.call("KV.DIGEST", "s") ==
                     b.call("KV.DIGEST", "s"), 10, "equal digests")

    @unittest.skipIf(kvclock.WHY_NOT, kvclock.WHY_NOT)
    def test_who_was_away_needs_no_resync_for_what_is_dead(self):
        foo, bar = self.two()
        with foo.line() as a:
            a.ok("CREATE", "s", "TTLMAX", "60000")
            a.put("s", "gone", "v")
            a.put("s", "ends", "v")
        bar.wait_value("s", "ends", b"v")
        bar.stop()
        with foo.line() as a:
            a.ok("DELETE", "s", "gone")
        foo.stop()
        for node in foo, bar:
            node.set_env(**kvclock.env("+10m"))
        foo.start()
        wait_for(lambda: self.purged(foo) >= 2, 20, "tombstones to be gone")
        bar.start()
        foo.in_step()
        bar.in_step()
        for node in foo, bar:
            for key in "gone", "ends":
                self.assertIsNone(node.get("s", key))
        foo.put("s", "new", "1")
        bar.wait_value("s", "new", b"1")
        wait_for(lambda: self.purged(bar) >= 2, 20, "tombstones to be gone")
        for node in foo, bar:
            self.assertEqual(node.count_log("resync"), 0, node.log_text())

    # ---- what is lost ----

    def conflicts(self, node, *args, way=()):
        out = node.tool(*way, "--json", "conflicts", *args, code=0).stdout
        return [json.loads(x) for x in out.splitlines()]

    def offline(self, node, *args):
        """A write on a node that is down."""
        node.tool("-d", node.store.dir, *args, code=0)

    def seen(self, *nodes, key, value):
        for node in nodes:
            node.wait_value("c", key, value)

    def test_what_a_split_has_lost_is_listed_on_both_sides(self):
        foo, bar = self.two()
        foo.tool("create", "--conflict-log", "c", code=0)
        with foo.line() as a:
            a.create("plain")
            for key in "k", "l", "alike", "gone", "quiet":
                a.put("c", key, "base")
                a.put("plain", key, "base")
        self.seen(bar, key="quiet", value=b"base")
        bar.stop()
        with foo.line() as a:
            a.put("c", "k", "foo1")
            a.put("c", "k", "foo2")
            a.put("c", "alike", "same")
            a.put("c", "quiet", "foo")
            a.put("plain", "k", "foo")
        self.offline(bar, "put", "c", "l", "bar1")
        self.offline(bar, "put", "c", "k", "bar2")
        self.offline(bar, "put", "c", "alike", "same")
        self.offline(bar, "put", "plain", "k", "bar")
        self.offline(bar, "put", "c", "gone", "bar")
        with foo.line() as a:
            a.put("c", "l", "foo3")
            a.ok("DELETE", "c", "gone")
        bar.start()
        self.seen(foo, bar, key="k", value=b"bar2")
        self.seen(foo, bar, key="l", value=b"foo3")
        self.seen(foo, bar, key="gone", value=None)
        self.seen(foo, bar, key="quiet", value=b"foo")
        wait_for(lambda: len(self.conflicts(foo)) >= 3 and
                 len(self.conflicts(bar)) >= 3, 10, "three on both")
        for node, ours in (foo, {"k"}), (bar, {"l", "gone"}):
            rows = {r["key"]: r for r in self.conflicts(node)}
            self.assertEqual({k: r["lost"] for k, r in rows.items()},
                             {"k": "foo2", "l": "bar1", "gone": "bar"})
            self.assertEqual({k for k, r in rows.items() if r["lost_here"]},
                             ours)
            self.assertEqual({k for k, r in rows.items()
                              if r["won_deletes"]}, {"gone"})
            for r in rows.values():
                self.assertLess(r["lost_stamp"], r["won_stamp"])
                self.assertLessEqual(r["lost_ms"], r["won_ms"])
            node.wait_log("conflict count=")
        text = foo.tool("conflicts", "c", code=0).stdout
        self.assertIn("here\tfoo2", text)
        self.assertEqual(self.conflicts(foo, "plain"), [])
        self.assertEqual([r["lost_stamp"] for r in self.conflicts(foo)],
                         [r["lost_stamp"] for r in self.conflicts(bar)])
        foo.stop()
        on_folder = self.conflicts(foo, way=("-d", foo.store.dir))
        foo.start()
        self.assertEqual(len(self.conflicts(foo)), 3)
        self.assertEqual(on_folder, self.conflicts(foo))
        self.assertEqual(self.conflicts(foo, "plain",
                                        way=("-d", foo.store.dir)), [])
        for way in (), ("-d", foo.store.dir):
            for option in (), ("--clear",):
                p = foo.tool(*way, "conflicts", "nix", *option, code=1)
                self.assertIn("no such bucket", p.stderr)
        self.cleared_here_and_nowhere_else(foo, bar)

    def cleared_here_and_nowhere_else(self, foo, bar):
        with foo.resp() as r:
            for wrong in ("KV.CONFLICTS", "c", "all"), \
                    ("KV.CONFLICTS", "c", "CLEAR", "x"):
                self.assertIn("syntax error", str(r.call(*wrong)))
            self.assertEqual(r.call("KV.CONFLICTS", "plain", "CLEAR"), 0)
            self.assertEqual(r.call("KV.CONFLICTS", "c", "clear"), 3)
            self.assertEqual(r.call("KV.CONFLICTS"), [])
        foo.wait_log("conflicts cleared count=3")
        folder = ("-d", bar.store.dir)
        self.assertEqual(len(self.conflicts(bar, way=folder)), 3)
        for bucket, count in ("plain", 0), (None, 3):
            out = bar.tool(*folder, "conflicts", *([bucket] if bucket else []),
                           "--clear", code=0).stdout
            self.assertEqual(out, f"{count} conflicts cleared\n")
        self.assertEqual(self.conflicts(bar), [])
        self.assertEqual(json.loads(
            bar.tool("--json", "conflicts", "--clear", code=0).stdout),
            {"cleared": 0})
        bar.stop()
        bar.start()
        self.assertEqual(self.conflicts(bar), [])

    def test_who_has_seen_the_other_loses_nothing(self):
        """One after the other, coalesced, and back after a restart."""
        foo, bar = self.two()
        foo.tool("create", "--conflict-log", "c", code=0)
        foo.put("c", "k", "0")
        self.seen(bar, key="k", value=b"0")
        for i in range(1, 6):
            node, other = (bar, foo) if i % 2 else (foo, bar)
            for last in range(3):
                node.put("c", "k", f"{i}.{last}")
            self.seen(other, key="k", value=b"%d.2" % i)
        bar.stop()
        for i in range(5):
            foo.put("c", "k", f"foo{i}")
        bar.start()
        self.seen(bar, key="k", value=b"foo4")
        bar.put("c", "k", "last")
        self.seen(foo, key="k", value=b"last")
        for node in foo, bar:
            self.assertEqual(self.conflicts(node), [])

    def purged(self, node):
        out = node.tool("-d", node.store.dir, "--json", "status").stdout
        return json.loads(out)["counters"]["purged"]


if __name__ == "__main__":
    kvtest.main()
