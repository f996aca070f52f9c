#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What nodes do together: WAIT, BARRIER, CREATE ALL, SET GLOBAL, LOCAL,
verify."""

import os
import signal
import threading
import time

import kvpeer
import kvtest
from kvnodes import HOST, Cluster, ClusterCase
from kvtest import wait_for


def syncd(node):
    return node.child("kv-syncd")


class Waiting(ClusterCase):
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
            self.assertEqual(c.line("WAIT", "1", "60000"), b"1")
            self.assertLess(time.monotonic() - began, 30)

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
        c.add("bar", names).sync_port()  # it has the well-known one now
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


class Agreement(ClusterCase):
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


class Local(ClusterCase):
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


class Verifying(ClusterCase):
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
