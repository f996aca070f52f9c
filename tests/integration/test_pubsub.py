#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Channels, patterns and notifications, over two ports of one store."""

import shlex
import unittest

import kvredis
import kvtest
from kvtest import Closed, Error, Kvd, Push, same, wait_for

DIALOGUE = [
    ("SUBSCRIBE", "a", "b", "a"),
    ("PSUBSCRIBE", "a*", "[x", "?"),
    ("PING",),
    ("PING", "hello"),
    ("UNSUBSCRIBE", "b", "nosuch"),
    ("PUNSUBSCRIBE", "[x"),
    ("GET", "k"),
    ("CONFIG", "GET", "databases"),
    ("PUBLISH", "a", "x"),
    ("SUBSCRIBE",),
    ("NOSUCH",),
    ("UNSUBSCRIBE",),
    ("PUNSUBSCRIBE", "a*"),
    ("PUNSUBSCRIBE",),
    ("PUNSUBSCRIBE",),
    ("UNSUBSCRIBE",),
    ("GET", "k"),
    ("SUBSCRIBE", "c"),
    ("RESET",),
    ("PING",),
    ("PUBSUB", "CHANNELS"),
    ("PUBSUB", "NUMPAT"),
    ("PUBSUB", "NUMSUB"),
    ("PUBSUB", "NUMSUB", "a", "b"),
    ("PUBSUB", "NUMPAT", "x"),
    ("PUBSUB", "NOSUCH"),
    ("PUBSUB",),
    ("PUBLISH",),
    ("PUBLISH", "nobody", "x"),
    ("SUBSCRIBE", "q"),
    ("QUIT",),
]

FLAGS = ["", "K", "E", "KEA", "AKE", "g$", "Kxg", "Elshzxet", "KEm", "KEn",
         "nKEAm", "ABC", "KE$lsz"]


def flat(message):
    return [x.decode() if isinstance(x, bytes) else x for x in message]


