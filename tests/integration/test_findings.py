#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What Redis' own tests (tools/dev/redis-suite) found, and redis-server 7.0 of
Debian cannot be asked about."""

import re
import time

import kvtest
from kvtest import Closed, Error, Kvd, RespClient, resp_encode, wait_for


class Findings(kvtest.Case):
    @classmethod
    def setUpClass(cls):
        cls.kv = Kvd(2)

    @classmethod
    def tearDownClass(cls):
        cls.kv.close()

    def setUp(self):
        self.c = self.kv.resp()
        self.addCleanup(self.c.close)
        self.c.must("FLUSHALL")

    def test_hscan_leaves_values_out(self):
        self.c.must("HSET", "h", "f", "1", "g", "2")
        for words in (("NOVALUES",), ("NOVALUES", "COUNT", 100),
                      ("MATCH", "*", "NOVALUES")):
            self.assertEqual(self.c.must("HSCAN", "h", 0, *words),
                             [b"0", [b"f", b"g"]])
        self.assertIsInstance(self.c.call("SCAN", 0, "NOVALUES"), Error)

    def test_a_cursor_that_was_never_given_begins_anew(self):
        self.c.must("SET", "k", "v")
        for cursor in (4242, (1 << 64) - 1, -1):
            self.assertEqual(self.c.must("SCAN", cursor), [b"0", [b"k"]])

    def test_a_scan_behind_a_lost_cursor_misses_nothing(self):
        names = {b"k%d" % i for i in range(100)}
        self.c.must("MSET", *(x for n in names for x in (n, b"v")))
        cursor, found = self.c.must("SCAN", 0, "COUNT", 10)
        # Others take all places there are.
        for _ in range(4096):
            self.c.must("SCAN", 0, "COUNT", 1)
        got = set(found)
        while True:
            cursor, found = self.c.must("SCAN", cursor, "COUNT", 10)
            got.update(found)
            if cursor == b"0":
                break
        self.assertEqual(got, names)

    def test_subscriptions_are_confirmed_although_replies_are_off(self):
        with self.kv.resp() as sub:
            sub.send(resp_encode("CLIENT", "REPLY", "OFF"))
            sub.send(resp_encode("PING"))
            sub.send(resp_encode("SUBSCRIBE", "news"))
            self.assertEqual(sub.read_reply(), [b"subscribe", b"news", 1])
            self.assertEqual(self.c.must("PUBLISH", "news", "x"), 1)
            self.assertEqual(sub.read_reply(), [b"message", b"news", b"x"])
            sub.send(resp_encode("UNSUBSCRIBE", "news"))
            self.assertEqual(sub.read_reply(), [b"unsubscribe", b"news", 0])

    def test_expired_fields_are_not_counted_for_long(self):
        c = self.c
        c.must("HSET", "h", "stays", "1", *(x for i in range(40)
                                            for x in (f"f{i}", "v")))
        c.must("HPEXPIRE", "h", 1, "FIELDS", 40, *(f"f{i}" for i in range(40)))
        wait_for(lambda: c.must("HLEN", "h") == 1, 5, "HLEN of what is left")
        self.assertEqual(c.must("HGETALL", "h"), [b"stays", b"1"])

    def test_their_end_is_told(self):
        self.c.must("CONFIG", "SET", "notify-keyspace-events", "Eh")
        with self.kv.resp() as sub:
            sub.must("SUBSCRIBE", "__keyevent@0__:hexpired")
            self.c.must("HSET", "h", "a", "1", "b", "2")
            self.c.must("HPEXPIRE", "h", 1, "FIELDS", 1, "a")
            self.assertEqual(sub.read_reply(), [
                b"message", b"__keyevent@0__:hexpired", b"h"])
        self.c.must("CONFIG", "SET", "notify-keyspace-events", "")

    def test_what_is_set_again_stays(self):
        """Both workers sweep; what is written meanwhile is not swept away."""
        c = self.c
        end = time.monotonic() + 2 * kvtest.SLOW
        with self.kv.resp(1) as other:
            n = 0
            while time.monotonic() < end:
                n += 1
                names = [f"f{i}" for i in range(20)]
                c.must("HSET", "h", *(x for f in names for x in (f, n)))
                c.must("HPEXPIRE", "h", 1, "FIELDS", 20, *names)
                wait_for(lambda: c.must("HGETALL", "h") == [], 5, "the end")
                other.must("HSET", "h", *(x for f in names for x in (f, n)))
                for _ in range(30):
                    got = other.must("HMGET", "h", *names)
                    self.assertEqual(got, [b"%d" % n] * 20)

    def test_a_hash_ends_with_its_last_field_whichever_that_is(self):
        """However often it was looked at before, on either port."""
        with self.kv.resp(1) as other:
            for last in "abc":
                first = [f for f in "abc" if f != last]
                self.c.must("HSET", "h", "a", 1, "b", 2, "c", 3)
                self.c.must("HPEXPIRE", "h", 200, "FIELDS", 1, last)
                for c in (self.c, other):
                    self.assertEqual(c.must("EXISTS", "h"), 1)
                other.must("HDEL", "h", first[0])
                self.assertEqual(self.c.must("EXISTS", "h"), 1)
                self.c.must("HDEL", "h", first[1])
                for c in (self.c, other):
                    wait_for(lambda c=c: c.must("EXISTS", "h") == 0, 5, last)
                other.must("SET", "h", "string")
                self.assertEqual(self.c.must("GET", "h"), b"string")
                other.must("DEL", "h")

    def test_info_counts_hashes_with_such_fields(self):
        c = self.c
        c.must("HSET", "h", "a", "1", "b", "2")
        c.must("HSET", "i", "a", "1")
        c.must("HEXPIRE", "h", 100, "FIELDS", 1, "a")
        self.assertIn(b"subexpiry=1\r\n", c.must("INFO", "keyspace"))
        c.must("HDEL", "h", "a")
        self.assertIn(b"subexpiry=0\r\n", c.must("INFO", "keyspace"))

    def test_fields_change_the_encoding(self):
        c = self.c
        c.must("HSET", "h", "a", "1")
        c.must("HEXPIRE", "h", 100, "FIELDS", 1, "a")
        self.assertEqual(c.must("OBJECT", "ENCODING", "h"), b"listpackex")

    def test_a_value_that_grew_is_raw_also_in_the_tree(self):
        c = self.c
        c.must("SET", "k", "1")
        c.must("APPEND", "k", "2")
        c.must("SETRANGE", "new", 0, "3")
        c.must("APPEND", "first", "4")
        c.must("SAVE")
        got = [c.must("OBJECT", "ENCODING", k) for k in ("k", "new", "first")]
        self.assertEqual(got, [b"raw", b"raw", b"int"])
        c.must("EXPIRE", "k", 100)
        self.assertEqual(c.must("OBJECT", "ENCODING", "k"), b"raw")
        c.must("INCR", "k")
        self.assertEqual(c.must("OBJECT", "ENCODING", "k"), b"int")

    def test_events_of_hsetex_and_its_kin(self):
        c = self.c
        c.must("CONFIG", "SET", "notify-keyspace-events", "KA")
        with self.kv.resp() as sub:
            sub.must("SUBSCRIBE", "__keyspace@0__:h")
            c.must("HSETEX", "h", "EX", 100, "FIELDS", 2, "a", 1, "b", 2)
            c.must("HSETEX", "h", "FIELDS", 2, "c", 1, "d", 2)
            c.must("HGETEX", "h", "EX", 50, "FIELDS", 2, "c", "d")
            c.must("HGETEX", "h", "PERSIST", "FIELDS", 2, "c", "d")
            c.must("HEXPIRE", "h", 100, "FIELDS", 3, "a", "c", "d")
            c.must("HPERSIST", "h", "FIELDS", 2, "a", "c")
            c.must("HGETDEL", "h", "FIELDS", 2, "a", "c")
            c.must("HPEXPIRE", "h", 0, "FIELDS", 2, "b", "d")
            want = (b"hset hexpire hset hexpire hpersist hexpire hpersist hdel"
                    b" hdel del").split()
            self.assertEqual([sub.read_reply()[2] for _ in want], want)
        c.must("CONFIG", "SET", "notify-keyspace-events", "")

    def test_clients_that_wait_for_unpause_are_counted(self):
        def blocked():
            text = self.c.must("INFO", "clients").decode()
            return re.search(r"blocked_clients:(\d+)", text)[1]

        with self.kv.resp(0) as waits:
            self.assertEqual(blocked(), "0")
            self.c.must("CLIENT", "PAUSE", 60000, "WRITE")
            waits.send(resp_encode("SET", "k", "v"))
            wait_for(lambda: blocked() == "1", 5, "one that waits")
            self.c.must("CLIENT", "UNPAUSE")
            self.assertEqual(waits.read_reply(), b"OK")
            self.assertEqual(blocked(), "0")

    def test_what_begins_no_protocol_is_closed(self):
        with RespClient(self.kv.ports[0]) as c:
            c.send(b"\0" + b"A" * 70000)
            reply = c.read_reply()
            self.assertIsInstance(reply, Error)
            self.assertIn(b"Protocol error", reply.text)
            with self.assertRaises(Closed):
                c.read_reply()


if __name__ == "__main__":
    kvtest.main()
