#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What nodes do for each other's clients: CALL, CLIENTS, PUBLISH everywhere,
WAIT, BARRIER, CREATE ALL, SET GLOBAL."""

import os
import signal
import threading
import time

import kvpeer
import kvtest
from kvnodes import HOST, Cluster
from kvtest import Error, limit, wait_for


# A sanitizer's own memory is not kv-syncd's.
INSTRUMENTED = "asan" in kvtest.BIN or "_OPTIONS" in " ".join(os.environ)


class Cluster_(kvtest.Case):
    def cluster(self, *names, **env):
        c = Cluster(**env)
        self.addCleanup(c.__exit__)
        return c.start(*names)

    def two(self, **env):
        return self.cluster("foo", "bar", **env)

    def assert_error(self, got, *words):
        self.assertIsInstance(got, Error, got)
        for w in words:
            self.assertIn(w, str(got))


def syncd(node):
    return node.child("kv-syncd")


class Calls(Cluster_):
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


class Presence(Cluster_):
    def clients(self, node):
        with node.resp() as c:
            return c.call("KV.CLIENTS")

    def names(self, node):
        return sorted((n, name) for n, _, name in self.clients(node)
                      if not name.startswith(b"127."))

    def test_clients_of_all_nodes_are_seen_with_their_names(self):
        foo, bar = self.two()
        foo_name, bar_name = (f"{x}@{HOST}".encode() for x in ("foo", "bar"))
        with foo.resp() as a, bar.resp() as b:
            a.must("CLIENT", "SETNAME", "web")
            b.must("HELLO", 3, "SETNAME", "jobs")
            both = [(bar_name, b"jobs"), (foo_name, b"web")]
            for node in foo, bar:
                wait_for(lambda: self.names(node) == both, 10,
                         f"both names on {node.node}")
            b.must("CLIENT", "SETNAME", "cron")
            wait_for(lambda: (bar_name, b"cron") in self.names(foo), 10,
                     "another name")
            with foo.line() as line:
                line.send(b"CLIENTS\r\n")
                text = line.read_until(b"OK\r\n")
                self.assertIn(foo_name, text)
                self.assertIn(b" web\r\n", text)
        wait_for(lambda: self.names(foo) == [], 10, "both gone")

    def holder(self, node, name):
        with node.resp() as c:
            got = c.call("KV.CLIENTS", name)
            return got[0][:2] if got else None

    def test_a_name_is_whose_client_took_it_first_on_every_node(self):
        foo, bar = self.two()
        foo_name, bar_name = (f"{x}@{HOST}".encode() for x in ("foo", "bar"))
        with foo.resp() as late, bar.resp() as early, bar.resp() as second:
            def both(want):
                wait_for(lambda: all(self.holder(n, "leader") == want
                                     for n in (foo, bar)), 10,
                         f"the name to be that of {want}")
            both(None)
            early.must("CLIENT", "SETNAME", "leader")
            both([bar_name, early.call("CLIENT", "ID")])
            late.must("CLIENT", "SETNAME", "leader")  # connected before
            wait_for(lambda: len(self.names(foo)) == 2, 10, "both")
            second.must("HELLO", 3, "SETNAME", "leader")
            wait_for(lambda: len(self.names(foo)) == 3, 10, "all three")
            late.must("CLIENT", "SETNAME", "leader")
            early.must("CLIENT", "SETNAME", "leader")  # keeps its time
            both([bar_name, early.call("CLIENT", "ID")])
            with foo.line() as line:
                line.send(b"CLIENTS leader\r\nCLIENTS nobody\r\n")
                self.assertEqual(line.read_line().split()[0], bar_name)
                self.assertEqual([line.read_line(), line.read_line()],
                                 [b"OK", b"OK"])
            early.must("CLIENT", "SETNAME", "")
            both([foo_name, late.call("CLIENT", "ID")])
            early.must("CLIENT", "SETNAME", "leader")
            late.close()
            both([bar_name, second.call("CLIENT", "ID")])

    def test_kv_syncd_is_no_client(self):
        foo, bar = self.two()
        with bar.resp() as b, foo.resp() as c:
            wait_for(lambda: self.clients(foo), 10, "kv-syncd to be told")
            lines = b.call("CLIENT", "LIST").splitlines()
            self.assertEqual(len(lines), 1, lines)
            self.assertIn(b"connected_clients:1\r\n",
                          b.call("INFO", "clients"))
            c.must("CLIENT", "SETNAME", "me")

    def test_the_clients_of_a_node_vanish_with_it(self):
        foo, bar = self.two()
        with bar.resp() as b:
            b.must("CLIENT", "SETNAME", "jobs")
            wait_for(lambda: self.names(foo), 10, "its name")
            bar.kill9_all()
            wait_for(lambda: not self.names(foo), 20, "its end")

    def test_the_clients_of_a_killed_worker_vanish(self):
        foo, bar = self.two()
        with bar.resp() as b:
            b.must("CLIENT", "SETNAME", "jobs")
            wait_for(lambda: self.names(foo), 10, "its name")
            bar.worker_of(b).kill()
            wait_for(lambda: not self.names(foo), 20, "its end")
        with bar.resp() as b:
            b.must("CLIENT", "SETNAME", "again")
            wait_for(lambda: self.names(foo), 10, "the new worker's")


class PresenceAlone(Cluster_):
    def test_a_node_by_itself_shows_the_clients_of_all_its_workers(self):
        with kvtest.Kvd() as kv, kv.resp(0) as a, kv.resp(1) as b, \
                kv.line(1) as line:
            a.must("CLIENT", "SETNAME", "one")
            b.must("CLIENT", "SETNAME", "two")
            got = a.call("KV.CLIENTS")
            self.assertEqual({x[2] for x in got} & {b"one", b"two"},
                             {b"one", b"two"})
            self.assertEqual(len(got), 3)
            node = got[0][0]
            a.must("CLIENT", "SETNAME", "two")      # later
            (_, id, _), = a.call("KV.CLIENTS", "two")
            self.assertEqual(id, b.call("CLIENT", "ID"))
            self.assertEqual(a.call("KV.CLIENTS", "one"), [])
            a.must("CLIENT", "SETNAME", "one")
            line.send(b"CLIENTS\r\nPING\r\n")
            text = line.read_until(b"PONG\r\n")
            self.assertIn(node + b" ", text)
            self.assertIn(b" one\r\n", text)
            self.assertIn(b" two\r\n", text)
            self.assertIn(b"\r\nOK\r\n", text)


class Messages(Cluster_):
    def test_publish_reaches_subscribers_on_every_node_once(self):
        nodes = self.cluster("foo", "bar", "baz")
        subs = [n.resp() for n in nodes]
        for s in subs:
            self.addCleanup(s.close)
            self.assertEqual(s.call("SUBSCRIBE", "news"),
                             [b"subscribe", b"news", 1])
        for i, n in enumerate(nodes):
            with n.resp() as c:
                for j in range(50):
                    c.call("PUBLISH", "news", f"{i}-{j}")
        want = sorted(f"{i}-{j}".encode() for i in range(3)
                      for j in range(50))
        for s in subs:
            got = [s.read_reply()[2] for _ in want]
            self.assertEqual(sorted(got), want)
            for i in range(3):      # of one publisher, in order
                mine = [x for x in got if x.startswith(b"%d-" % i)]
                self.assertEqual(mine, [b"%d-%d" % (i, j)
                                        for j in range(50)])
            self.assertEqual(s.read_quiet(0.1), b"")

    def test_patterns_and_messages_of_every_size(self):
        foo, bar, baz = self.cluster("foo", "bar", "baz")
        sizes = [0, 1, 60_000, 65_490, 65_491, 65_600, 70_000, 1 << 20,
                 16 << 20]
        with bar.resp() as s, baz.resp() as t, foo.resp() as c:
            s.call("PSUBSCRIBE", "n*")
            t.call("SUBSCRIBE", "news")
            for n in sizes:
                c.call("PUBLISH", "news", os.urandom(n // 2) + b"x" * n)
                c.call("PUBLISH", "news", b"small")
            lost = 0
            for n in sizes[:-1]:
                got = s.read_reply()
                self.assertEqual(got[:3], [b"pmessage", b"n*", b"news"])
                self.assertEqual(len(got[3]), n // 2 + n)
                self.assertEqual(got[3][n // 2:], b"x" * n)
                self.assertEqual(s.read_reply()[3], b"small")
                self.assertEqual(t.read_reply()[2], got[3])
                self.assertEqual(t.read_reply()[2], b"small")

    def test_a_burst_of_large_messages_costs_bounded_memory(self):
        foo, bar = self.two(KV_SUBSCRIBER_LIMIT="256m")
        with bar.resp() as s, foo.resp() as c:
            s.call("SUBSCRIBE", "bulk")
            before = syncd(foo).anon_bytes()
            got = []

            def read():
                while not got or got[-1] != b"end":
                    got.append(s.read_reply(limit=30)[2])
            reader = threading.Thread(target=read)
            reader.start()
            peak = 0
            for i in range(60):
                c.call("PUBLISH", "bulk", b"%03d" % i + b"y" * (2 << 20))
                peak = max(peak, syncd(foo).anon_bytes() - before)
            wait_for(lambda: c.call("PUBLISH", "bulk", "end") is not None
                     and not reader.is_alive(), 30, "the end")
            got = [x for x in got if x != b"end"]
            numbers = [int(x[:3]) for x in got]
            self.assertEqual(numbers, sorted(set(numbers)))
            self.assertEqual({len(x) for x in got}, {3 + (2 << 20)})
            if not INSTRUMENTED:
                self.assertLess(peak, 48 << 20)
            # On a busy machine the log may move on without kv-syncd.
            if len(got) < 60:
                wait_for(lambda: b"sync_messages_lost:0\r\n" not in
                         c.call("INFO", "stats"), 10, "what was lost")

    def test_a_node_that_hangs_costs_messages_and_info_says_how_many(self):
        foo, bar = self.two(KV_SYNC_TIMEOUT="60s", KV_SEGMENT_SIZE="16m",
                            KV_VALUE_MAX="2m")
        hung = syncd(bar)
        os.kill(hung.pid, signal.SIGSTOP)
        self.addCleanup(lambda: os.kill(hung.pid, signal.SIGCONT))
        with foo.resp() as c, foo.resp() as here:
            here.call("SUBSCRIBE", "bulk")

            def lost():
                self.assertEqual(c.call("PUBLISH", "bulk", b"z" * (2 << 20)),
                                 1)
                self.assertEqual(len(here.read_reply()[2]), 2 << 20)
                text = c.call("INFO", "stats").decode()
                return int(text.split("sync_messages_lost:")[1].split()[0])
            wait_for(lambda: lost() > 0, 30, "a message that is lost")

    def test_a_node_that_is_away_gets_nothing_later(self):
        foo, bar = self.two()
        with bar.resp() as s, foo.resp() as c:
            s.call("SUBSCRIBE", "news")
            syncd(bar).kill()
            c.call("PUBLISH", "news", "lost")
            bar.in_step()
            foo.in_step()
            c.call("PUBLISH", "news", "seen")
            wait_for(lambda: c.call("PUBLISH", "news", "more") is not None
                     and s.read_quiet(0.1), 10, "a message")


class Waiting(Cluster_):
    def test_wait_counts_nodes_that_have_it_on_disk(self):
        foo, bar, baz = self.cluster("foo", "bar", "baz")
        with foo.resp() as c, foo.line() as line:
            c.must("SET", "k", "v")
            self.assertEqual(c.call("WAIT", 2, 5000), 2)
            for node in bar, baz:
                self.assertEqual(node.resp().call("GET", "k"), b"v")
            line.create("b")
            line.put("b", "k", "v")
            self.assertEqual(line.line("WAIT", "2", "5000"), b"2")
            self.assertEqual(line.read_line(), b"OK")
            stopped = syncd(baz)
            os.kill(stopped.pid, signal.SIGSTOP)
            self.addCleanup(lambda: stopped.is_alive() and
                            os.kill(stopped.pid, signal.SIGCONT))
            c.must("SET", "k", "w")
            self.assertEqual(c.call("WAIT", 1, 5000), 1)
            began = time.monotonic()
            self.assertEqual(c.call("WAIT", 2, 300), 1)
            self.assertGreater(time.monotonic() - began, 0.29)
            self.assertEqual(c.call("WAITAOF", 1, 1, 300), [1, 1])
            os.kill(stopped.pid, signal.SIGCONT)
            self.assertEqual(c.call("WAIT", 2, 9000), 2)

    def test_a_thousand_clients_may_wait_at_once(self):
        foo, bar = self.two()
        clients = [foo.resp() for _ in range(1000)]
        for c in clients:
            self.addCleanup(c.close)
        stopped = syncd(bar)
        os.kill(stopped.pid, signal.SIGSTOP)
        self.addCleanup(lambda: os.kill(stopped.pid, signal.SIGCONT))
        for i, c in enumerate(clients):
            c.send(kvtest.resp_encode("SET", f"k{i}", "v") +
                   kvtest.resp_encode("WAIT", "1", "30000"))
        for c in clients:
            self.assertEqual(c.read_reply(), b"OK")
        os.kill(stopped.pid, signal.SIGCONT)
        for c in clients:
            self.assertEqual(c.read_reply(30), 1)

    def test_what_wait_counted_survives_the_loss_of_the_writer(self):
        foo, bar = self.two()
        with foo.resp() as c:
            for i in range(50):
                c.must("SET", f"k{i}", i)
            self.assertEqual(c.call("WAIT", 1, 5000), 1)
        foo.kill9_all()
        bar.kill9_all()
        bar.start()
        with bar.resp() as c:
            for i in range(50):
                self.assertEqual(c.call("GET", f"k{i}"), str(i).encode())

    def test_wait_without_a_limit_outlives_kv_syncd_and_ends_with_others(self):
        foo, bar = self.two()
        stopped = syncd(bar)
        os.kill(stopped.pid, signal.SIGSTOP)
        self.addCleanup(lambda: os.kill(stopped.pid, signal.SIGCONT))
        with foo.resp() as c, foo.line() as line:
            c.must("SET", "k", "v")
            c.send(kvtest.resp_encode("WAIT", "1", "0"))
            line.send(b"CREATE b\r\nWAIT 1 0\r\n")
            self.assertEqual(line.read_until(b"OK\r\n"), b"")
            syncd(foo).kill()       # who is asked is another one by then
            self.assertEqual(c.read_quiet(0.3) + line.read_quiet(0), b"")
            os.kill(stopped.pid, signal.SIGCONT)
            self.assertEqual(c.read_reply(), 1)
            self.assertEqual(line.read_until(b"OK\r\n"), b"1\r\n")

    def test_who_waits_without_a_limit_keeps_no_node_from_stopping(self):
        foo, bar = self.two()
        bar.stop()
        with foo.resp() as c:
            c.must("SET", "k", "v")
            c.send(kvtest.resp_encode("WAIT", "1", "0"))
            self.assertEqual(c.read_quiet(0.1), b"")
            foo.stop(limit=4)
            self.assertEqual(c.read_reply(), 0)

    def test_without_kv_syncd_what_waits_for_all_says_so_in_time(self):
        foo, bar = self.two()
        path = os.path.join(foo.store.shm_folders()[0], "sync")
        os.rename(path, path + ".away")     # as while kvd starts it again
        with foo.resp() as c, foo.line() as line:
            self.assert_error(c.call("KV.BARRIER", 200),
                              "UNAVAILABLE kv-syncd does not answer")
            self.assertEqual(line.line("BARRIER", "100"),
                             b"ERROR kv-syncd does not answer")
            self.assertEqual(
                line.line("CREATE", "b", "ALL", "100"),
                b"ERROR kv-syncd does not answer; it was dropped again")
            self.assertEqual(line.line("GET", "b", "k"), b"NOT FOUND")
            self.assert_error(
                c.call("SET", "k", "v", "NX", "GLOBAL", 100),
                "UNAVAILABLE kv-syncd does not answer; it stays")
            self.assertEqual(c.call("WAIT", 1, 100), 0)
            self.assertEqual(c.call("WAIT", 0, 0), 0)
            c.send(kvtest.resp_encode("KV.BARRIER", "20000"))
            self.assertEqual(c.read_quiet(0.1), b"")
            os.rename(path + ".away", path)     # in time: nobody notices
            self.assertEqual(c.read_reply(), b"OK")

    def test_a_local_write_is_not_waited_for(self):
        foo, bar = self.two()
        with foo.line() as c:
            c.ok("CREATE", "l", "LOCAL")
            c.put("l", "k", "v")
            began = time.monotonic()
            self.assertEqual(c.line("WAIT", "1", "5000"), b"1")
            self.assertLess(time.monotonic() - began, 3)

    def test_barrier_is_ok_when_all_have_it_and_names_who_has_not(self):
        foo, bar, baz = self.cluster("foo", "bar", "baz")
        with foo.resp() as c, foo.line() as line, bar.resp() as b:
            b.must("SET", "theirs", "1")
            c.must("SET", "mine", "1")
            self.assertEqual(c.call("KV.BARRIER", 5000), b"OK")
            self.assertEqual(c.call("GET", "theirs"), b"1")
            self.assertEqual(line.line("BARRIER", "5000"), b"OK")
            baz.kill9_all()
            c.must("SET", "mine", "2")
            self.assert_error(c.call("KV.BARRIER", 300),
                              f"UNAVAILABLE waiting for baz@{HOST}")

    def test_who_was_looked_for_in_vain_counts_when_he_came_and_went(self):
        """The holder of the well-known port answered in his place: that does
        not make the two one, and a barrier waits for him too."""
        c = Cluster()
        self.addCleanup(c.__exit__)
        names = ",".join(f"{n}@{HOST}" for n in ("foo", "bar", "baz"))
        c.add("bar", names)
        foo = c.add("foo", names)
        foo.wait_log(f"baz@{HOST}", "another name answered")
        baz = c.add("baz", names)
        foo.in_step()
        baz.kill9_all()
        with foo.resp() as r:
            r.must("SET", "k", "v")
            self.assert_error(r.call("KV.BARRIER", 300),
                              f"UNAVAILABLE waiting for baz@{HOST}")

    def test_waiters_that_go_away_leave_nothing_behind(self):
        foo, bar = self.two()
        stopped = syncd(bar)
        os.kill(stopped.pid, signal.SIGSTOP)
        self.addCleanup(lambda: os.kill(stopped.pid, signal.SIGCONT))
        for _ in range(300):        # more than kv-syncd lets wait
            with foo.resp() as c:
                c.must("SET", "k", "v")
                c.send(kvtest.resp_encode("WAIT", "2", "20"))
                self.assertIsInstance(c.read_reply(), int)
                c.abort()
        with foo.resp() as c:
            c.must("SET", "k", "v")
            self.assertEqual(c.call("WAIT", 1, 50), 0)


class Agreement(Cluster_):
    def freeze(self, node):
        p = syncd(node)
        os.kill(p.pid, signal.SIGSTOP)
        self.addCleanup(lambda: p.is_alive() and
                        os.kill(p.pid, signal.SIGCONT))
        return p

    def create_cost(self, node, name):
        """Of 100 CREATEs: appends, records and bytes of the log, with nobody
        else there to append."""
        def log():
            with node.resp() as c:
                text = c.call("INFO", "persistence").decode()
            return [int(text.split(word + ":")[1].split()[0]) for word in
                    ("log_appends", "log_records", "log_end")]
        still = [p for p in node.children() if p.name == "kv-syncd"]
        for p in still:
            os.kill(p.pid, signal.SIGSTOP)
        try:
            before = log()
            with node.line() as c:
                for i in range(100):
                    self.assertEqual(c.line("CREATE", f"{name}{i:08}"), b"OK")
            return [b - a for a, b in zip(before, log())]
        finally:
            for p in still:
                os.kill(p.pid, signal.SIGCONT)

    def test_a_create_does_nothing_per_node_and_nothing_per_bucket(self):
        with kvtest.Kvd(ports=1) as kv:
            alone = self.create_cost(kv, "a")
            with kv.line() as c:
                self.assertEqual(set(c.batch(f"CREATE many{i}"
                                             for i in range(5000))), {b"OK"})
            self.assertEqual(self.create_cost(kv, "b"), alone)
        foo, bar, baz = self.cluster("foo", "bar", "baz")
        self.assertEqual(self.create_cost(foo, "a"), alone)
        foo.in_step()
        with bar.line() as c:
            self.assertEqual(set(c.batch(f"CREATE more{i}"
                                         for i in range(5000))), {b"OK"})
        wait_for(lambda: foo.digest("more4999") is not None, 20, "all of them")
        foo.in_step()
        self.assertEqual(self.create_cost(foo, "b"), alone)
        self.note(f"appends, records, bytes of 100 CREATEs: {alone}")

    def test_create_all_is_ok_when_every_node_has_the_bucket(self):
        nodes = self.cluster("foo", "bar", "baz")
        with nodes[0].line() as c, nodes[0].resp() as r:
            for i in range(5):
                self.assertEqual(c.line("CREATE", f"b{i}", "ALL"), b"OK")
                for n in nodes:
                    with n.line() as d:
                        self.assertEqual(d.line("COUNT", f"b{i}"), b"0")
            self.assertEqual(r.call("KV.CREATE", "b0", "ALL", 5000), b"OK")

    def test_create_all_names_who_is_missing_and_takes_it_back(self):
        foo, bar, baz = self.cluster("foo", "bar", "baz")
        self.freeze(baz)
        with foo.line() as c, foo.resp() as r, bar.line() as b:
            self.assertEqual(
                c.line("CREATE", "b", "ALL", "300"),
                f"ERROR waiting for baz@{HOST}; it was dropped again"
                .encode())
            self.assertEqual(c.line("COUNT", "b"), b"NOT FOUND")
            wait_for(lambda: b.line("COUNT", "b") == b"NOT FOUND", 10,
                     "the drop on bar")
            # One that was there is not dropped.
            c.create("old")
            self.assert_error(r.call("KV.CREATE", "old", "ALL", 300),
                              f"UNAVAILABLE waiting for baz@{HOST}",
                              "it stays")
            self.assertEqual(c.line("COUNT", "old"), b"0")
            c.read_line()

    def test_a_bucket_that_is_used_meanwhile_is_not_taken_back(self):
        foo, bar = self.two()
        self.freeze(bar)
        with foo.resp() as r, foo.line() as c:
            r.send(kvtest.resp_encode("KV.CREATE", "b", "ALL", "700"))
            wait_for(lambda: c.line("PUT", "b", "k", "v") == b"OK", 5,
                     "the bucket")
            self.assert_error(r.read_reply(), "UNAVAILABLE", "it stays")
            self.assertEqual(c.get("b", "k"), b"v")

    def test_of_those_who_set_globally_one_wins(self):
        nodes = self.cluster("foo", "bar", "baz")
        rounds, won, failed = 12, {}, []

        def compete(i):
            with nodes[i].resp() as c:
                for k in range(rounds):
                    try:
                        got = c.call("SET", f"lock{k}", f"node{i}", "NX",
                                     "GLOBAL", 8000)
                    except Exception as e:  # noqa: B902 - shown below
                        failed.append(e)
                        return
                    if got == b"OK":
                        won.setdefault(k, []).append(i)
                    elif got is not None:
                        failed.append(got)

        threads = [threading.Thread(target=compete, args=(i,))
                   for i in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failed, [])
        for k, winners in won.items():
            self.assertEqual(len(winners), 1, f"lock{k}: {winners}")
        for k, (w,) in won.items():
            for n in nodes:
                self.assertEqual(n.resp().call("GET", f"lock{k}"),
                                 f"node{w}".encode())
        self.assertGreater(len(won), rounds // 2)

    def test_set_global_compares_and_says_who_is_missing(self):
        foo, bar = self.two()
        with foo.resp() as c, bar.resp() as b:
            self.assertEqual(c.call("SET", "k", "1", "NX", "GLOBAL", 5000),
                             b"OK")
            self.assertEqual(b.call("GET", "k"), b"1")
            self.assertIsNone(c.call("SET", "k", "2", "NX", "GLOBAL", 5000))
            self.assertEqual(
                b.call("SET", "k", "2", "IFEQ", "1", "GLOBAL", 5000), b"OK")
            self.assertEqual(c.call("GET", "k"), b"2")
            self.assert_error(c.call("SET", "k", "3", "GLOBAL", 5000),
                              "ERR syntax error")
            self.assert_error(
                c.call("SET", "k", "3", "NX", "GET", "GLOBAL", 5000),
                "ERR syntax error")
            self.freeze(bar)
            self.assert_error(
                c.call("SET", "k", "3", "IFEQ", "2", "GLOBAL", 300),
                f"UNAVAILABLE waiting for bar@{HOST}; it stays")
            self.assertEqual(c.call("GET", "k"), b"3")
            self.assert_error(
                c.call("SET", "l", "1", "NX", "GLOBAL", 300, "WITHDRAW"),
                f"UNAVAILABLE waiting for bar@{HOST}; it was deleted again")
            self.assertIsNone(c.call("GET", "l"))

    def test_a_node_by_itself_agrees_with_itself(self):
        with kvtest.Kvd() as kv, kv.resp() as c, kv.line() as line:
            self.assertEqual(c.call("SET", "k", "v", "NX", "GLOBAL", 1000),
                             b"OK")
            self.assertIsNone(c.call("SET", "k", "w", "NX", "GLOBAL", 1000))
            self.assertEqual(line.line("CREATE", "b", "ALL"), b"OK")
            self.assertEqual(line.line("BARRIER", "1000"), b"OK")
            self.assertEqual(c.call("KV.BARRIER", 0), b"OK")
            self.assertEqual(c.call("WAIT", 1, 0), 0)
            c.must("MULTI")
            c.must("SET", "m", "1", "NX", "GLOBAL", "1000")
            self.assert_error(c.call("EXEC")[0], "inside a transaction")


class Local(Cluster_):
    def test_a_local_bucket_never_leaves_its_node(self):
        foo, bar = self.two()
        with foo.line() as c, bar.line() as b, foo.resp() as r:
            c.ok("CREATE", "l", "LOCAL")
            c.put("l", "k", "mine")
            c.create("shared")
            self.assertEqual(r.call("KV.BARRIER", 9000), b"OK")
            wait_for(lambda: b.line("COUNT", "shared") == b"0" and
                     b.read_line() == b"OK", 10, "the shared bucket")
            self.assertEqual(b.line("COUNT", "l"), b"NOT FOUND")
            # One of the same name there does not touch ours.
            b.create("l")
            b.put("l", "k", "theirs")
            b.create("last")
            wait_for(lambda: c.line("COUNT", "last") == b"0" and
                     c.read_line() == b"OK", 10, "what came after it")
            self.assertEqual(c.get("l", "k"), b"mine")

    def test_all_is_refused_where_the_name_means_a_local_bucket(self):
        foo, bar = self.two()
        with foo.line() as c, foo.resp() as r:
            c.create("l")
            c.ok("CREATE", "l", "LOCAL")
            self.assertEqual(c.line("CREATE", "l", "ALL"),
                             b"ERROR the bucket is of this host only")
            self.assert_error(r.call("KV.CREATE", "l", "ALL"),
                              "ERR the bucket is of this host only")


class Verifying(Cluster_):
    def test_verify_peers_names_what_differs(self):
        foo, bar, baz = self.cluster("foo", "bar", "baz")
        with foo.resp() as c:
            for i in range(20):
                c.must("HSET", f"h{i}", "f", i)
            c.must("KV.CREATE", "mine", "LOCAL")
            c.must("HSET", "mine", "f", "1")
            self.assertEqual(c.call("WAIT", 2, 9000), 2)
        p = foo.tool("verify", "--peers", code=0)
        self.assertEqual(p.stdout, "2 other nodes: everything agrees\n")
        # A node that cannot be asked is a finding, too.
        hung = syncd(baz)
        os.kill(hung.pid, signal.SIGSTOP)
        self.addCleanup(lambda: os.kill(hung.pid, signal.SIGCONT))
        with foo.resp() as c:
            c.must("HSET", "h3", "f", "other")
        p = foo.tool("-t", "1s", "verify", "--peers", code=4)
        self.assertIn(f"baz@{HOST}: not compared", p.stdout)
        self.assertNotIn("bar", p.stdout)
        os.kill(hung.pid, signal.SIGCONT)
        wait_for(lambda: foo.tool("-t", "9s", "verify", "--peers",
                                  limit=60).returncode == 0, 40, "agreement")

    def test_a_difference_that_stays_is_named_by_bucket(self):
        (foo,) = self.cluster("foo")
        with foo.resp() as c:
            c.must("HSET", "x", "f", "1")
            c.must("HSET", "same", "f", "1")
            here = c.call("KV.DIGEST")
            self.assertEqual([h[0] for h in here], [b"same", b"x"])
            self.assertEqual(here[0][1], c.call("KV.DIGEST", "same"))
            self.assertEqual(here[0][2], 1)
        # A node that says that it has no x.
        said = b"*1\r\n*3\r\n$4\r\nsame\r\n$32\r\n%s\r\n:1\r\n" % here[0][1]
        peer = kvpeer.Peer(foo, foo.cluster.cookie)
        self.addCleanup(peer.close)
        stop = threading.Event()
        answering = threading.Thread(target=self.answer,
                                     args=(peer, said, stop))
        answering.start()
        self.addCleanup(answering.join)
        self.addCleanup(stop.set)
        p = foo.tool("-t", "1s", "verify", "--peers", code=4)
        self.assertEqual(p.stdout, "evil@host: bucket x: is missing there\n")
        p = foo.tool("-t", "1s", "--json", "verify", "--peers", code=4)
        self.assertIn('"bucket":"x"', p.stdout)
        self.assertIn('"findings":1', p.stdout)

    def answer(self, peer, said, stop):
        """Every CALL with this, until told to stop."""
        done = 0
        while not stop.is_set():
            calls = peer.of(kvpeer.CALL)
            for f in calls[done:]:
                peer.send(kvpeer.u8(kvpeer.REPLY) + f[1:9] + kvpeer.u8(0) +
                          kvpeer.u8(0) + said)
            done = len(calls)
            stop.wait(0.01)


if __name__ == "__main__":
    kvtest.main()