class Pubsub(kvtest.Case):
    durability = "always"

    @classmethod
    def setUpClass(cls):
        cls.kv = Kvd(args=["--durability", cls.durability])

    @classmethod
    def tearDownClass(cls):
        cls.kv.close()

    def client(self, which=0, proto=2, **kw):
        c = self.kv.resp(which, **kw)
        self.addCleanup(c.close)
        if proto == 3:
            c.must("HELLO", 3)
        return c

    def subscriber(self, *names, which=0, proto=2, verb="SUBSCRIBE", **kw):
        c = self.client(which, proto, **kw)
        c.send(kvtest.resp_encode(verb, *names))
        for n, name in enumerate(names):
            self.assertEqual(flat(c.read_reply()),
                             [verb.lower(), name, n + 1])
        return c

    def test_a_message_reaches_subscribers_on_all_ports(self):
        subs = [self.subscriber("news", which=w, proto=p)
                for w in (0, 1) for p in (2, 3)]
        patterns = [self.subscriber("n?ws", "*", which=w, verb="PSUBSCRIBE")
                    for w in (0, 1)]
        for which in (0, 1):
            self.assertEqual(
                self.client(which).must("PUBLISH", "news", "hello"), 8)
            for n, c in enumerate(subs):
                got = c.read_reply()
                self.assertIs(type(got), Push if n % 2 else list)
                self.assertEqual(flat(got), ["message", "news", "hello"])
            for c in patterns:
                got = [flat(c.read_reply()) for _ in range(2)]
                self.assertEqual(got, [["pmessage", "n?ws", "news", "hello"],
                                       ["pmessage", "*", "news", "hello"]])

    def test_all_see_one_order_and_each_message_once(self):
        subs = [self.subscriber("order", which=w) for w in (0, 1)]
        pubs = [self.client(w) for w in (0, 1)]
        for n in range(200):
            for w, c in enumerate(pubs):
                c.send(kvtest.resp_encode("PUBLISH", "order", f"{w} {n}"))
        for c in pubs:
            self.assertEqual([c.read_reply() for _ in range(200)], [2] * 200)
        seen = [[c.read_reply()[2] for _ in range(400)] for c in subs]
        self.assertEqual(seen[0], seen[1])
        for w in (b"0", b"1"):
            self.assertEqual([int(x[2:]) for x in seen[0] if x[:1] == w],
                             list(range(200)))

    def test_what_was_said_before_subscribing_is_not_heard(self):
        first = self.subscriber("past", which=1)
        pub = self.client()
        pub.must("PUBLISH", "past", "old")
        late = self.subscriber("past", which=1)
        pub.must("PUBLISH", "past", "new")
        self.assertEqual(late.read_reply()[2], b"new")
        self.assertEqual(first.read_reply()[2], b"old")

    def test_counts_are_those_of_the_host(self):
        one = self.subscriber("x", "y", which=0)
        two = self.subscriber("x", which=1)
        pat = self.subscriber("z*", which=0, verb="PSUBSCRIBE")
        self.subscriber("z*", which=1, verb="PSUBSCRIBE")
        for which in (0, 1):
            c = self.client(which)
            self.assertEqual(sorted(c.must("PUBSUB", "CHANNELS", "[xy]")),
                             [b"x", b"y"])
            self.assertEqual(c.must("PUBSUB", "NUMSUB", "x", "y", "nosuch"),
                             [b"x", 2, b"y", 1, b"nosuch", 0])
            self.assertEqual(c.must("PUBSUB", "NUMPAT"), 1)
            self.assertEqual(c.must("PUBLISH", "zoo", "1"), 2)
        two.close()
        c = self.client(0)
        wait_for(lambda: c.must("PUBSUB", "NUMSUB", "x") == [b"x", 1], 5,
                 "the count of who is gone")
        one.send(kvtest.resp_encode("RESET"))
        self.assertEqual(one.read_reply(), b"RESET")
        self.assertEqual(c.must("PUBSUB", "CHANNELS", "[xy]"), [])
        pat.close()

    def test_a_resp3_client_goes_on_with_its_commands(self):
        c = self.subscriber("three", proto=3)
        self.assertEqual(c.must("SET", "k3", "v"), b"OK")
        self.assertEqual(c.must("GET", "k3"), b"v")
        c.send(kvtest.resp_encode("PUBLISH", "three", "to myself"))
        got = [c.read_reply(), c.read_reply()]
        self.assertIn(1, got)
        self.assertIn([b"message", b"three", b"to myself"],
                      [list(g) for g in got if isinstance(g, Push)])

    def test_bad_channels_are_refused(self):
        c = self.client()
        for verb in (("SUBSCRIBE",), ("PSUBSCRIBE",), ("PUBLISH",)):
            for name in ("", "x" * 501):
                args = (*verb, name) + (("m",) if verb[0] == "PUBLISH" else ())
                self.assertIsInstance(c.call(*args), Error, args)
        self.assertEqual(c.call("SUBSCRIBE", "x" * 500)[2], 1)

    def notified(self, c, count):
        return [tuple(flat(c.read_reply())[2:]) for _ in range(count)]

    def test_changes_are_notified_on_all_ports(self):
        admin = self.client(0)
        admin.must("CONFIG", "SET", "notify-keyspace-events", "KEAF")
        self.addCleanup(lambda: self.client(1).must(
            "CONFIG", "SET", "notify-keyspace-events", ""))
        self.assertEqual(
            self.client(1).must("CONFIG", "GET", "notify-keyspace-events"),
            [b"notify-keyspace-events", b"AKEF"])
        admin.must("DEL", "nk", "nh")
        subs = [self.subscriber("__*", which=w, verb="PSUBSCRIBE")
                for w in (0, 1)]
        for command in [("SET", "nk", "v"), ("DEL", "nk"),
                        ("HSET", "nh", "f", "a b"), ("HDEL", "nh", "f"),
                        ("SELECT", "3"), ("SET", "nk", "v"), ("DEL", "nk")]:
            admin.must(*command)
        for c in subs:
            self.assertEqual(self.notified(c, 15), [
                ("__keyspace@0__:nk", "set"), ("__keyevent@0__:set", "nk"),
                ("__keyspace@0__:nk", "del"), ("__keyevent@0__:del", "nk"),
                ("__keyspace@0__:nh", "hset"), ("__keyevent@0__:hset", "nh"),
                ("__field@0__:nh", "f a b"),
                ("__keyspace@0__:nh", "hdel"), ("__keyevent@0__:hdel", "nh"),
                ("__field@0__:nh", "f"),
                ("__keyspace@0__:nh", "del"), ("__keyevent@0__:del", "nh"),
                ("__keyspace@3__:nk", "set"), ("__keyevent@3__:set", "nk"),
                ("__keyspace@3__:nk", "del")])

    def test_deadlines_are_notified(self):
        admin = self.client(0)
        admin.must("CONFIG", "SET", "notify-keyspace-events", "Exg$h")
        self.addCleanup(lambda: self.client(1).must(
            "CONFIG", "SET", "notify-keyspace-events", ""))
        c = self.subscriber("__keyevent@0__:*", which=1, verb="PSUBSCRIBE")
        admin.must("SET", "dk", "v", "PX", 100)
        admin.must("HSET", "dh", "f", "v")
        self.assertEqual(self.notified(c, 3), [
            ("__keyevent@0__:set", "dk"), ("__keyevent@0__:expire", "dk"),
            ("__keyevent@0__:hset", "dh")])
        admin.must("PEXPIRE", "dh", 100)
        self.assertEqual(self.notified(c, 1), [
            ("__keyevent@0__:expire", "dh")])
        self.assertEqual(sorted(self.notified(c, 2)), [
            ("__keyevent@0__:expired", "dh"),
            ("__keyevent@0__:expired", "dk")])

    @kvtest.limit(60)
    def test_a_subscriber_that_does_not_read_is_closed(self):
        slow = self.subscriber("flood", rcvbuf=4096)
        good = self.subscriber("flood", which=1)
        pub = self.client()
        payload = b"x" * 100000
        n = 0
        while b"subscriber too slow" not in self.kv.log_text().encode():
            self.assertLess(n, 5000, "never closed")
            pub.must("PUBLISH", "flood", payload)
            self.assertEqual(good.read_reply()[2], payload)
            n += 1
        self.note(f"{n} messages")
        with self.assertRaises((Closed, OSError)):
            while True:
                slow.read_reply()
        self.assertEqual(pub.must("PUBLISH", "flood", "x"), 1)

    def test_a_killed_worker_takes_only_its_own_subscribers(self):
        stays = self.subscriber("kill", which=1)
        goes = self.subscriber("kill", "other", which=0)
        worker = self.kv.worker_of(goes)
        pub = self.client(1)
        self.assertEqual(pub.must("PUBLISH", "kill", "1"), 2)
        worker.kill()
        back = wait_for(lambda: self.again("kill"), 10, "the worker again")
        wait_for(lambda: pub.must("PUBSUB", "CHANNELS") == [b"kill"], 10,
                 "the table without the dead")
        self.assertEqual(pub.must("PUBLISH", "kill", "2"), 2)
        self.assertEqual([stays.read_reply()[2] for _ in range(2)],
                         [b"1", b"2"])
        self.assertEqual(back.read_reply()[2], b"2")

    def again(self, name):
        try:
            return self.subscriber(name, which=0)
        except (OSError, Closed):
            return None


