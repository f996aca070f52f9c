#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What nodes tell each other of their clients: CLIENTS, names, PUBLISH
everywhere."""

import os
import signal
import threading

import kvtest
from kvnodes import HOST, ClusterCase
from kvtest import wait_for

# A sanitizer's own memory is not kv-syncd's.
INSTRUMENTED = "asan" in kvtest.BIN or "_OPTIONS" in " ".join(os.environ)


def syncd(node):
    return node.child("kv-syncd")


class Presence(ClusterCase):
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


class PresenceAlone(ClusterCase):
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


class Messages(ClusterCase):
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

    def past(self, node, hung, *publish):
        """The log goes on while kv-syncd is stopped.  False: that was in the
        midst of a turn, which holds the log."""
        os.kill(hung.pid, signal.SIGSTOP)
        try:
            with node.resp() as c:
                if publish:
                    c.call("PUBLISH", *publish, limit=2)
                for i in range(100):  # the log has five segments
                    c.must("SET", f"k{i}", bytes(100_000), limit=2)
            return True
        except TimeoutError:
            return False
        finally:
            os.kill(hung.pid, signal.SIGCONT)

    def test_who_publishes_nothing_loses_no_message(self):
        foo, bar = self.two(KV_SYNC_TIMEOUT="60s", KV_SEGMENT_SIZE="1m",
                            KV_VALUE_MAX="200k")
        hung = syncd(foo)
        with foo.resp() as c, bar.resp() as there, bar.resp() as b:
            there.call("SUBSCRIBE", "news")
            c.call("PUBLISH", "news", "before")
            self.assertEqual(there.read_reply()[2], b"before")
            wait_for(lambda: self.past(foo, hung), 60, "the log to go on")
            c.must("SET", "last", "1")
            wait_for(lambda: b.call("GET", "last") == b"1", 30,
                     "the last one")
            self.assertEqual(foo.count_log("messages lost"), 0)
            wait_for(lambda: self.past(foo, hung, "news", "lost"), 60,
                     "the log to go on")
            foo.wait_log("messages lost", "too slow")

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


if __name__ == "__main__":
    kvtest.main()
