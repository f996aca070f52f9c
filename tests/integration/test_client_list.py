#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""CLIENT LIST and CLIENT KILL over all workers of the host: of two ports, of a
second kvd on the store, of workers that are stopped, killed or cannot write."""

import os
import resource
import signal
import socket
import time

import kvtest
from kvtest import Error, Kvd, limit, resp_encode, wait_for
from test_storage_faults import WithMounts

MANY = 10000


def rows(text):
    """A list as dictionaries; a row that is not one is an error."""
    return [dict(field.split("=", 1) for field in line.split(" "))
            for line in text.decode().splitlines()]


def ids(text):
    return [int(row["id"]) for row in rows(text)]


def is_closed(c):
    """The server closed it; what it sent before does not matter."""
    try:
        while c.fill(5):
            pass
        return c.eof
    except OSError:
        return True


class Ports(kvtest.ThreePorts):
    def three(self):
        found, numbers = [], []
        for n in range(3):  # a worker gives the id when it accepts
            found.append(self.client(n))
            numbers.append(found[n].must("CLIENT", "ID"))
        return found, numbers

    def test_a_list_shows_the_clients_of_all_workers_sorted_by_id(self):
        clients, numbers = self.three()
        self.assertEqual(numbers, sorted(set(numbers)))
        clients[1].must("CLIENT", "SETNAME", "second")
        clients[2].must("SELECT", "3")
        for asker in clients:
            text = asker.must("CLIENT", "LIST")
            got = {int(r["id"]): r for r in rows(text)}
            self.assertEqual(ids(text), sorted(got))
            self.assertLessEqual(set(numbers), set(got))
            self.assertEqual(got[numbers[1]]["name"], "second")
            self.assertEqual(got[numbers[2]]["db"], "3")
            self.assertEqual(got[numbers[2]]["cmd"], "select" if
                             asker != clients[2] else "client|list")
            self.assertEqual([got[n]["laddr"].split(":")[1] for n in numbers],
                             [got[n]["port"] for n in numbers])
            self.assertEqual([int(got[n]["port"]) for n in numbers],
                             self.kv.ports + self.other.ports)
            workers = {got[n]["worker"] for n in numbers}
            self.assertEqual(workers, {
                str(p.pid) for k in (self.kv, self.other)
                for p in k.children("kv-worker")})

    def test_a_row_has_the_fields_of_redis_in_its_order(self):
        c = self.client()
        want = ("id addr laddr fd name age idle flags db sub psub ssub multi"
                " watch qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll omem"
                " tot-mem events cmd user redir resp lib-name lib-ver").split()
        # go-redis refuses fields it does not know, here.
        self.assertEqual(list(rows(c.must("CLIENT", "INFO"))[0]), want)
        for row in rows(c.must("CLIENT", "LIST")):
            self.assertEqual(list(row), want + ["worker", "port"])

    def test_what_came_of_a_request_that_is_not_done_is_in_its_row(self):
        a, b = self.client(0), self.client(1)
        words = ("CLIENT", "LIST", "ID", a.must("CLIENT", "ID"))
        self.assertEqual(rows(a.must(*words))[0]["qbuf"],
                         str(len(resp_encode(*words))))
        b.send(b"*2\r\n$4\r\nECHO\r\n$100\r\nhalf")
        wait_for(lambda: "26" in [r["qbuf"] for r in rows(
            a.must("CLIENT", "LIST"))], 5, "half a request")

    def test_a_list_by_id_and_by_type_looks_at_all_workers(self):
        clients, numbers = self.three()
        a = clients[0]
        self.assertEqual(
            ids(a.must("CLIENT", "LIST", "ID", numbers[2], 1 << 40,
                       numbers[1], numbers[2])), numbers[1:])
        self.assertEqual(a.must("CLIENT", "LIST", "ID", 1 << 40), b"")
        clients[2].must("SUBSCRIBE", "x")
        self.assertEqual(ids(a.must("CLIENT", "LIST", "TYPE", "pubsub")),
                         [numbers[2]])
        got = ids(a.must("CLIENT", "LIST", "TYPE", "NORMAL"))
        self.assertNotIn(numbers[2], got)
        self.assertLessEqual(set(numbers[:2]), set(got))
        self.assertEqual(a.must("CLIENT", "LIST", "TYPE", "replica"), b"")

    def test_a_line_client_and_a_transaction_are_in_the_list(self):
        a, b = self.client(0), self.client(1)
        line = self.other.line()
        self.addCleanup(line.close)
        line.create("some")
        b.must("WATCH", "k")
        b.must("MULTI")
        b.must("SET", "k", "v")
        got = rows(a.must("CLIENT", "LIST"))
        self.assertIn(str(self.other.ports[0]), [r["port"] for r in got])
        self.assertEqual([(r["flags"], r["multi"], r["watch"]) for r in got
                          if r["multi"] != "-1"], [("x", "1", "1")])
        b.must("DISCARD")

    def test_bad_options_are_refused_in_redis_words(self):
        c = self.client()
        for words, answer in (
            (("LIST", "foo"), "syntax error"),
            (("LIST", "ID"), "syntax error"),
            (("LIST", "ID", "x"), "Invalid client ID"),
            (("LIST", "TYPE", "x"), "Unknown client type 'x'"),
            (("LIST", "TYPE", "normal", "x"), "syntax error"),
            (("KILL", "1.2.3.4:5"), "No such client"),
            (("KILL", "ID", "0"), "client-id should be greater than 0"),
            (("KILL", "ID", "x"), "client-id should be greater than 0"),
            (("KILL", "TYPE", "x"), "Unknown client type 'x'"),
            (("KILL", "USER", "bob"), "No such user 'bob'"),
            (("KILL", "MAXAGE", "x"),
             "maxage is not an integer or out of range"),
            (("KILL", "MAXAGE", "0"), "maxage should be greater than 0"),
            (("KILL", "SKIPME", "maybe"), "syntax error"),
            (("KILL", "ID", "1", "ADDR"), "syntax error"),
            (("KILL", "NAME", "x"), "syntax error"),
        ):
            got = c.call("CLIENT", *words)
            self.assertIsInstance(got, Error, words)
            self.assertEqual(got.text.decode(), "ERR " + answer, words)

    def test_a_kill_reaches_clients_of_all_workers(self):
        for how in ("id", "addr", "laddr", "old"):
            clients, numbers = self.three()
            a = clients[0]
            for c, n in zip(clients[1:], numbers[1:]):
                row = rows(a.must("CLIENT", "LIST", "ID", n))[0]
                if how == "old":
                    self.assertEqual(a.must("CLIENT", "KILL", row["addr"]),
                                     b"OK")
                else:
                    got = a.must("CLIENT", "KILL", how.upper(), row[how],
                                 "USER", "default")
                    self.assertGreaterEqual(got, 1)
                self.assertTrue(is_closed(c), how)
                self.assertEqual(a.must("CLIENT", "LIST", "ID", n), b"")

    def test_all_filters_have_to_agree(self):
        clients, numbers = self.three()
        a = clients[0]
        addr = rows(a.must("CLIENT", "LIST", "ID", numbers[1]))[0]["addr"]
        for more in (("ADDR", "127.0.0.1:1"), ("LADDR", addr),
                     ("TYPE", "pubsub"), ("MAXAGE", "100000"),
                     ("ADDR", "x" * 5000)):
            self.assertEqual(
                a.must("CLIENT", "KILL", "ID", numbers[1], *more), 0, more)
        self.assertEqual(
            a.must("CLIENT", "KILL", "ID", numbers[1], "ADDR", addr, "TYPE",
                   "normal", "SKIPME", "yes", "USER", "default"), 1)
        self.assertTrue(is_closed(clients[1]))
        self.assertEqual(clients[2].must("PING"), b"PONG")

    def test_a_kill_by_type_counts_those_of_all_workers(self):
        clients, _ = self.three()
        for c in clients:
            c.must("SUBSCRIBE", "x")
        a = self.client(1)
        self.assertEqual(a.must("CLIENT", "KILL", "TYPE", "pubsub"), 3)
        for c in clients:
            self.assertTrue(is_closed(c))

    def test_one_that_kills_itself_gets_its_answer(self):
        for which in range(3):
            c = self.client(which)
            me = c.must("CLIENT", "ID")
            self.assertEqual(c.must("CLIENT", "KILL", "ID", me), 0)
            self.assertEqual(
                c.must("CLIENT", "KILL", "ID", me, "SKIPME", "no"), 1)
            self.assertTrue(is_closed(c))

    def test_a_pipeline_waits_for_the_list_and_goes_on(self):
        c, other = self.client(0), self.client(1)
        n = other.must("CLIENT", "ID")
        c.send(resp_encode("SET", "order", "1") +
               resp_encode("CLIENT", "LIST", "ID", n) +
               resp_encode("INCR", "order") +
               resp_encode("CLIENT", "KILL", "ID", n) +
               resp_encode("GET", "order"))
        got = [c.read_reply() for _ in range(5)]
        self.assertEqual(ids(got[1]), [n])
        self.assertEqual(got[0::2] + [got[3]], [b"OK", 2, b"2", 1])

    def test_a_transaction_may_list_and_kill_and_happens_once(self):
        c, other = self.client(0), self.client(2)
        n = other.must("CLIENT", "ID")
        c.must("SET", "once", "0")
        c.must("MULTI")
        c.must("INCR", "once")
        c.must("CLIENT", "LIST", "ID", n)
        c.must("CLIENT", "KILL", "ID", n)
        c.must("CLIENT", "KILL", "ID", n)
        c.must("INCR", "once")
        got = c.must("EXEC")
        self.assertEqual((got[0], got[2:]), (1, [1, 0, 2]))
        self.assertEqual(ids(got[1]), [n])
        self.assertTrue(is_closed(other))
        self.assertEqual(c.must("GET", "once"), b"2")

    def test_a_transaction_may_not_ask_without_end(self):
        c = self.client()
        c.must("MULTI")
        for _ in range(40):
            c.must("CLIENT", "KILL", "ID", 1 << 40)
        got = c.must("EXEC")
        self.assertEqual(got[:32], [0] * 32)
        for answer in got[32:]:
            self.assertIsInstance(answer, Error)

    def test_many_may_ask_at_once_on_all_ports(self):
        clients = [self.client(n % 3) for n in range(60)]
        numbers = {c.must("CLIENT", "ID") for c in clients}
        for _ in range(5):
            for c in clients:
                c.send(resp_encode("CLIENT", "LIST") +
                       resp_encode("CLIENT", "KILL", "ID", 1 << 40))
            for c in clients:
                self.assertLessEqual(numbers, set(ids(c.read_reply())))
                self.assertEqual(c.read_reply(), 0)
        folder = self.kv.store.shm_folders()[0]
        self.assertEqual([f for f in os.listdir(folder) if "answer" in f], [])

    def test_an_asker_that_leaves_harms_nobody(self):
        for n in range(200):
            c = self.client(n % 3)
            c.send(resp_encode("CLIENT", "LIST") * 3)
            c.close()
        c, d = self.client(0), self.client(1)
        wait_for(lambda: ids(d.must("CLIENT", "LIST"))
                 == ids(c.must("CLIENT", "LIST")), 5, "the same list")


class Trouble(kvtest.Case):
    def setUp(self):
        self.kv = Kvd()
        self.addCleanup(self.kv.close)

    def client(self, which=0):
        c = self.kv.resp(which)
        self.addCleanup(c.close)
        return c

    def test_a_stopped_worker_delays_the_others_a_second_and_is_named(self):
        a, b, c = self.client(0), self.client(1), self.client(0)
        n = b.must("CLIENT", "ID")
        p = self.kv.worker_of(b)
        os.kill(p.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            a.send(resp_encode("CLIENT", "LIST"))
            self.assertEqual(c.must("PING"), b"PONG")  # nobody else waits
            got = ids(a.read_reply())
            took = time.monotonic() - began
            self.assertNotIn(n, got)
            self.assertIn(a.must("CLIENT", "ID"), got)
            self.assertGreater(took, 0.9)
            self.assertLess(took, 3 * kvtest.SLOW)
            self.assertIn(f"ask pid={p.pid} ", self.kv.log_text())
            # Who is known to be silent is not waited for that long.
            began = time.monotonic()
            for _ in range(3):
                self.assertEqual(a.must("CLIENT", "KILL", "ID", n), 0)
            self.assertLess(time.monotonic() - began, 0.9 * kvtest.SLOW)
            self.assertEqual(self.kv.log_text().count("ask pid="), 1)
        finally:
            os.kill(p.pid, signal.SIGCONT)
        # What it was asked too long ago it does not do any more.
        self.assertEqual(b.must("PING"), b"PONG")
        wait_for(lambda: n in ids(a.must("CLIENT", "LIST")), 5, "all again")
        self.assertEqual(a.must("CLIENT", "KILL", "ID", n), 1)
        self.assertTrue(is_closed(b))

    def test_a_worker_killed_while_it_is_asked_is_not_waited_for(self):
        a, b = self.client(0), self.client(1)
        p = self.kv.worker_of(b)
        os.kill(p.pid, signal.SIGSTOP)
        a.send(resp_encode("CLIENT", "LIST"))
        self.assertEqual(a.read_quiet(0.1), b"")
        p.kill_and_wait()
        got = ids(a.read_reply())
        self.assertEqual(got, [a.must("CLIENT", "ID")])
        self.assertNotIn("ask pid=", self.kv.log_text())
        wait_for(lambda: self.kv.answers(self.kv.ports[1]), 5, "its follower")
        d = self.client(1)
        self.assertIn(d.must("CLIENT", "ID"), ids(a.must("CLIENT", "LIST")))

    def test_askers_killed_over_it_leave_nothing_in_the_way(self):
        a = self.client(0)
        for _ in range(3):
            b = self.client(1)
            asker, asked = self.kv.worker_of(b), self.kv.worker_of(a)
            os.kill(asked.pid, signal.SIGSTOP)
            try:
                for _ in range(30):
                    self.client(1).send(resp_encode(
                        "CLIENT", "KILL", "LADDR",
                        f"127.0.0.1:{self.kv.ports[0]}"))
                wait_for(lambda: self.client(1).must("PING"), 5, "answer")
                asker.kill_and_wait()
            finally:
                os.kill(asked.pid, signal.SIGCONT)
            # What a dead one asked for is not done.
            self.assertEqual(a.must("PING"), b"PONG")
            wait_for(lambda: self.kv.answers(self.kv.ports[1]), 5, "follower")
        self.assertIn(self.client(1).must("CLIENT", "ID"),
                      ids(a.must("CLIENT", "LIST")))

    @limit(240)
    def test_ten_thousand_connections_over_two_workers(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        many = min(MANY, hard - 200)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE,
                        (soft, hard))
        socks = []
        self.addCleanup(lambda: [s.close() for s in socks])
        a, b = self.client(0), self.client(1)
        for n in range(many - 2):
            socks.append(socket.create_connection(
                ("127.0.0.1", self.kv.ports[n % 2])))
        wait_for(lambda: len(ids(a.must("CLIENT", "LIST"))) == many, 30,
                 f"{many} clients in the list")
        began = time.monotonic()
        first = b.must("CLIENT", "LIST")
        took = time.monotonic() - began
        self.note(f"{many} clients, {len(first)} bytes, {took * 1000:.0f} ms")
        self.assertEqual(ids(first), sorted(set(ids(first))))
        self.assertEqual({s.getsockname()[1] for s in socks} - {
            int(r["addr"].split(":")[1]) for r in rows(first)}, set())
        # All of one port, on the other: nobody is missed.
        began = time.monotonic()
        killed = a.must("CLIENT", "KILL", "LADDR",
                        f"127.0.0.1:{self.kv.ports[1]}")
        self.note(f"{killed} killed in {(time.monotonic() - began) * 1000:.0f}"
                  " ms")
        self.assertEqual(killed, many // 2)
        self.assertEqual(len(ids(a.must("CLIENT", "LIST"))), many - killed)


class Full(WithMounts):
    @limit(120)
    def test_lists_and_kills_work_when_the_store_cannot_be_written(self):
        self.store.dir = self.mount("disk", 96)
        kv = Kvd(ports=2, store=self.store, env=self.small())
        self.addCleanup(kv.close)
        with kv.line(limit=60) as c, kv.resp(0) as a, kv.resp(1) as b:
            c.create("b")
            kvtest.fill_disk(self.store.dir)
            self.assertIsNotNone(self.write_until_refused(c, 160))
            self.assertIsInstance(a.call("SET", "k", "x" * 1000), Error)
            n = b.must("CLIENT", "ID")
            self.assertIn(n, ids(a.must("CLIENT", "LIST")))
            self.assertEqual(a.must("CLIENT", "KILL", "ID", n), 1)
            self.assertTrue(is_closed(b))


del WithMounts

if __name__ == "__main__":
    kvtest.main()