class PubsubEverysec(Pubsub):
    inherits_tests = True
    durability = "everysec"


EVENTS = """SET s 1
SET s 2
SET s 3 EX 100
SET s 4 KEEPTTL
SETEX s 100 5
MSET s 1 t 2
SETNX u 1
INCR s
DECRBY s 5
INCRBYFLOAT s 1.5
APPEND s x
APPEND fresh x
SETRANGE s 3 y
GETSET s 1
EXPIRE s 100
PERSIST s
PERSIST s
GETEX s EX 100
GETEX s PERSIST
GETEX s
RENAME s r
RENAMENX r t
RENAMENX r s
COPY s c
COPY s t REPLACE
MOVE c 3
GETDEL t
DEL s u none
PEXPIRE fresh -1
HSET h a 1 b 2 c 3
HMSET h a 2 d 4
HSET h a 3
HSETNX h a 4
HSETNX h e 5
HINCRBY h a 1
HINCRBYFLOAT h a 1.5
EXPIRE h 100
PERSIST h
RENAME h i
COPY i h
HDEL i a b none
HDEL i c d e
SET h string
SET h again
HSET j a 1
DEL j h
HSET j a 1
PEXPIREAT j 1""".split("\n")


@unittest.skipUnless(kvredis.tool("redis-server"), "no redis-server")
class PubsubAsRedis(kvtest.Case):
    @classmethod
    def setUpClass(cls):
        cls.kv, cls.redis = Kvd(1), kvredis.Redis()

    @classmethod
    def tearDownClass(cls):
        cls.kv.close()
        cls.redis.close()

    def talk(self, server, version):
        with server.resp() as c:
            if version == 3:
                c.must("HELLO", 3)
            # A message to oneself comes behind the reply, not before it.
            c.send(b"".join(kvtest.resp_encode(*x) for x in DIALOGUE
                            if version == 2 or x[:2] != ("PUBLISH", "a")))
            out = []
            try:
                while True:
                    out.append(c.read_reply())
            except Closed:
                return out

    def compare(self, version):
        ours, theirs = (self.talk(s, version) for s in (self.kv, self.redis))
        for n, (a, b) in enumerate(zip(ours, theirs)):
            self.assertTrue(same(a, b), f"reply {n}: {a!r}, redis {b!r}")
        self.assertEqual(len(ours), len(theirs))

    def test_a_subscriber_is_answered_as_by_redis(self):
        self.compare(2)

    def test_a_subscriber_is_answered_as_by_redis_in_resp3(self):
        self.compare(3)

    def events(self, server):
        """What each of the commands is told as, in any order."""
        with server.resp() as sub, server.resp() as c:
            c.must("FLUSHALL")
            c.must("CONFIG", "SET", "notify-keyspace-events", "KEAn")
            sub.must("PSUBSCRIBE", "__key*@*__:*")
            told = []
            for n, line in enumerate(EVENTS + ["SET end 1"]):
                c.call(*shlex.split(line))
                c.must("SELECT", 0)
                c.must("SET", f"mark{n}", 1)
                got = []
                while (m := sub.read_reply()[2:])[1] != b"mark%d" % n:
                    if b"mark" not in m[0]:
                        got.append(tuple(m))
                while m[0] != b"__keyevent@0__:set":
                    m = sub.read_reply()[2:]
                told.append((line, sorted(got)))
            c.must("CONFIG", "SET", "notify-keyspace-events", "")
            c.must("FLUSHALL")
        return told

    def test_events_are_those_of_redis(self):
        for ours, theirs in zip(self.events(self.kv), self.events(self.redis)):
            self.assertEqual(ours, theirs)

    def test_flags_of_notifications_are_told_as_by_redis(self):
        name = "notify-keyspace-events"
        with self.kv.resp() as a, self.redis.resp() as b:
            for flags in FLAGS:
                got = [c.call("CONFIG", "SET", name, flags) for c in (a, b)]
                self.assertIs(type(got[0]), type(got[1]), flags)
                got = [c.call("CONFIG", "GET", name) for c in (a, b)]
                self.assertEqual(*got, flags)


if __name__ == "__main__":
    kvtest.main()
