#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""RESP: the same commands to kvd and to a redis-server, reply by reply."""

import os
import random
import shlex
import unittest

import kvredis
import kvtest
from kvtest import Kvd, Map, same, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))

BINARY = [
    ("SET", b"k\0\r\n\xff k", b"\0\r\n$5\r\n\xff"),
    ("GET", b"k\0\r\n\xff k"),
    ("HSET", b"h \xc2\x85", b"f\r\n", b"\0" * 100, b"\0", b""),
    ("HGET", b"h \xc2\x85", b"f\r\n"),
    ("HGETALL", b"h \xc2\x85"),
    ("MGET", b"k\0\r\n\xff k", b"k"),
    ("EXISTS", b"h \xc2\x85", b"h"),
    ("SCAN", "0", "COUNT", "1000"),
    ("HSCAN", b"h \xc2\x85", "0"),
    ("GETx\r\n", b"\r\n"),
    ("DEL", b"h \xc2\x85", b"k\0\r\n\xff k"),
]

SECONDS = {"TTL", "EXPIRETIME"}
MILLISECONDS = {"PTTL", "PEXPIRETIME"}
PAIRS = {"HGETALL"}
SCANS = {"SCAN", "HSCAN"}


def pairs_of(flat):
    return sorted(map(list, zip(flat[::2], flat[1::2])))


def normal(command, reply):
    """What may differ (order) made equal; what is left must be the same."""
    verb = command[0].upper() if isinstance(command[0], str) else ""
    if verb in PAIRS and isinstance(reply, list):
        return Map(sorted(reply)) if isinstance(reply, Map) \
            else pairs_of(reply)
    if verb in SCANS and isinstance(reply, list):
        cursor, found = reply
        return [cursor, pairs_of(found) if verb == "HSCAN" else sorted(found)]
    return reply


def agree(command, ours, theirs):
    verb = command[0].upper() if isinstance(command[0], str) else ""
    slack = 1 if verb in SECONDS else 1500 if verb in MILLISECONDS else 0
    if slack and type(ours) is type(theirs) is int and min(ours, theirs) >= 0:
        return abs(ours - theirs) <= slack
    return same(normal(command, ours), normal(command, theirs))


