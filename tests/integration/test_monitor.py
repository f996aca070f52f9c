#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""MONITOR over all ports of the host; CLIENT PAUSE, CLIENT KILL TYPE: what one
client does to others."""

import os
import re
import signal
import threading
import time

import kvtest
from kvtest import Closed, Error, Kvd, limit, resp_encode, wait_for
from test_storage_faults import WithMounts

LINE = re.compile(rb"(\d{10}\.\d{6}) \[(\d+) ([^ \]]+)\] (\".*)", re.S)


def log_end(c):
    return re.search(rb"log_end:(\d+)", c.must("INFO", "persistence"))[1]


class Monitors(kvtest.ThreePorts):
    def monitor(self, which=0):
        m = self.client(which)
        self.assertEqual(m.must("MONITOR"), b"OK")
        return m

    def line(self, m):
        """The next line's database and words."""
        got = LINE.fullmatch(m.read_reply())
        self.assertTrue(got, "not a line of MONITOR")
        return int(got[2]), got[4]

    def words(self, m, n):
        return [self.line(m)[1] for _ in range(n)]

    def test_a_monitor_on_any_port_sees_the_commands_of_all(self):
        monitors = [self.monitor(n) for n in range(3)]
        for n in range(3):
            c = self.client(n)
            c.must("ECHO", f"of {n}")
            c.must("SET", f"k{n}", n)
            c.must("GET", f"k{n}")
            c.call("INCR", "k0", "too", "many")
            c.call("NOSUCH")
            c.must("PING")
        for m in monitors:
            for n in range(3):
                self.assertEqual(self.words(m, 4), [
                    b'"ECHO" "of %d"' % n, b'"SET" "k%d" "%d"' % (n, n),
                    b'"GET" "k%d"' % n, b'"PING"'])

    def test_a_line_is_as_redis_writes_it(self):
        m, c = self.monitor(1), self.client(0)
        before = time.time()
        c.must("SELECT", "2")
        c.must("SET", 'a"b', b"\x00\n\xff")
        got = m.read_reply()
        self.assertTrue(LINE.fullmatch(got), got)
        self.assertLess(abs(float(got.split()[0]) - before), 5)
        self.assertEqual(LINE.fullmatch(got)[3].decode(),
                         "%s:%d" % c.sock.getsockname())
        self.assertEqual(LINE.fullmatch(got).group(2, 4),
                         (b"2", b'"SELECT" "2"'))
        self.assertEqual(self.line(m), (2, b'"SET" "a\\"b" "\\x00\\n\\xff"'))

    def test_what_exec_does_is_shown_when_it_does_it(self):
        m, c = self.monitor(1), self.client(0)
        c.must("MULTI")
        c.must("SET", "x", "1")
        c.must("INCR", "x")
        c.must("CLIENT", "LIST")
        c.must("CLIENT", "KILL", "ID", 1 << 40)
        c.must("HGET", "x", "f")
        self.assertEqual(self.words(m, 1), [b'"MULTI"'])
        self.assertEqual(m.read_quiet(0.05), b"")
        c.must("EXEC")
        self.assertEqual(self.words(m, 4), [
            b'"SET" "x" "1"', b'"INCR" "x"', b'"HGET" "x" "f"', b'"EXEC"'])
        c.must("MULTI")
        c.must("DEL", "x")
        c.call("NOSUCH")
        self.assertIsInstance(c.call("EXEC"), Error)
        self.assertEqual(self.words(m, 2), [b'"MULTI"', b'"EXEC"'])

    def test_passwords_and_administrators_are_not_shown(self):
        m, c = self.monitor(1), self.client(0)
        c.call("AUTH", "secret")
        c.call("AUTH", "default", "secret")
        c.call("HELLO", "2", "AUTH", "default", "secret", "SETNAME", "me")
        c.call("CONFIG", "SET", "requirepass", "secret")
        c.call("ACL", "SETUSER", "default", ">secret")
        c.must("CLIENT", "LIST")
        c.must("CLIENT", "KILL", "ID", 1 << 40)
        c.must("CLIENT", "ID")
        self.assertEqual(self.words(m, 4), [
            b'"AUTH" "(redacted)"', b'"AUTH" "(redacted)" "(redacted)"',
            b'"HELLO" "2" "AUTH" "(redacted)" "(redacted)" "SETNAME" "me"',
            b'"CLIENT" "ID"'])

    def test_line_clients_are_shown_too(self):
        m = self.monitor(0)
        line = self.kv.line(1)
        self.addCleanup(line.close)
        line.create("shown")
        line.put("shown", "k", 'v"w')
        self.assertEqual(line.get("shown", "k"), b'v"w')
        self.assertEqual(line.line("NONSENSE"), b"UNKNOWN COMMAND")
        line.line("AUTH secret")
        line.line("DROP shown")
        self.assertEqual(self.words(m, 5), [
            b'"CREATE" "shown"', b'"PUT" "shown" "k" "v\\"w"',
            b'"GET" "shown" "k"', b'"AUTH" "(redacted)"', b'"DROP" "shown"'])

    def test_a_monitor_is_not_told_of_itself_nor_after_reset(self):
        m, other, c = self.monitor(0), self.monitor(0), self.client(1)
        self.assertEqual(m.must("ECHO", "mine"), b"mine")
        self.assertEqual(self.words(other, 1), [b'"ECHO" "mine"'])
        self.assertEqual(m.must("RESET"), b"RESET")
        c.must("PING")
        self.assertEqual(m.must("ECHO", "quiet"), b"quiet")
        self.assertEqual(self.words(other, 3),
                         [b'"RESET"', b'"PING"', b'"ECHO" "quiet"'])

    def test_a_monitor_within_a_transaction_is_refused(self):
        c = self.client()
        c.must("MULTI")
        c.must("MONITOR")
        self.assertIsInstance(c.must("EXEC")[0], Error)

    def test_no_subscriber_sees_the_lines(self):
        m, c, sub = self.monitor(0), self.client(1), self.client(2)
        sub.must("PSUBSCRIBE", "*")
        n = c.must("CLIENT", "ID").to_bytes(8, "big")
        sub.send(resp_encode("SUBSCRIBE", n))
        sub.read_reply()
        c.must("CONFIG", "SET", "notify-keyspace-events", "KEA")
        try:
            c.must("ECHO", "unseen")
            # Nor can one be made up by publishing.
            self.assertEqual(c.must("PUBLISH", n, "+1 [0 x] \"FORGED\""), 2)
            got = [sub.read_reply() for _ in range(2)]
            self.assertTrue(all(b"FORGED" in g[-1] for g in got), got)
            self.assertEqual(sub.read_quiet(0.05), b"")
        finally:
            c.must("CONFIG", "SET", "notify-keyspace-events", "")
        self.assertEqual(
            [w for w in self.words(m, 5) if b"ECHO" in w or b"FORGED" in w
             and b"PUBLISH" not in w], [b'"ECHO" "unseen"'])

    def test_writes_of_all_ports_are_shown_in_the_order_of_the_log(self):
        log = self.kv.line(0)
        self.addCleanup(log.close)
        log.create("order")
        log.send(b"SUBSCRIBE order\r\n")
        monitors = [self.monitor(n) for n in range(3)]
        probe = self.client()
        def reached():
            probe.must("HSET", "order", "begin", "0")
            return log.fill(0.1)
        wait_for(reached, 5, "the subscription")
        probe.must("HSET", "order", "go", "0")
        rounds = 400

        def write(which):
            c = self.client(which)
            for n in range(rounds // 10):
                c.send(b"".join(
                    resp_encode("GET", "x") +
                    resp_encode("HSET", "order", f"k{i % 7}", f"{which}.{n}.{i}")
                    for i in range(10)))
                for _ in range(20):
                    c.read_reply()
        threads = [threading.Thread(target=write, args=(n,))
                   for n in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        want = []
        while len(want) < 3 * rounds:
            got = log.read_line().split(b" ")
            if got[0] != b"begin" and got[0] != b"go":
                want.append((got[0], got[3] if len(got) > 3 else got[-1]))
        for m in monitors:
            seen = []
            while len(seen) < 3 * rounds:
                w = self.line(m)[1].split(b'"')
                if w[1] == b"HSET" and w[5].startswith(b"k"):
                    seen.append((w[5], w[7]))
            self.assertEqual(seen, want)

    def test_a_value_of_16_mib_leaves_a_short_line(self):
        m, c = self.monitor(1), self.client(0)
        c.must("SET", "big", b"\xff" * (16 << 20))
        c.must("MSET", *[f"key{n // 2}" for n in range(40000)])
        c.must("DEL", "big")
        first, second, third = self.words(m, 3)
        self.assertLess(len(first), 66000)
        self.assertRegex(first[-40:], rb'\.\.\. \((\d+) more bytes\)"$')
        self.assertLess(len(second), 66000)
        self.assertRegex(second[-40:], rb'\.\.\. \((\d+) more arguments\)$')
        self.assertEqual(third, b'"DEL" "big"')

    @limit(120)
    def test_a_transaction_of_many_commands_is_shown_whole(self):
        m, c = self.monitor(1), self.client(0)
        n = 30000
        c.send(resp_encode("MULTI") + b"".join(
            resp_encode("SET", f"t{i % 100}", f"{i}") for i in range(n))
            + resp_encode("EXEC"), limit=60)
        for _ in range(n + 1):
            c.read_reply()
        self.assertEqual(len(c.read_reply()), n)
        self.assertEqual(self.words(m, n + 2), [b'"MULTI"'] + [
            b'"SET" "t%d" "%d"' % (i % 100, i) for i in range(n)]
            + [b'"EXEC"'])

    def test_without_monitors_commands_leave_nothing_in_the_log(self):
        c, d = self.client(0), self.client(1)
        def position():
            return log_end(d)
        m = self.monitor(2)
        before = position()
        c.must("GET", "x")
        self.assertNotEqual(position(), before)
        m.close()
        def quiet():
            before = position()
            c.must("GET", "x")
            return position() == before
        wait_for(quiet, 5, "no more lines in the log")


class Trouble(kvtest.Case):
    def setUp(self):
        self.kv = Kvd()
        self.addCleanup(self.kv.close)

    def client(self, which=0):
        c = self.kv.resp(which)
        self.addCleanup(c.close)
        return c

    def test_a_monitor_whose_worker_is_killed_costs_nothing_soon(self):
        m, c = self.client(1), self.client(0)
        m.must("MONITOR")
        c.must("PING")
        self.assertIn(b'"PING"', m.read_reply())
        # Nobody takes its slot: kvd is stopped.
        p = self.kv.worker_of(m)
        os.kill(self.kv.proc.pid, signal.SIGSTOP)
        try:
            p.kill()
            def quiet():
                before = log_end(c)
                c.must("PING")
                return log_end(c) == before
            wait_for(quiet, 10, "no lines for the dead")
        finally:
            os.kill(self.kv.proc.pid, signal.SIGCONT)

    def test_a_stopped_worker_with_a_monitor_hinders_nobody(self):
        m, c = self.client(1), self.client(0)
        m.must("MONITOR")
        p = self.kv.worker_of(m)
        os.kill(p.pid, signal.SIGSTOP)
        try:
            for n in range(1000):
                c.must("SET", f"k{n % 10}", "x" * 1000)
        finally:
            os.kill(p.pid, signal.SIGCONT)
        for n in range(1000):
            self.assertIn(b'"SET" "k%d"' % (n % 10), m.read_reply())

    @limit(120)
    def test_a_monitor_that_does_not_read_is_closed_in_the_end(self):
        m, c = self.client(1), self.client(0)
        m.must("MONITOR")
        value, n = "x" * 60000, 0
        while "monitor too slow" not in self.kv.log_text():
            c.must("SET", "k", value)
            n += 1
            self.assertLess(n, 20000)
        self.note(f"after {n * 60000 >> 20} MiB")
        self.assertEqual(c.must("PING"), b"PONG")


class Full(WithMounts):
    @limit(120)
    def test_on_a_full_disk_a_monitor_sees_its_own_port(self):
        self.store.dir = self.mount("disk", 96)
        kv = Kvd(ports=2, store=self.store, env=self.small())
        self.addCleanup(kv.close)
        with kv.line(limit=60) as c, kv.resp(0) as a, kv.resp(0) as m:
            c.create("b")
            c.put("b", "k0", "v")
            ballast = kvtest.fill_disk(self.store.dir)
            self.assertIsNotNone(self.write_until_refused(c, 160))
            wait_for(lambda: isinstance(a.call("SET", "k", "v"), Error), 10,
                     "trouble")
            m.must("MONITOR")
            self.assertIsInstance(a.call("SET", "k", "v"), Error)
            a.call("GET", "k")
            got = m.read_reply()
            while b'"GET" "k"' not in got:
                got = m.read_reply()
            os.unlink(ballast)
            wait_for(lambda: a.call("SET", "k", "w") == b"OK", 30, "room")
            with kv.resp(1) as b:
                b.must("ECHO", "of the other port")
            while b"of the other port" not in got:
                got = m.read_reply()


del WithMounts


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
