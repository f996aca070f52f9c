#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What nodes run for each other: CALL."""

import os
import signal
import time

import kvtest
from kvnodes import HOST, ClusterCase
from kvtest import wait_for

# A sanitizer's own memory is not kv-syncd's.
INSTRUMENTED = "asan" in kvtest.BIN or "_OPTIONS" in " ".join(os.environ)


def syncd(node):
    return node.child("kv-syncd")


class Calls(ClusterCase):
    def test_a_command_runs_on_the_named_node_in_the_callers_protocol(self):
        foo, bar = self.two()
        with foo.line() as line, foo.resp() as two, bar.resp() as there:
            there.must("KV.CREATE", "here", "LOCAL")
            there.must("HSET", "here", "k", "v")
            self.assertEqual(line.batch(["CALL bar GET here k", "PING"]),
                             [b"v", b"OK"])
            self.assertEqual(line.read_line(), b"PONG")
            self.assertEqual(
                line.batch([f"CALL bar@{HOST} PUT here l 2", "PING",
                            "CALL bar COUNT here"]),
                [b"OK", b"PONG", b"2"])
            self.assertEqual(line.read_line(), b"OK")
            self.assertEqual(two.call("KV.CALL", "bar", "HGETALL", "here"),
                             [b"k", b"v", b"l", b"2"])
            two.call("HELLO", 3)
            got = two.call("KV.CALL", "bar", "HGETALL", "here")
            self.assertIsInstance(got, kvtest.Map)
            self.assertEqual([list(x) for x in got],
                             [[b"k", b"v"], [b"l", b"2"]])
            # Errors of the command itself are its answer.
            self.assert_error(two.call("KV.CALL", "bar", "HGET", "here"),
                              "ERR wrong number of arguments")
            self.assertEqual(line.line("CALL", "bar", "GET", "no", "k"),
                             b"NOT FOUND")

    def test_errors_name_node_and_reason_and_keep_their_class(self):
        foo, bar = self.two()
        with foo.resp() as c, foo.line() as line:
            self.assert_error(c.call("KV.CALL", "bar", "SHUTDOWN"),
                              "DENIED bar")
            self.assert_error(c.call("KV.CALL", "bar", "CONFIG", "SET",
                                     "save", ""), "DENIED bar")
            self.assert_error(c.call("KV.CALL", "bar", "KV.CALL", "foo",
                                     "PING"), "DENIED bar")
            self.assert_error(c.call("KV.CALL", "bar", "FLUSHALL"),
                              "DENIED bar")
            self.assert_error(c.call("KV.CALL", "bar", "NOSUCH"),
                              "NOTFOUND bar")
            self.assert_error(c.call("KV.CALL", "nobody", "PING"),
                              "NOCONNECTION nobody")
            self.assertEqual(line.line("CALL", "bar", "SHUTDOWN"),
                             b"ERROR denied bar: not in remote_commands there")
            self.assertEqual(bar.resp().call("PING"), b"PONG")

    def test_remote_commands_is_the_limit_and_a_reload_moves_it(self):
        foo, bar = self.two(KV_REMOTE_COMMANDS="get,client|list")
        with foo.resp() as c:
            self.assertEqual(c.call("KV.CALL", "bar", "GET", "x"), None)
            self.assert_error(c.call("KV.CALL", "bar", "SET", "x", "1"),
                              "DENIED")
            self.assert_error(c.call("KV.CALL", "bar", "CLIENT", "KILL",
                                     "1"), "DENIED")
            self.assertIn(b"id=",
                          c.call("KV.CALL", "bar", "CLIENT", "LIST"))

    def test_every_command_is_known_to_the_list(self):
        """What no list of syncd/allow.c names would be `notfound`."""
        foo, bar = self.two()
        with foo.resp() as c:
            for name in c.call("COMMAND", "LIST"):
                if b"|" in name or name in (b"subscribe", b"psubscribe"):
                    continue
                got = c.call("KV.CALL", "bar", "TIMEOUT", "2000", name)
                self.assertNotIn("NOTFOUND", str(got), name)
        for verb in ("CREATE", "PUT", "DELETE", "DROP", "BUCKETS", "KEYS",
                     "COUNT", "WAIT", "NODES", "CLIENTS", "CALL", "PING",
                     "AUTH", "QUIT", "BARRIER"):
            with foo.line() as line:
                self.assertNotIn(b"notfound", line.line("CALL", "bar", verb))

    def test_a_smuggled_line_is_refused(self):
        """A peer's words for the line protocol are looked at as they are:
        RESP callers cannot put a line end into a word of theirs."""
        foo, bar = self.two()
        with foo.resp() as c:
            self.assertEqual(
                c.call("KV.CALL", "bar", "SET", "k", "v\r\nSHUTDOWN\r\n"),
                b"OK")
            self.assertEqual(bar.resp().call("GET", "k"),
                             b"v\r\nSHUTDOWN\r\n")

    def test_a_dead_node_is_an_error_at_once_and_a_hung_one_in_time(self):
        foo, bar = self.two()
        with foo.resp() as c:
            hung = syncd(bar)
            os.kill(hung.pid, signal.SIGSTOP)
            self.addCleanup(lambda: hung.is_alive() and
                            os.kill(hung.pid, signal.SIGCONT))
            began = time.monotonic()
            self.assert_error(
                c.call("KV.CALL", "bar", "TIMEOUT", "300", "PING"),
                "TIMEOUT bar")
            took = time.monotonic() - began
            self.assertGreater(took, 0.29)
            self.assertLess(took, 0.3 + 1.5 * kvtest.SLOW)
            os.kill(hung.pid, signal.SIGCONT)
            wait_for(lambda: c.call("KV.CALL", "bar", "PING") == b"PONG",
                     10, "bar to be back")
            bar.kill9_all()
            began = time.monotonic()
            wait_for(lambda: "NOCONNECTION bar" in
                     str(c.call("KV.CALL", "bar", "PING")), 10, "no link")
            self.assertLess(time.monotonic() - began, 3 * kvtest.SLOW)

    def test_other_clients_of_the_worker_do_not_wait(self):
        foo, bar = self.two()
        hung = syncd(bar)
        os.kill(hung.pid, signal.SIGSTOP)
        self.addCleanup(lambda: os.kill(hung.pid, signal.SIGCONT))
        with foo.resp() as waits, foo.resp() as other:
            waits.send(kvtest.resp_encode("KV.CALL", "bar", "TIMEOUT",
                                          "3000", "PING"))
            for _ in range(100):
                self.assertEqual(other.call("PING"), b"PONG")
            self.assertEqual(waits.read_quiet(0.05), b"")

    def test_a_long_answer_comes_whole_and_in_bounded_memory(self):
        foo, bar = self.two()
        size, count = 100_000, 400
        with bar.resp() as there:
            there.must("KV.CREATE", "big", "LOCAL")
            for i in range(count):
                there.must("HSET", "big", f"{i:04}", bytes([i % 251]) * size)
        with foo.resp() as c:
            before = syncd(foo).anon_bytes(), syncd(bar).anon_bytes()
            got = c.call("KV.CALL", "bar", "TIMEOUT", "60000", "HVALS",
                         "big")
            self.assertEqual(len(got), count)
            for i, v in enumerate(got):
                self.assertEqual(v, bytes([i % 251]) * size)
            after = syncd(foo).anon_bytes(), syncd(bar).anon_bytes()
            for x, y in zip(before, after):
                if not INSTRUMENTED:
                    self.assertLess(y - x, 16 << 20)

    def test_a_worker_that_dies_leaves_no_half_answer_that_looks_whole(self):
        foo, bar = self.two()
        with bar.resp() as there:
            there.must("KV.CREATE", "big", "LOCAL")
            for i in range(400):
                there.must("HSET", "big", f"{i:04}", bytes(100_000))

        def worker():
            return next(p for p in bar.children() if p.name == "kv-worker")
        hung = worker()
        os.kill(hung.pid, signal.SIGSTOP)
        with foo.resp() as c:
            c.send(kvtest.resp_encode("KV.CALL", "bar", "PING"))
            self.assertEqual(c.read_quiet(0.05), b"")
            hung.kill()
            self.assert_error(c.read_reply(), "FAILED bar", "ended")
            self.assertEqual(c.call("PING"), b"PONG")
            wait_for(lambda: c.call("KV.CALL", "bar", "PING") == b"PONG",
                     10, "another worker")
        with foo.resp() as c:  # that does not read on
            c.send(kvtest.resp_encode("KV.CALL", "bar", "TIMEOUT", "60000",
                                      "HVALS", "big"))
            c.read_until(b"\r\n")
            worker().kill()
            with self.assertRaises(kvtest.Closed):
                while True:
                    c.read_until(b"\r\n")

    def test_large_arguments_cross(self):
        foo, bar = self.two()
        with foo.resp() as c:
            value = os.urandom(900_000)
            self.assertEqual(c.call("KV.CALL", "bar", "SET", "k", value),
                             b"OK")
            self.assertEqual(c.call("KV.CALL", "bar", "GET", "k"), value)
            self.assert_error(
                c.call("KV.CALL", "bar", "SET", "k", b"x" * (1 << 20)),
                "FAILED bar", "mebibyte")

    def test_a_subscription_streams_until_the_caller_goes(self):
        foo, bar = self.two()
        with bar.line() as there, foo.line() as a, bar.resp() as r:
            there.ok("CREATE", "s", "LOCAL")
            a.send(b"CALL bar SUBSCRIBE s\r\n")

            def subscribed():
                there.send(b"COUNT SUBSCRIPTIONS s\r\n")
                n = there.read_line()
                return there.read_line() == b"OK" and int(n)
            wait_for(lambda: subscribed() == 1, 10, "the subscription")
            there.put("s", "k", "1")
            self.assertEqual(a.read_line(), b"k SET TO 1")
            there.put("s", "k", "2")
            self.assertEqual(a.read_line(), b"k SET TO 2")
            a.close()
            wait_for(lambda: subscribed() == 0, 10, "its end")

    def test_redis_channels_can_be_listened_to_elsewhere(self):
        foo, bar = self.two()
        with foo.resp() as a, bar.resp() as b:
            a.send(kvtest.resp_encode("KV.CALL", "bar", "SUBSCRIBE", "ch"))
            self.assertEqual(a.read_reply(), [b"subscribe", b"ch", 1])
            b.call("PUBLISH", "ch", "x")
            self.assertEqual(a.read_reply(), [b"message", b"ch", b"x"])

    def test_without_kv_syncd_the_answer_says_so(self):
        with kvtest.Kvd() as kv, kv.resp() as c, kv.line() as line:
            self.assert_error(c.call("KV.CALL", "bar", "PING"),
                              "NOCONNECTION", "kv-syncd does not run")
            self.assertEqual(c.call("WAIT", 1, 5000), 0)
            self.assertTrue(line.line("CALL", "bar", "PING")
                            .startswith(b"ERROR noconnection"))

    def test_kv_syncd_may_be_killed_while_clients_wait(self):
        foo, bar = self.two()
        hung = syncd(bar)
        os.kill(hung.pid, signal.SIGSTOP)
        self.addCleanup(lambda: os.kill(hung.pid, signal.SIGCONT))
        with foo.resp() as c:
            c.send(kvtest.resp_encode("KV.CALL", "bar", "PING"))
            self.assertEqual(c.read_quiet(0.2), b"")
            syncd(foo).kill()
            self.assert_error(c.read_reply(), "NOCONNECTION")
            self.assertEqual(c.call("PING"), b"PONG")


if __name__ == "__main__":
    kvtest.main()
