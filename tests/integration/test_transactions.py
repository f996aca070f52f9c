#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""MULTI, WATCH and deadlines of fields: whole through a crash, alone among
other ports, exact to the millisecond."""

import threading
import time
import unittest

import kvtest
from kvtest import Closed, Error, Kvd, limit, wait_for

try:
    import redis
except ImportError:
    redis = None

NO_FIELD, ALWAYS, UNMET, DONE, DELETED = -2, -1, 0, 1, 2


def in_threads(*functions):
    """Run them at once; the first exception of any is raised here."""
    wrong = []

    def guarded(f):
        try:
            f()
        except BaseException as e:  # also the asserts
            wrong.append(e)
    threads = [threading.Thread(target=guarded, args=(f,), daemon=True)
               for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if wrong:
        raise wrong[0]


def transaction(*commands):
    return [("MULTI",), *commands, ("EXEC",)]


class Shared(kvtest.Served):
    def setUp(self):
        self.a = self.client(0)
        self.b = self.client(1)
        self.a.must("FLUSHALL")

    def client(self, port):
        c = self.server().resp(port)
        self.addCleanup(c.close)
        return c

    def execute(self, c, *commands):
        return c.pipeline(transaction(*commands))[-1]


class Atomic(kvtest.Case):
    KEYS = 50

    def round(self, kv, port, number, delay):
        """A client sends transactions until its worker is killed."""
        killed = threading.Event()

        def write():
            with kv.resp(port) as c:
                n = number * 1000000
                try:
                    while not killed.is_set():
                        n += 1
                        c.pipeline(transaction(
                            *[("SET", f"k{i}", n) for i in range(self.KEYS)],
                            ("HSET", f"h{n % 7}", "n", n),
                            ("SET", "last", n)))
                except (OSError, Closed):
                    pass

        def kill():
            with kv.resp(port) as c:
                worker = kv.worker_of(c)
            time.sleep(delay)
            worker.kill()
            killed.set()
        in_threads(write, kill)

    @limit(120)
    def test_a_worker_killed_in_exec_leaves_all_of_it_or_nothing(self):
        ports = 5  # a worker that died often is restarted ever later
        with Kvd(ports=ports) as kv:
            done = 0
            for number in range(20):
                port = number % ports
                wait_for(lambda: kv.answers(kv.ports[port]), 10, "new worker")
                self.round(kv, port, number + 1, 0.02 + 0.003 * number)
                with kv.resp((number + 1) % ports) as c:
                    values = c.call(
                        "MGET", "last", *[f"k{i}" for i in range(self.KEYS)])
                    self.assertEqual(len(set(values)), 1, values)
                    if values[0] is not None:
                        last = int(values[0])
                        done += last % 1000000
                        self.assertEqual(
                            c.call("HGET", f"h{last % 7}", "n"), values[0])
            self.assertGreater(done, 20)
            self.note(f"{done} transactions")

    def test_a_store_killed_and_opened_again_has_all_of_it_or_nothing(self):
        with Kvd() as kv:
            for number in range(3):
                stop = threading.Event()

                def write():
                    n = number * 1000000
                    try:
                        with kv.resp(0) as c:
                            while not stop.is_set():
                                n += 1
                                c.pipeline(transaction(
                                    *[("SET", f"k{i}", n)
                                      for i in range(self.KEYS)]))
                    except (OSError, Closed):
                        pass

                def kill():
                    time.sleep(0.1)
                    kv.kill9_all()
                    stop.set()
                in_threads(write, kill)
                kv.start()
                with kv.resp(1) as c:
                    values = c.call(
                        "MGET", *[f"k{i}" for i in range(self.KEYS)])
                self.assertEqual(len(set(values)), 1, values)


class Isolated(Shared):
    def test_no_reader_of_another_port_sees_half_of_a_transaction(self):
        keys = [f"k{i}" for i in range(20)]
        stop = threading.Event()
        seen = set()

        def write():
            try:
                for n in range(1500):
                    self.execute(self.a, *[("SET", k, n) for k in keys])
            finally:
                stop.set()

        def read():
            while not stop.is_set():
                values = set(self.b.must("MGET", *keys))
                self.assertEqual(len(values), 1, values)
                seen.update(values)
        in_threads(write, read)
        self.note(f"{len(seen)} states seen")
        self.assertGreater(len(seen), 5)

    def test_transactions_of_eight_connections_on_two_ports_sum_up(self):
        rounds = 100
        sums = []

        def count(port):
            with self.kv.resp(port) as c:
                for _ in range(rounds):
                    sums.append(self.execute(
                        c, ("INCR", "n"), ("INCR", "n"), ("INCR", "m"),
                        ("HINCRBY", "h", "n", 3)))
        in_threads(*[lambda p=i % 2: count(p) for i in range(8)])
        self.assertEqual(self.a.must("MGET", "n", "m"),
                         [b"%d" % (16 * rounds), b"%d" % (8 * rounds)])
        self.assertEqual(self.b.must("HGET", "h", "n"), b"%d" % (24 * rounds))
        for one, two, m, h in sums:
            self.assertEqual((two, h), (one + 1, 3 * m))
        self.assertEqual(len({x[2] for x in sums}), 8 * rounds)

    def test_a_transaction_too_large_for_a_segment_does_nothing(self):
        value = b"x" * (15 << 20)
        self.a.must("SET", "k", "before")
        answer = self.execute(
            self.a, ("SET", "k", "after"),
            *[("SET", f"big{i}", value) for i in range(5)])
        self.assertIsInstance(answer, Error)
        self.assertIn("too large", str(answer))
        self.assertEqual(self.b.must("GET", "k"), b"before")
        self.assertEqual(self.b.must("DBSIZE"), 1)
        self.assertEqual(self.execute(self.a, ("GET", "k")), [b"before"])

    @limit(120)
    def test_large_transactions_go_on_when_the_log_was_full(self):
        value = b"y" * (2 << 20)
        for n in range(30):
            self.assertEqual(
                self.execute(self.a, ("SELECT", 1),
                             *[("SET", f"b{i}", value) for i in range(8)],
                             ("INCR", "n"), ("SELECT", 0)),
                [b"OK"] * 9 + [n + 1, b"OK"])
        self.assertEqual(self.a.must("DBSIZE"), 0)

    def test_a_transaction_shows_only_itself_to_a_line_subscriber(self):
        with self.kv.line(1) as sub, self.kv.line(1) as line:
            line.create("tx")
            sub.send(b"SUBSCRIBE tx\r\n")

            def subscribed():
                line.send(b"COUNT SUBSCRIPTIONS tx\r\n")
                return (line.read_line(), line.read_line()) == (b"1", b"OK")
            wait_for(subscribed, 5, "subscription")
            self.execute(self.a, ("HSET", "tx", "a", "1"),
                         ("HSET", "tx", "b", "2"), ("HDEL", "tx", "a"))
            self.assertEqual([sub.read_line() for _ in range(3)],
                             [b"a SET TO 1", b"b SET TO 2", b"a DELETED"])


class Watched(Shared):
    def conflict(self, watched, *changes):
        """Does the change, by the other port, make EXEC fail?"""
        self.a.must("WATCH", *watched)
        for change in changes:
            self.b.must(*change)
        answer = self.execute(self.a, ("PING",))
        if answer:
            self.assertEqual(answer, [b"PONG"])
        return not answer

    def test_a_change_by_another_port_is_a_conflict(self):
        self.b.must("SET", "k", "v")
        self.b.must("HSET", "h", "f", "v", "g", "w")
        for change in (("SET", "k", "v"), ("APPEND", "k", "x"),
                       ("EXPIRE", "k", 100), ("PERSIST", "k"), ("DEL", "k"),
                       ("SET", "k", "again")):
            self.assertTrue(self.conflict(["none", "k"], change), change)
        for change in (("HSET", "h", "f", "v"), ("HDEL", "h", "g"),
                       ("HINCRBY", "h", "n", 1),
                       ("HEXPIRE", "h", 100, "FIELDS", 1, "f"),
                       ("HPERSIST", "h", "FIELDS", 1, "f"),
                       ("EXPIRE", "h", 100), ("PERSIST", "h"),
                       ("RENAME", "h", "h2"), ("RENAME", "h2", "h"),
                       ("DEL", "h"), ("HSET", "h", "f", "v"),
                       ("FLUSHDB",)):
            self.assertTrue(self.conflict(["h"], change), change)

    def test_what_changes_nothing_is_no_conflict(self):
        self.b.must("SET", "k", "v")
        self.b.must("HSET", "h", "f", "v")
        for change in (("SET", "other", "v"), ("GET", "k"), ("DEL", "none"),
                       ("HSET", "h2", "f", "v"), ("HDEL", "h", "nothing"),
                       ("HGETALL", "h"), ("SET", "k", "w", "NX")):
            self.assertFalse(self.conflict(["k", "h", "none"], change), change)

    def test_set_and_deleted_again_is_a_conflict(self):
        self.assertTrue(self.conflict(["k"], ("SET", "k", "v"), ("DEL", "k")))

    def test_a_key_that_expires_before_exec_is_a_conflict_but_not_a_stale_one(
            self):
        self.b.must("SET", "k", "v", "PX", 60)
        self.a.must("WATCH", "k")
        wait_for(lambda: self.b.must("EXISTS", "k") == 0, 5, "expiry")
        self.assertFalse(self.execute(self.a, ("PING",)))
        self.a.must("WATCH", "k")
        time.sleep(0.6)  # for whoever sweeps
        self.assertTrue(self.execute(self.a, ("PING",)))

    def test_optimistic_counters_on_two_ports_lose_nothing(self):
        def count(port):
            with self.kv.resp(port) as c:
                done = 0
                while done < 50:
                    c.must("WATCH", "n")
                    n = int(c.must("GET", "n") or 0)
                    done += bool(self.execute(c, ("SET", "n", n + 1)))
        in_threads(*[lambda p=i % 2: count(p) for i in range(4)])
        self.assertEqual(self.a.must("GET", "n"), b"200")

    def test_client_list_tells_what_is_queued_and_watched(self):
        number = self.a.must("CLIENT", "ID")

        def told():
            line, = (x for x in self.client(0).must("CLIENT", "LIST")
                     .decode().splitlines() if x.startswith(f"id={number} "))
            fields = dict(x.split("=", 1) for x in line.split())
            return fields["multi"], fields["watch"]
        self.assertEqual(told(), ("-1", "0"))
        self.a.must("WATCH", "k", "l", "k")
        self.assertEqual(told(), ("-1", "2"))
        self.a.must("MULTI")
        self.assertEqual(told(), ("0", "2"))
        self.a.must("PING")
        self.assertEqual(told(), ("1", "2"))
        self.a.must("EXEC")
        self.assertEqual(told(), ("-1", "0"))

    def test_the_null_of_a_conflict_is_that_of_the_protocol(self):
        for version, null in ((2, b"*-1\r\n"), (3, b"_\r\n")):
            self.a.must("HELLO", version)
            self.a.must("WATCH", "k")
            self.b.must("INCR", "k")
            self.a.must("MULTI")
            self.a.send(b"*1\r\n$4\r\nEXEC\r\n")
            self.assertEqual(self.a.read_exact(len(null)), null)

    def test_reset_and_a_new_connection_watch_nothing(self):
        self.a.must("WATCH", "k")
        self.b.must("INCR", "k")
        self.a.must("RESET")
        self.assertEqual(self.execute(self.a, ("GET", "k")), [b"1"])
        self.a.must("MULTI")
        self.a.must("RESET")
        self.assertIsInstance(self.a.call("EXEC"), Error)

    def test_watch_holds_through_a_whole_turn_of_the_log(self):
        """The log no longer goes back to the watch: a string is still known
        by its stamp."""
        self.b.must("SET", "k", "v")
        self.a.must("WATCH", "k")
        value = b"z" * (8 << 20)
        for n in range(45):
            self.b.must("SET", f"big{n % 3}", value)
        self.assertTrue(self.execute(self.a, ("PING",)))
        self.a.must("WATCH", "k")
        self.b.must("SET", "k", "v")
        self.assertFalse(self.execute(self.a, ("PING",)))


class Fields(Shared):
    def test_answers_are_those_of_redis(self):
        a = self.a
        a.must("HSET", "h", "f", "1", "g", "2", "i", "3")
        self.assertEqual(
            a.must("HEXPIRE", "h", 100, "FIELDS", 3, "f", "none", "g"),
            [DONE, NO_FIELD, DONE])
        self.assertEqual(
            a.must("HEXPIRE", "no", 100, "FIELDS", 1, "f"), [NO_FIELD])
        self.assertEqual(
            a.must("HTTL", "h", "FIELDS", 3, "f", "i", "none"),
            [100, ALWAYS, NO_FIELD])
        self.assertEqual(a.must("HTTL", "no", "FIELDS", 1, "f"), [NO_FIELD])
        left, = a.must("HPTTL", "h", "FIELDS", 1, "f")
        self.assertTrue(99000 < left <= 100000, left)
        at, = a.must("HPEXPIRETIME", "h", "FIELDS", 1, "f")
        self.assertEqual(a.must("HEXPIRETIME", "h", "FIELDS", 1, "f"),
                         [(at + 999) // 1000])
        self.assertEqual(
            a.must("HPERSIST", "h", "FIELDS", 3, "f", "i", "none"),
            [DONE, ALWAYS, NO_FIELD])
        self.assertEqual(a.must("HTTL", "h", "FIELDS", 2, "f", "g"),
                         [ALWAYS, 100])
        self.assertEqual(
            a.must("HEXPIREAT", "h", 1, "FIELDS", 2, "f", "none"),
            [DELETED, NO_FIELD])
        self.assertEqual(a.must("HKEYS", "h"), [b"g", b"i"])
        self.assertEqual(
            a.must("HPEXPIREAT", "h", 0, "FIELDS", 2, "g", "i"),
            [DELETED, DELETED])
        self.assertEqual(a.must("EXISTS", "h"), 0)

    def test_conditions(self):
        a = self.a
        a.must("HSET", "h", "f", "1", "g", "2")

        def expire(seconds, condition):
            return a.must("HEXPIRE", "h", seconds, condition, "FIELDS", 1,
                          "f")[0]
        self.assertEqual(
            [expire(10, "XX"), expire(10, "GT"), expire(20, "NX"),
             expire(30, "NX"), expire(10, "GT"), expire(30, "GT"),
             expire(40, "LT"), expire(25, "lt"), expire(20, "XX")],
            [UNMET, UNMET, DONE, UNMET, UNMET, DONE, UNMET, DONE, DONE])
        self.assertEqual(
            a.must("HEXPIRE", "h", 5, "LT", "FIELDS", 1, "g"), [DONE])

    def test_errors_have_redis_texts(self):
        a = self.a
        a.must("SET", "s", "v")
        a.must("HSET", "h", "f", "v")
        for text, *command in (
                ("WRONGTYPE", "HEXPIRE", "s", 1, "FIELDS", 1, "f"),
                ("ERR wrong number of arguments for 'hexpire' command",
                 "HEXPIRE", "h", 1, "FIELDS", 1),
                ("ERR Mandatory argument FIELDS is missing or not at the "
                 "right position", "HEXPIRE", "h", 1, "FIELD", 1, "f"),
                ("ERR Parameter `numFields` should be greater than 0",
                 "HEXPIRE", "h", 1, "FIELDS", 0, "f"),
                ("ERR The `numfields` parameter must match the number of "
                 "arguments", "HEXPIRE", "h", 1, "FIELDS", 2, "f"),
                ("ERR invalid expire time, must be >= 0",
                 "HEXPIRE", "h", -1, "FIELDS", 1, "f"),
                ("ERR invalid expire time in 'hexpire' command",
                 "HEXPIRE", "h", 1 << 60, "FIELDS", 1, "f"),
                ("ERR value is not an integer or out of range",
                 "HPEXPIRE", "h", "x", "FIELDS", 1, "f"),
                ("ERR Number of fields must be a positive integer",
                 "HTTL", "h", "FIELDS", "x", "f"),
                ("ERR Number of fields must be a positive integer",
                 "HGETDEL", "h", "FIELDS", 0, "f"),
                ("ERR Mandatory argument FIELDS is missing or not at the "
                 "right position", "HGETEX", "h", "KEEPTTL", "FIELDS", 1,
                 "f"),
                ("ERR Only one of FXX or FNX arguments can be specified",
                 "HSETEX", "h", "FNX", "FXX", "FIELDS", 1, "f", "v"),
                ("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments "
                 "can be specified", "HSETEX", "h", "EX", 1, "KEEPTTL",
                 "FIELDS", 1, "f", "v"),
                ("ERR wrong number of arguments for 'hsetex' command",
                 "HSETEX", "h", "EX", 1, "FIELDS", 0, "f"),
                ("ERR wrong number of arguments for 'hsetex' command",
                 "HSETEX", "h", "FIELDS", 2, "f", "v"),
                ("ERR wrong number of arguments for 'hgetex' command, or"
                 " mandatory argument FIELDS is missing",
                 "HGETEX", "h", "PXAT", 1, "FIELDS"),
                ("ERR unknown argument: NOPE", "HSETEX", "h", "NOPE",
                 "FIELDS", 1, "f", "v")):
            answer = a.call(*command)
            self.assertIsInstance(answer, Error, command)
            self.assertTrue(str(answer).startswith(text), (command, answer))

    def test_getex_getdel_and_setex(self):
        a = self.a
        a.must("HSET", "h", "f", "1", "g", "2")
        self.assertEqual(
            a.must("HGETEX", "h", "EX", 100, "FIELDS", 2, "f", "none"),
            [b"1", None])
        self.assertEqual(a.must("HTTL", "h", "FIELDS", 2, "f", "g"),
                         [100, ALWAYS])
        self.assertEqual(a.must("HGETEX", "h", "FIELDS", 1, "f"), [b"1"])
        self.assertEqual(
            a.must("HGETEX", "h", "PERSIST", "FIELDS", 1, "f"), [b"1"])
        self.assertEqual(a.must("HTTL", "h", "FIELDS", 1, "f"), [ALWAYS])
        self.assertEqual(
            a.must("HSETEX", "h", "FNX", "EX", 50, "FIELDS", 2, "x", "1",
                   "f", "9"), 0)
        self.assertEqual(
            a.must("HSETEX", "h", "FXX", "PX", 50000, "FIELDS", 2, "g", "3",
                   "f", "9"), 1)
        self.assertEqual(a.must("HMGET", "h", "f", "g", "x"),
                         [b"9", b"3", None])
        self.assertEqual(a.must("HTTL", "h", "FIELDS", 1, "f"), [50])
        a.must("HSETEX", "h", "KEEPTTL", "FIELDS", 1, "f", "10")
        self.assertEqual(a.must("HTTL", "h", "FIELDS", 1, "f"), [50])
        a.must("HSET", "h", "f", "11")
        self.assertEqual(a.must("HTTL", "h", "FIELDS", 1, "f"), [ALWAYS])
        self.assertEqual(
            a.must("HGETDEL", "h", "FIELDS", 3, "f", "g", "f"),
            [b"11", b"3", None])
        self.assertEqual(a.must("EXISTS", "h"), 0)
        self.assertEqual(a.must("HGETDEL", "h", "FIELDS", 1, "f"), [None])
        self.assertEqual(
            a.must("HSETEX", "h", "EXAT", 1, "FIELDS", 1, "f", "v"), 1)
        self.assertEqual(a.must("EXISTS", "h"), 0)

    def test_a_field_ends_in_its_millisecond(self):
        self.a.must("HSET", "h", "f", "v", "stays", "v")
        at = int(time.time() * 1000) + 150
        self.a.must("HPEXPIREAT", "h", at, "FIELDS", 1, "f")
        before, after = 0, None
        end = time.monotonic() + 5
        while after is None and time.monotonic() < end:
            asked = int(time.time() * 1000)
            there = self.b.must("HEXISTS", "h", "f")
            answered = time.time() * 1000
            if there:
                before = asked
                self.assertLessEqual(asked, at)
            else:
                after = answered
                self.assertGreaterEqual(answered, at)
        self.assertIsNotNone(after)
        self.note(f"there at {before - at} ms, gone at {after - at:.1f} ms")
        self.assertLess(after - at, 50 * kvtest.SLOW)
        self.assertEqual(self.b.must("HGETALL", "h"), [b"stays", b"v"])

    def test_a_hash_goes_with_its_last_field_but_not_a_created_one(self):
        self.a.must("KV.CREATE", "kept")
        for key in ("kept", "goes", "2nd"):
            self.a.must("HSET", key, "f", "v", "g", "v")
            self.a.must("HPEXPIRE", key, 80, "FIELDS", 1, "f")
        self.assertEqual(self.a.must("HDEL", "2nd", "g"), 1)
        for key in ("kept", "goes"):
            self.a.must("HPEXPIRE", key, 60, "FIELDS", 1, "g")
        wait_for(lambda: self.b.must("EXISTS", "goes", "2nd") == 0, 5, "end")
        self.assertEqual(self.b.must("TYPE", "goes"), b"none")
        self.assertEqual(self.b.must("EXISTS", "kept"), 1)
        self.assertEqual(self.b.must("KEYS", "*"), [b"kept"])
        wait_for(lambda: b"goes" not in self.b.must("KV.BUCKETS"), 5, "sweep")
        self.a.must("HSET", "goes", "new", "v")
        self.assertEqual(self.b.must("HGETALL", "goes"), [b"new", b"v"])
        self.a.must("SET", "2nd", "a string")

    def test_deadlines_survive_rename_copy_and_a_transaction(self):
        self.a.must("HSET", "h", "f", "v")
        self.a.must("HPEXPIRE", "h", 100000, "FIELDS", 1, "f")
        self.a.must("COPY", "h", "h2")
        self.a.must("RENAME", "h", "h3")
        for key in ("h2", "h3"):
            self.assertEqual(self.b.must("HTTL", key, "FIELDS", 1, "f"), [100])
        self.assertEqual(
            self.execute(self.a, ("HPEXPIRE", "h2", 40, "FIELDS", 1, "f"),
                         ("RENAME", "h2", "h4"), ("HLEN", "h4")),
            [[DONE], b"OK", 1])
        wait_for(lambda: self.b.must("EXISTS", "h4") == 0, 5, "end")


@unittest.skipIf(redis is None, "no python3-redis")
class RedisPy(Shared):
    def test_pipelines_are_transactions(self):
        r = redis.Redis(port=self.kv.ports[0])
        s = redis.Redis(port=self.kv.ports[1])
        with r.pipeline(transaction=True) as p:
            p.set("a", 1).incr("a").hset("h", mapping={"f": "v"})
            p.hgetall("h")
            self.assertEqual(p.execute(), [True, 2, 1, {b"f": b"v"}])
        with r.pipeline() as p:
            p.watch("a")
            n = int(p.get("a"))
            p.multi()
            p.set("a", n + 1)
            s.set("a", 10)
            self.assertRaises(redis.WatchError, p.execute)

        def add(p):
            n = int(p.get("a"))
            p.multi()
            p.set("a", n + 1)
        self.assertEqual(r.transaction(add, "a"), [True])
        self.assertEqual(s.get("a"), b"11")
        r.close()
        s.close()


if __name__ == "__main__":
    kvtest.main()
