#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""CREATE LOCAL: buckets of one host beside those that all hosts have, under the
same names."""

import json
import subprocess
import time

import kvtest
from kvnodes import HOST, Cluster
from kvtest import Kvd, limit, wait_for


def kv(kvd, *args):
    return subprocess.run([kvtest.program("kv"), *args],
                          env=kvtest.clean_env(kvd.store.base), text=True,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60 * kvtest.SLOW)


def verified(kvd):
    """It was stopped: everything in its store agrees."""
    p = kv(kvd, "-d", kvd.store.dir, "verify")
    if p.returncode != 0:
        raise AssertionError(f"{kvd}: {p.stdout}{p.stderr}")


def answer(c, *words):
    """The lines of an answer that OK ends."""
    got = [c.line(*words)]
    while got[-1] != b"OK":
        got.append(c.read_line())
    return got[:-1]


class Kept(kvtest.Case):
    """One daemon, two connections of each kind."""

    @classmethod
    def setUpClass(cls):
        cls.kvd = Kvd(ports=2)

    @classmethod
    def tearDownClass(cls):
        cls.kvd.close()

    def setUp(self):
        self.c, self.d = self.kvd.line(0), self.kvd.line(1)
        self.r, self.s = self.kvd.resp(0), self.kvd.resp(1)
        for c in (self.c, self.d, self.r, self.s):
            self.addCleanup(c.close)
        self.r.must("FLUSHALL")

    def both(self, name="x"):
        self.c.create(name)
        self.c.put(name, "k", "all")
        self.c.ok("CREATE", name, "LOCAL")
        self.c.put(name, "k", "here")


class Names(Kept):
    def test_a_bare_name_means_the_local_bucket_until_it_is_dropped(self):
        self.both()
        for c in (self.c, self.d):
            self.assertEqual(c.get("x", "k"), b"here")
        self.d.put("x", "l", "2")
        self.assertEqual(answer(self.c, "KEYS", "x"), [b"k", b"l"])
        self.assertEqual(answer(self.c, "COUNT", "x"), [b"2"])
        self.c.ok("CREATE", "x")
        self.c.ok("CREATE", "x", "LOCAL")
        self.assertEqual(self.d.get("x", "k"), b"here")
        self.assertEqual(self.c.line("CREATE", "x", "ALL"),
                         b"ERROR the bucket is of this host only")
        self.d.ok("DROP", "x")
        self.assertEqual(self.c.get("x", "k"), b"all")
        self.assertEqual(answer(self.c, "KEYS", "x"), [b"k"])
        self.c.ok("DROP", "x")
        self.assertEqual(self.d.line("GET", "x", "k"), b"NOT FOUND")
        self.assertEqual(self.d.line("DROP", "x"), b"NOT FOUND")

    def test_a_pipeline_and_a_transaction_see_what_they_make(self):
        self.assertEqual(
            self.c.batch(["CREATE p LOCAL", "PUT p k 1", "GET p k", "DROP p",
                          "PUT p k 2", "CREATE p", "PUT p k 3",
                          "CREATE p LOCAL", "PUT p k 4", "GET p k", "DROP p",
                          "GET p k"]),
            [b"OK", b"OK", b"1", b"OK", b"OK", b"NOT FOUND", b"OK", b"OK",
             b"OK", b"OK", b"4", b"OK"])
        self.assertEqual([self.c.read_line() for _ in range(3)],
                         [b"OK", b"3", b"OK"])
        self.r.must("MULTI")
        for words in (("KV.CREATE", "t"), ("HSET", "t", "k", "all"),
                      ("KV.CREATE", "t", "LOCAL"), ("HSET", "t", "k", "here"),
                      ("HGET", "t", "k"), ("KV.DROP", "t"),
                      ("HGET", "t", "k")):
            self.assertEqual(self.r.call(*words), b"QUEUED")
        self.assertEqual(self.r.call("EXEC"),
                         [b"OK", 1, b"OK", 1, b"here", 1, b"all"])

    def test_walks_name_each_bucket_once(self):
        for name in ("a", "x", "z"):
            self.both(name)
        self.c.ok("CREATE", "only", "LOCAL")
        self.c.create("shared")
        names = [b"a", b"only", b"shared", b"x", b"z"]
        self.assertEqual(answer(self.c, "BUCKETS"),
                         [b"a LOCAL", b"only LOCAL", b"shared", b"x LOCAL",
                          b"z LOCAL"])
        self.assertEqual(self.r.call("KV.BUCKETS"), names)
        self.assertEqual(self.r.call("KEYS", "*"), names)
        self.assertEqual(self.r.call("DBSIZE"), 5)
        for count in (1, 2, 100):
            got, cursor = [], b"0"
            while True:
                cursor, page = self.s.call("SCAN", cursor, "COUNT", count)
                got += page
                if cursor == b"0":
                    break
            self.assertEqual(got, names, count)
        self.assertEqual([x[0] for x in self.r.call("KV.DIGEST")],
                         [b"a", b"shared", b"x", b"z"])
        self.c.ok("DROP", "x")
        self.assertEqual(self.r.call("KEYS", "*"), names)
        self.c.ok("DROP", "x")
        self.assertEqual(self.r.call("KEYS", "*"),
                         [n for n in names if n != b"x"])

    def test_a_string_and_a_bucket_are_still_not_called_alike(self):
        self.r.must("SET", "str", "v")
        self.assertIn(b"WRONGTYPE", self.c.line("CREATE", "str", "LOCAL"))
        self.both()
        self.assertIn("WRONGTYPE", str(self.r.call("SET", "x", "v")))
        self.assertEqual(self.r.call("TYPE", "x"), b"hash")

    def test_the_strings_of_a_database_can_be_local(self):
        self.r.must("SET", "k", "all")
        self.c.ok("CREATE", "db0", "LOCAL")
        self.assertIsNone(self.r.call("GET", "k"))
        self.s.must("SET", "k", "here")
        self.assertEqual(self.r.call("GET", "k"), b"here")
        self.assertEqual(self.r.call("DBSIZE"), 1)
        self.c.ok("DROP", "db0")
        self.assertEqual(self.r.call("GET", "k"), b"all")


    def test_a_name_whose_id_another_bucket_has_is_refused(self):
        """Found by trying: ids of local buckets have 40 bits."""
        self.c.ok("CREATE", "b359323", "LOCAL")
        self.c.put("b359323", "k", "first")
        self.assertEqual(self.c.line("CREATE", "b728689", "LOCAL"),
                         b"ERROR another bucket has the id of this name,"
                         b" take another one")
        self.assertEqual(self.d.line("GET", "b728689", "k"), b"NOT FOUND")
        self.assertEqual(self.c.batch(["CREATE b728689", "PUT b728689 k 2"]),
                         [b"OK", b"OK"])
        self.assertEqual(self.c.get("b359323", "k"), b"first")
        self.assertEqual(self.c.get("b728689", "k"), b"2")

    def test_tools_and_programs_tell_what_is_local(self):
        self.both()
        self.c.ok("CREATE", "only", "LOCAL", "TTLMAX", "5000")
        self.c.create("shared")
        self.assertEqual(self.r.call("KV.BUCKET", "x"),
                         [b"keys", 1, b"bytes", 5, b"conflicts", 0, b"local", 1,
                          b"ttlmax", 0, b"shadows", 1])
        for where in (("-p", str(self.kvd.ports[1])),
                      ("-d", self.kvd.store.dir)):
            p = kv(self.kvd, *where, "buckets", "--values")
            self.assertEqual(p.stdout, "only\t0\tlocal\nshared\t0\n"
                             "x\t1\tlocal, hides a shared one\n")
            p = kv(self.kvd, *where, "buckets", "--json")
            self.assertEqual(
                [json.loads(x) for x in p.stdout.splitlines()],
                [{"bucket": "only", "keys": 0, "local": True,
                  "ttl_max_ms": 5000},
                 {"bucket": "shared", "keys": 0},
                 {"bucket": "x", "keys": 1, "local": True, "shadows": True}])
            self.assertEqual(kv(self.kvd, *where, "buckets").stdout,
                             "only\nshared\nx\n")
            p = kv(self.kvd, *where, "create", "--local", "shared", "y")
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertEqual(self.r.call("KV.BUCKET", "shared")[6:],
                             [b"local", 1, b"ttlmax", 0, b"shadows", 1])
            self.assertEqual(self.r.call("KV.BUCKET", "y")[6:],
                             [b"local", 1, b"ttlmax", 0, b"shadows", 0])
            self.assertEqual(kv(self.kvd, *where, "drop", "shared").returncode,
                             0)
            self.assertEqual(self.r.call("KV.BUCKET", "shared")[7], 0)
            self.c.ok("DROP", "y")


class Hashes(Kept):
    def test_a_local_hash_stays_local_when_it_is_renamed_moved_or_copied(self):
        self.both()
        self.r.must("RENAME", "x", "y")
        self.assertEqual(self.r.call("HGET", "y", "k"), b"here")
        self.assertEqual(self.r.call("HGET", "x", "k"), b"all")
        self.assertEqual(self.digests(), [b"x"])
        self.assertEqual(self.r.call("COPY", "y", "z"), 1)
        self.assertEqual(self.r.call("MOVE", "y", 3), 1)
        self.assertEqual(self.r.call("EXISTS", "y"), 0)
        self.assertEqual(self.digests(), [b"x"])
        # Onto a name that two have: both go.
        self.both("w")
        self.assertEqual(self.r.call("HSET", "v", "k", "v"), 1)
        self.r.must("RENAME", "v", "w")
        self.assertEqual(self.r.call("HGETALL", "w"), [b"k", b"v"])
        self.c.ok("DROP", "w")
        self.assertEqual(self.r.call("EXISTS", "w"), 0)
        self.r.must("SELECT", 3)
        self.assertEqual(self.r.call("HGET", "y", "k"), b"here")
        # Made by RENAME it goes with its last field.
        self.assertEqual(self.r.call("HDEL", "y", "k"), 1)
        self.assertEqual(self.r.call("EXISTS", "y"), 0)

    def digests(self):
        return [x[0] for x in self.r.call("KV.DIGEST")]

    def test_both_change_places_with_swapdb(self):
        self.both()
        self.r.must("SWAPDB", 0, 2)
        self.assertEqual(self.r.call("EXISTS", "x"), 0)
        self.r.must("SELECT", 2)
        self.assertEqual(self.r.call("HGET", "x", "k"), b"here")
        self.assertEqual(self.r.call("DEL", "x"), 1)
        self.assertEqual(self.r.call("HGET", "x", "k"), b"all")

    def test_flushing_takes_both(self):
        for flush in ("FLUSHDB", "FLUSHALL"):
            self.both()
            self.c.ok("CREATE", "db0", "LOCAL")
            self.r.must("SET", "k", "here")
            self.r.must(flush)
            self.assertEqual(self.r.call("DBSIZE"), 0)
            self.assertEqual(self.r.call("KV.BUCKETS"), [])

    def test_each_has_a_deadline_of_its_own(self):
        self.both()
        self.assertEqual(self.r.call("PEXPIRE", "x", 100000), 1)
        self.assertEqual(self.r.call("PERSIST", "x"), 1)
        self.assertEqual(self.r.call("PEXPIRE", "x", 50), 1)
        self.assertEqual(self.r.call("HGET", "x", "k"), b"here")
        wait_for(lambda: self.s.call("HGET", "x", "k") == b"all", 5,
                 "the end of the local one")
        self.assertEqual(self.r.call("PTTL", "x"), -1)
        # And the other way: what is hidden goes in its time.
        self.assertEqual(self.r.call("PEXPIRE", "x", 200), 1)
        self.c.ok("CREATE", "x", "LOCAL")
        self.assertEqual(self.r.call("PTTL", "x"), -1)
        wait_for(lambda: self.r.call("KV.DIGEST") == [], 5,
                 "the end of the hidden one")
        self.assertEqual(self.r.call("EXISTS", "x"), 1)
        self.c.ok("DROP", "x")
        self.assertEqual(self.r.call("EXISTS", "x"), 0)

    def test_a_watched_name_that_means_another_bucket_has_changed(self):
        self.c.create("x")
        self.c.put("x", "k", "all")
        self.r.must("WATCH", "x")
        self.d.ok("CREATE", "x", "LOCAL")
        self.r.must("MULTI")
        self.r.call("HSET", "x", "k", "lost")
        self.assertEqual(self.r.call("EXEC"), kvtest.NULL_ARRAY)

    def test_an_expired_hash_that_hset_made_gives_way(self):
        """A local one that RENAME made, over one of all hosts."""
        self.c.ok("CREATE", "m", "LOCAL")
        self.c.put("m", "k", "here")
        self.r.must("RENAME", "m", "x")
        self.r.must("PEXPIRE", "x", 1)
        time.sleep(0.005)
        self.assertEqual(self.r.call("HSET", "x", "l", "new"), 1)
        self.assertEqual(self.r.call("HGETALL", "x"), [b"l", b"new"])
        self.assertEqual(self.digests(), [b"x"])


class Followers(Kept):
    def test_a_subscriber_follows_what_the_name_means(self):
        self.c.create("x")
        with self.kvd.line(1) as sub, self.kvd.line(0) as late:
            sub.send(b"SUBSCRIBE x\r\n")
            late.send(b"SUBSCRIBE x FROM NOW\r\n")
            wait_for(lambda: answer(self.d, "COUNT", "SUBSCRIPTIONS", "x")
                     == [b"1"], 5, "the subscription")
            wait_for(lambda: answer(self.c, "COUNT", "SUBSCRIPTIONS", "x")
                     == [b"1"], 5, "the subscription")
            self.c.put("x", "k", "1")
            self.c.ok("CREATE", "x", "LOCAL")
            self.d.put("x", "k", "2")
            self.c.ok("DROP", "x")
            self.d.put("x", "k", "3")
            want = [b"k SET TO 1", b"k SET TO 2", b"k DELETED", b"k SET TO 3"]
            self.assertEqual([sub.read_line() for _ in want], want)
            got = [late.read_line().split(b" ", 1) for _ in want]
            self.assertEqual([x[1] for x in got], want)
            first = int(got[0][0])
        # The same from the log.
        with self.kvd.line() as sub:
            sub.send(b"SUBSCRIBE x FROM %d\r\n" % (first - 1))
            got = [sub.read_line().split(b" ", 1)[1] for _ in want]
            self.assertEqual(got, want)

    def test_keyspace_events_are_of_what_the_name_means(self):
        self.r.must("CONFIG", "SET", "notify-keyspace-events", "KA")
        self.addCleanup(lambda: self.kvd.resp().call(
            "CONFIG", "SET", "notify-keyspace-events", ""))
        with self.kvd.resp() as sub:
            sub.must("SUBSCRIBE", "__keyspace@0__:x")
            self.both()
            self.r.must("PEXPIRE", "x", 60000)
            self.c.ok("DROP", "x")
            self.r.must("HSET", "x", "k", "again")
            self.assertEqual([sub.read_reply()[2] for _ in range(5)],
                             [b"hset", b"hset", b"expire", b"del", b"hset"])

    def test_changes_are_of_what_the_name_means(self):
        self.both("changes")
        _, got = self.r.call("KV.CHANGES", "changes", "FROM", 0)
        self.assertEqual([x[3] for x in got], [b"here"])
        self.c.ok("DROP", "changes")
        _, got = self.r.call("KV.CHANGES", "changes", "FROM", 0)
        self.assertEqual([x[3] for x in got], [b"all"])


class Lives(kvtest.Case):
    @limit(60)
    def test_both_are_there_after_any_end_and_all_agrees(self):
        kvd = Kvd(ports=1)
        self.addCleanup(kvd.close)
        ends = [lambda: kvd.stop(), lambda: kvd.kill9_all(),
                lambda: kvd.kill9()]
        with kvd.line() as c:
            c.create("x")
            c.put("x", "k", "all")
            c.ok("CREATE", "x", "LOCAL")
            c.put("x", "k", "here")
        for i, end in enumerate(ends):
            end()
            kvd.start()
            with kvd.line() as c, kvd.resp() as r:
                self.assertEqual(c.get("x", "k"), b"here")
                self.assertEqual(r.call("KV.BUCKETS"), [b"x"])
                c.ok("DROP", "x")
                self.assertEqual(c.get("x", "k"), b"all")
                c.ok("CREATE", "x", "LOCAL")
                c.put("x", "k", "here")
                c.put("x", f"k{i}", "more")
        kvd.stop()
        verified(kvd)


class Hosts(kvtest.Case):
    def two(self):
        c = Cluster()
        self.addCleanup(c.__exit__)
        return c.start("foo", "bar")

    def alike(self, *nodes, limit=20):
        """All shared buckets, with their sums."""
        def same():
            d = []
            for n in nodes:
                with n.resp() as r:
                    d.append(r.call("KV.DIGEST"))
            return all(x == d[0] for x in d) and d[0]
        return wait_for(same, limit, "equal digests")

    def verified(self, *nodes):
        for n in nodes:
            n.stop()
            verified(n)

    @limit(90)
    def test_a_shared_bucket_is_in_step_behind_a_local_one_of_its_name(self):
        foo, bar = self.two()
        with foo.line() as f, bar.line() as b:
            f.ok("CREATE", "x", "LOCAL")
            f.put("x", "k", "here")
            f.create("seen")
            b.create("x")
            b.put("x", "k", "theirs")
            foo.wait_log("bucket shadowed", 'bucket="x"')
            b.create("x")
            self.alike(foo, bar)
            self.assertEqual(f.get("x", "k"), b"here")
            self.assertEqual(b.get("x", "k"), b"theirs")
            self.assertEqual(foo.count_log("bucket shadowed"), 1)
            # A subscriber of the name is told of what it means here.
            with foo.line() as sub:
                sub.send(b"SUBSCRIBE x\r\n")
                wait_for(lambda: answer(f, "COUNT", "SUBSCRIPTIONS", "x") ==
                         [b"1"], 5, "the subscription")
                b.put("x", "k", "newer")
                self.alike(foo, bar)
                f.put("x", "k", "mine")
                self.assertEqual(sub.read_line(), b"k SET TO mine")
            # All that can end and begin, with the other one writing on.
            foo.kill9_all()
            b.put("x", "l", "while-it-was-dead")
            foo.start()
            foo.in_step()
        with foo.line() as f, bar.line() as b:
            self.alike(foo, bar)
            self.assertEqual(f.get("x", "k"), b"mine")
            foo.stop()
            b.ok("DELETE", "x", "k")
            foo.start()
            foo.in_step()
        with foo.line() as f, bar.line() as b, bar.resp() as r:
            self.alike(foo, bar)
            self.assertEqual(f.get("x", "k"), b"mine")
            # It was there already: not told again.
            self.assertEqual(foo.count_log("bucket shadowed"), 0)
            f.ok("DROP", "x")
            self.assertEqual(f.get("x", "l"), b"while-it-was-dead")
            self.assertEqual(f.get("x", "k"), b"")
            f.put("x", "k", "for-all")
            bar.wait_value("x", "k", b"for-all")
            # Both end by themselves, each in its time.
            self.assertEqual(r.call("PEXPIRE", "x", 1500), 1)
            f.ok("CREATE", "x", "LOCAL")
            f.put("x", "k", "last")
            wait_for(lambda: r.call("EXISTS", "x") == 0, 10, "the end there")
            self.assertEqual(f.get("x", "k"), b"last")
            f.ok("DROP", "x")
            wait_for(lambda: bar.get("x", "k") is None and
                     f.line("DROP", "x") == b"NOT FOUND", 10, "the end here")
        self.alike(foo, bar)
        self.verified(foo, bar)

    @limit(60)
    def test_a_local_deadline_ends_nothing_elsewhere(self):
        foo, bar = self.two()
        with foo.resp() as f, bar.resp() as b:
            f.must("KV.CREATE", "x")
            f.must("HSET", "x", "k", "all")
            f.must("KV.CREATE", "x", "LOCAL")
            f.must("HSET", "x", "k", "here")
            bar.wait_value("x", "k", b"all")
            self.assertEqual(f.call("PEXPIRE", "x", 50), 1)
            wait_for(lambda: f.call("HGET", "x", "k") == b"all", 5,
                     "the end of the local one")
            f.must("HSET", "x", "l", "after it")
            bar.wait_value("x", "l", b"after it")
            self.assertEqual(b.call("PTTL", "x"), -1)
            self.assertEqual(b.call("HGET", "x", "k"), b"all")
        self.alike(foo, bar)

    @limit(60)
    def test_a_new_node_gets_nothing_local(self):
        foo, bar = self.two()
        with foo.resp() as f:
            for i in range(50):
                f.must("KV.CREATE", f"l{i}", "LOCAL")
                f.must("HSET", f"l{i}", "k", "v")
            f.must("KV.CREATE", "x")
            f.must("HSET", "x", "k", "all")
        bar.wait_value("x", "k", b"all")
        foo.set_env(NODES=f"foo@{HOST},bar@{HOST},baz@{HOST}")
        baz = foo.cluster.add("baz", f"foo@{HOST}")
        baz.in_step()
        baz.wait_value("x", "k", b"all")
        with baz.resp() as c:
            self.assertEqual(c.call("KV.BUCKETS"), [b"x"])
        self.verified(foo, bar, baz)


if __name__ == "__main__":
    kvtest.main()
