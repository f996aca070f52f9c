#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""MONITOR, CLIENT PAUSE, CLIENT KILL TYPE: what one client does to others."""

import re
import time

import kvtest
from kvtest import Closed, Error, Kvd, wait_for


class Clients(kvtest.Case):
    @classmethod
    def setUpClass(cls):
        cls.kv = Kvd()

    @classmethod
    def tearDownClass(cls):
        cls.kv.close()

    def client(self, which=0):
        c = self.kv.resp(which)
        self.addCleanup(c.close)
        return c

    def test_ids_are_unique_over_all_ports(self):
        ids = [self.client(n % 2).must("CLIENT", "ID") for n in range(10)]
        self.assertEqual(sorted(set(ids)), ids)

    def test_a_monitor_sees_the_commands_of_others(self):
        m, c = self.client(), self.client()
        self.assertEqual(m.must("MONITOR"), b"OK")
        c.must("SELECT", "2")
        c.must("SET", 'a"b', b"\x00\n\xff")
        c.call("AUTH", "default", "secret")
        c.must("ECHO", "behind")  # AUTH is not shown, as in Redis
        got = [m.read_reply() for _ in range(3)]
        self.assertTrue(re.fullmatch(
            rb'\d{10}\.\d{6} \[0 127\.0\.0\.1:\d+\] "SELECT" "2"', got[0]),
            got[0])
        self.assertTrue(got[1].endswith(rb'"SET" "a\"b" "\x00\n\xff"'), got)
        self.assertIn(b"[2 ", got[1])
        self.assertTrue(got[2].endswith(b'"ECHO" "behind"'), got)
        self.assertEqual(m.must("RESET"), b"RESET")
        c.must("PING")
        self.assertEqual(m.must("ECHO", "quiet"), b"quiet")

    def test_a_pause_holds_writers_of_all_ports_until_it_is_over(self):
        c = self.client(0)
        c.must("CLIENT", "PAUSE", 100000, "WRITE")
        writers = [self.client(w) for w in (0, 1)]
        line = self.kv.line(1)
        self.addCleanup(line.close)
        for n, w in enumerate(writers):
            w.send(kvtest.resp_encode("GET", "p") +
                   kvtest.resp_encode("SET", "p", n) +
                   kvtest.resp_encode("GET", "nosuch"))
            self.assertIsNone(w.read_reply())
        line.send(b"CREATE paused\r\n")
        self.assertEqual(c.call("GET", "p"), None)
        self.assertEqual(line.read_quiet(0.05), b"")
        self.assertEqual(writers[1].read_quiet(0.05), b"")
        self.client(1).must("CLIENT", "UNPAUSE")
        for w in writers:
            self.assertEqual([w.read_reply(), w.read_reply()], [b"OK", None])
        self.assertEqual(line.read_line(), b"OK")
        c.must("DEL", "p")

    def test_a_pause_of_all_ends_by_itself(self):
        began = time.monotonic()
        self.client(1).must("CLIENT", "PAUSE", 300)
        self.assertEqual(self.client(0).call("PING"), b"PONG")
        self.assertGreater(time.monotonic() - began, 0.25)

    def test_bad_pauses_are_refused(self):
        c = self.client()
        for args in (("-1",), ("x",), ("10", "SOME")):
            self.assertIsInstance(c.call("CLIENT", "PAUSE", *args), Error)

    def test_a_kill_by_type_spares_the_others(self):
        c, sub = self.client(), self.client()
        sub.must("SUBSCRIBE", "x")
        self.assertEqual(c.must("CLIENT", "KILL", "TYPE", "replica"), 0)
        self.assertEqual(c.must("CLIENT", "KILL", "TYPE", "pubsub"), 1)
        with self.assertRaises((Closed, OSError)):
            sub.read_reply()
        wait_for(lambda: b"sub=1" not in c.must("CLIENT", "LIST"), 5, "end")


if __name__ == "__main__":
    kvtest.main()