@unittest.skipUnless(kvredis.tool("redis-server"), "no redis-server")
class AgainstRedis(kvtest.Case):
    kv = redis = None

    @classmethod
    def tearDownClass(cls):
        for server in (cls.kv, cls.redis):
            if server is not None:
                server.close()
        cls.kv = cls.redis = None

    def setUp(self):
        cls = type(self)
        cls.redis = cls.redis or kvredis.Redis()
        cls.kv = cls.kv or Kvd()
        self.ours = cls.kv.resp()
        self.theirs = cls.redis.resp()
        for c in (self.ours, self.theirs):
            self.addCleanup(c.close)

    def compare(self, commands, version=2):
        """Every difference is reported, not just the first."""
        wrong = []
        for c in (self.ours, self.theirs):
            if version == 3:
                c.must("HELLO", 3)
            c.must("FLUSHDB")
        for command in commands:
            ours = self.ours.call(*command)
            theirs = self.theirs.call(*command)
            if not agree(command, ours, theirs):
                wrong.append(f"{command}\n    kv    {ours!r:.300}\n"
                             f"    redis {theirs!r:.300}")
        if wrong:
            self.fail(f"{len(wrong)} of {len(commands)} differ:\n" +
                      "\n".join(wrong))
        self.note(f"{len(commands)} commands")

    def test_binary_keys_fields_and_values_are_kept_as_they_are(self):
        self.compare(BINARY)

    def test_binary_names_in_resp3(self):
        self.compare(BINARY, 3)

    def test_a_random_walk_over_all_commands_agrees(self):
        seed = random.randrange(1 << 32)
        self.note(f"seed {seed}")
        rng = random.Random(seed)
        self.compare([random_command(rng) for _ in range(3000)])

    def test_a_pipeline_of_1000_commands_agrees(self):
        rng = random.Random(7)
        commands = [random_command(rng) for _ in range(1000)]
        for c in (self.ours, self.theirs):
            c.must("FLUSHDB")
        for command, a, b in zip(commands, self.ours.pipeline(commands),
                                 self.theirs.pipeline(commands)):
            self.assertTrue(agree(command, a, b), (command, a, b))

    def test_a_deadline_that_passes_deletes(self):
        for c in (self.ours, self.theirs):
            c.must("SET", "gone", "v", "PX", 40)
            c.must("SET", "stays", "v")
            c.must("HSET", "hgone", "f", "v")
            c.must("PEXPIRE", "hgone", 40)
            wait_for(lambda: c.call("GET", "gone") is None, 5, "expiry")
            wait_for(lambda: c.call("EXISTS", "hgone") == 0, 5, "expiry")
            self.assertEqual(c.call("EXISTS", "gone", "stays"), 1)
            self.assertEqual(c.call("TTL", "gone"), -2)
            self.assertTrue(c.call("SET", "gone", "w", "NX"))
            self.assertNotIn(b"hgone", c.call("SCAN", 0, "COUNT", 1000)[1])

    def test_dbsize_forgets_what_has_expired(self):
        for c in (self.ours, self.theirs):
            c.must("FLUSHDB")
            c.must("SET", "stays", "v")
            for n in range(50):
                c.must("SET", f"k{n}", "v", "PX", 20)
            wait_for(lambda: c.call("DBSIZE") == 1, 10, "DBSIZE 1")

    def test_a_whole_scan_finds_every_key_whatever_the_count(self):
        keys = {b"key:%d" % n for n in range(3000)}
        for c in (self.ours, self.theirs):
            c.must("FLUSHDB")
            c.pipeline([("SET", k, "v") for k in keys])
            c.pipeline([("HSET", "h", k, "v") for k in keys])
        for count in (1, 10, 999, 100000):
            found, fields = [], []
            self.walk(("SCAN",), count, found)
            self.walk(("HSCAN", "h"), count, fields)
            self.assertEqual(set(found), keys | {b"h"})
            self.assertEqual(set(fields[::2]), keys)
        found = []
        self.walk(("SCAN",), 50, found, "MATCH", "key:1?", "TYPE", "string")
        self.assertEqual(set(found), {b"key:1%d" % n for n in range(10)})

    def test_a_scan_finds_what_stays_while_others_come_and_go(self):
        c = self.ours
        c.must("FLUSHDB")
        c.pipeline([("SET", f"stay{n}", "v") for n in range(500)])
        found, cursor, turn = [], b"0", 0
        while True:
            cursor, some = c.must("SCAN", cursor, "COUNT", 7)
            found += some
            c.pipeline([("SET", f"new{turn}", "v"), ("DEL", f"new{turn - 3}"),
                        ("SET", f"stay{turn % 500}", "w")])
            turn += 1
            if cursor == b"0":
                break
            self.assertLess(turn, 5000, "the scan does not end")
        self.assertLessEqual({b"stay%d" % n for n in range(500)}, set(found))

    def walk(self, command, count, found, *more):
        cursor = b"0"
        for _ in range(100000):
            cursor, some = self.ours.must(*command, cursor, "COUNT", count,
                                          *more)
            found += some
            if cursor == b"0":
                return
        self.fail("the scan does not end")

    def test_command_info_of_the_core_agrees_with_redis(self):
        core = """ping echo hello select quit command config info get set del
            exists mget mset incr decr incrby decrby incrbyfloat expire
            pexpire expireat pexpireat ttl pttl expiretime pexpiretime persist
            scan dbsize flushdb hset hget hdel hgetall hlen hscan""".split()
        wrong = []
        for name in core:
            a, = self.ours.must("COMMAND", "INFO", name)
            b, = self.theirs.must("COMMAND", "INFO", name)
            # name, arity, first key, last key, step
            if not a or [a[n] for n in (0, 1, 3, 4, 5)] != \
                    [b[n] for n in (0, 1, 3, 4, 5)]:
                wrong.append(f"{name}: kv {a}, redis {b[:6]}")
        self.assertEqual(wrong, [])
        self.assertTrue(same(self.ours.call("COMMAND", "INFO", "nosuch"),
                             self.theirs.call("COMMAND", "INFO", "nosuch")))
        count = self.ours.must("COMMAND", "COUNT")
        self.assertEqual(len(self.ours.must("COMMAND")), count)
        self.assertGreaterEqual(count, len(core))


def random_command(rng):
    key = rng.choice("abcde")
    hash_key = rng.choice(["h", "i", "a"])
    field = rng.choice("fgh")
    value = rng.choice(["1", "-7", "x", "3.5", ""])
    return rng.choice([
        ("SET", key, value), ("GET", key), ("SET", key, value, "NX", "GET"),
        ("SET", key, value, "XX"), ("SET", key, value, "EX", "1000"),
        ("SET", key, value, "KEEPTTL"), ("DEL", key, hash_key),
        ("EXISTS", key, hash_key), ("MGET", key, hash_key, "e"),
        ("MSET", key, value, "e", "9"), ("INCR", key), ("DECRBY", key, value),
        ("INCRBYFLOAT", key, value), ("EXPIRE", key, "1000"), ("TTL", key),
        ("PERSIST", key), ("HSET", hash_key, field, value),
        ("HSET", hash_key, "f", value, "g", value), ("HGET", hash_key, field),
        ("HDEL", hash_key, field), ("HGETALL", hash_key), ("HLEN", hash_key),
        ("EXPIRE", hash_key, "1000"), ("TTL", hash_key), ("DBSIZE",),
        ("SCAN", "0", "COUNT", "1000"), ("HSCAN", hash_key, "0"),
        ("EXPIREAT", key, "1"), ("GET", hash_key),
    ])


def read_scripts():
    scripts = {}
    with open(os.path.join(HERE, "redis_scripts.txt")) as f:
        for line in f:
            if line.startswith("@script "):
                commands = scripts.setdefault(line[8:].strip(), [])
            elif line.strip() and line[0] != "#":
                commands.append(shlex.split(line))
    return scripts


def _add_scripts():
    for name, commands in read_scripts().items():
        for version in (2, 3):
            def test(self, commands=commands, version=version):
                self.compare(commands, version)
            words = name.replace(" ", "_")
            setattr(AgainstRedis,
                    f"test_{words}_are_answered_as_redis_does_in_resp"
                    f"{version}", test)


_add_scripts()


if __name__ == "__main__":
    kvtest.main()
