# SPDX-License-Identifier: ISC
"""What one client does over RESP, a line subscriber on another port sees, in
order: every change of every key, also of those that go with their hash."""

import os
import random
import time

import kvtest
from kvtest import Error, Kvd, limit, wait_for

SEED = int(os.environ.get("KV_SEED") or random.randrange(1 << 32))
NAMES = ["a", "b", "c", "d"]
FIELDS = [f"f{i}" for i in range(5)]
DATABASES = (0, 2)


class Model:
    """A keyspace that says what subscribers of its buckets are told."""

    def __init__(self):
        self.db = {n: {} for n in DATABASES}  # name: str, or dict of fields
        self.told = {}
        self.here = 0

    def bucket(self, name, db=None):
        db = self.here if db is None else db
        return f"{db}/{name}" if db else name

    def tell(self, bucket, key, value=None):
        self.told.setdefault(bucket, []).append(
            f"{key} DELETED" if value is None else f"{key} SET TO {value}")

    def put_string(self, name, value, db=None):
        db = self.here if db is None else db
        if isinstance(self.db[db].get(name), dict):
            self.remove(name, db)
        self.db[db][name] = value
        self.tell(f"db{db}", name, value)

    def put_field(self, name, field, value, db=None):
        db = self.here if db is None else db
        self.db[db].setdefault(name, {})[field] = value
        self.tell(self.bucket(name, db), field, value)

    def remove(self, name, db=None):
        db = self.here if db is None else db
        old = self.db[db].pop(name, None)
        if isinstance(old, dict):
            for field in sorted(old):
                self.tell(self.bucket(name, db), field)
        elif old is not None:
            self.tell(f"db{db}", name)

    def kind(self, name, kind):
        """Nothing there, or that kind of thing."""
        got = self.db[self.here].get(name)
        return got is None or isinstance(got, kind)

    def copy(self, name, to, db):
        self.write(self.db[self.here][name], to, db)

    def write(self, item, to, db):
        """A string replaces a string; all else makes way first."""
        if not (isinstance(item, str) and
                isinstance(self.db[db].get(to), str)):
            self.remove(to, db)
        if isinstance(item, str):
            self.put_string(to, item, db)
        else:
            for field in sorted(item):
                self.put_field(to, field, item[field], db)

    # -- commands

    def hset(self, name, *pairs):
        if self.kind(name, dict):
            for f, v in zip(pairs[::2], pairs[1::2]):
                self.put_field(name, f, v)

    def hdel(self, name, *fields):
        item = self.db[self.here].get(name)
        if not isinstance(item, dict):
            return
        for f in fields:
            if f in item:
                del item[f]
                self.tell(self.bucket(name), f)
        if not item:
            del self.db[self.here][name]

    def hincrby(self, name, field, n):
        item = self.db[self.here].get(name, {})
        if isinstance(item, dict):
            old = item.get(field, "0")
            if old.lstrip("-").isdigit():
                self.put_field(name, field, str(int(old) + n))

    def hpexpire(self, name, ms, _word, _one, field):
        item = self.db[self.here].get(name)
        if isinstance(item, dict) and field in item:
            if ms == 0:
                self.hdel(name, field)
            else:
                self.put_field(name, field, item[field])

    def hgetdel(self, name, _word, _one, field):
        self.hdel(name, field)

    def set(self, name, value):
        self.put_string(name, value)

    def mset(self, *pairs):
        for k, v in zip(pairs[::2], pairs[1::2]):
            self.put_string(k, v)

    def append(self, name, value):
        if self.kind(name, str):
            self.put_string(name, self.db[self.here].get(name, "") + value)

    def getdel(self, name):
        if self.kind(name, str):
            self.remove(name)

    def delete(self, *names):
        for n in names:
            self.remove(n)

    def rename(self, name, to):
        if name in self.db[self.here] and name != to:
            item = self.db[self.here][name]
            self.remove(name)  # first, as Redis tells it
            self.write(item, to, self.here)

    def renamenx(self, name, to):
        if to not in self.db[self.here]:
            self.rename(name, to)

    def copy_to(self, name, to, _db, db, *replace):
        if name in self.db[self.here] and (name, self.here) != (to, db) and \
                (replace or to not in self.db[db]):
            self.copy(name, to, db)

    def move(self, name, db):
        if name in self.db[self.here] and db != self.here and \
                name not in self.db[db]:
            self.copy(name, name, db)
            self.remove(name)

    def flushdb(self):
        for name in sorted(self.db[self.here]):
            self.remove(name)

    def select(self, db):
        self.here = db


def random_command(rng):
    """(its name, its arguments, the model's method)"""
    name, other = rng.choice(NAMES), rng.choice(NAMES)
    field, value = rng.choice(FIELDS), f"v{rng.randrange(1000)}"
    choices = [
        ("HSET", [name, field, value, rng.choice(FIELDS), value + "x"]),
        ("HSET", [name, field, value]),
        ("HSET", [name, field, str(rng.randrange(9))]),
        ("HINCRBY", [name, field, rng.randrange(-5, 5)]),
        ("HDEL", [name, field, rng.choice(FIELDS)]),
        ("HGETDEL", [name, "FIELDS", 1, field]),
        ("HPEXPIRE", [name, rng.choice([0, 900000]), "FIELDS", 1, field]),
        ("SET", [name, value]),
        ("MSET", [name, value, other, value + "m"]),
        ("APPEND", [name, "+"]),
        ("GETDEL", [name]),
        ("DEL", [name, other]),
        ("RENAME", [name, other]),
        ("RENAMENX", [name, other]),
        ("COPY", [name, other, "DB", rng.choice(DATABASES)]),
        ("COPY", [name, other, "DB", rng.choice(DATABASES), "REPLACE"]),
        ("MOVE", [name, rng.choice(DATABASES)]),
        ("SELECT", [rng.choice(DATABASES)]),
    ]
    if rng.randrange(40) == 0:
        choices = [("FLUSHDB", [])]
    verb, args = rng.choice(choices)
    method = {"DEL": "delete", "COPY": "copy_to"}.get(verb, verb.lower())
    return verb, args, method


class Mixed(kvtest.Case):
    def setUp(self):
        self.note(f"seed {SEED}")
        self.kvd = self.enterContext(Kvd(2))
        self.c = self.enterContext(self.kvd.resp())
        self.line = self.enterContext(self.kvd.line())
        self.line.create("first")

    def subscribe(self, bucket):
        """On the other port; made so that it is there, then dropped again."""
        sub = self.enterContext(self.kvd.line(1))
        self.line.create(bucket)
        sub.send(f"SUBSCRIBE {bucket}\r\n".encode())
        self.line.send(f"COUNT SUBSCRIPTIONS {bucket}\r\n".encode())
        self.line.read_until(b"OK\r\n")

        def stands():
            self.line.put(bucket, "probe", "1")
            return sub.read_quiet(0.02)
        wait_for(stands, 10, "a subscription")
        self.line.put(bucket, "start", "1")
        sub.read_until(b"start SET TO 1\r\n")
        self.line.ok("DELETE", bucket, "probe")
        self.line.ok("DROP", bucket)
        sub.read_until(b"start DELETED\r\n")
        return sub

    def expect(self, sub, lines):
        for i, want in enumerate(lines):
            got = sub.read_line().decode()
            self.assertEqual(got, want, f"line {i}, after {lines[:i][-5:]}")
        self.assertEqual(sub.read_quiet(), b"")

    def test_each_command_tells_its_changes(self):
        h, db0, two = map(self.subscribe, ("h", "db0", "2/h"))
        for cmd in (["HSET", "h", "f", "1", "g", "2"], ["HDEL", "h", "g"],
                    ["MULTI"], ["HINCRBY", "h", "n", "5"],
                    ["SET", "s", "1"], ["HDEL", "h", "f"], ["EXEC"],
                    ["HPEXPIRE", "h", 100000, "FIELDS", 1, "n"],
                    ["COPY", "h", "h", "DB", 2], ["RENAME", "h", "x"],
                    ["SET", "h", "string"], ["DEL", "h"],
                    ["HSET", "h", "b", "1", "a", "2"], ["MOVE", "s", 2],
                    ["FLUSHDB"]):
            self.c.must(*cmd)
        self.expect(h, ["f SET TO 1", "g SET TO 2", "g DELETED", "n SET TO 5",
                        "f DELETED", "n SET TO 5", "n DELETED",
                        "b SET TO 1", "a SET TO 2", "a DELETED",
                        "b DELETED"])
        self.expect(db0, ["s SET TO 1", "h SET TO string", "h DELETED",
                          "s DELETED"])
        self.expect(two, ["n SET TO 5"])

    def test_what_ends_by_a_deadline_is_told_as_deleted(self):
        h, x, db0 = map(self.subscribe, ("h", "x", "db0"))
        self.c.must("HSET", "h", "f", "1", "g", "2")
        self.c.must("HPEXPIRE", "h", 30, "FIELDS", 1, "f")
        self.c.must("SET", "s", "1", "PX", 30)
        self.expect(h, ["f SET TO 1", "g SET TO 2", "f SET TO 1"])
        self.assertEqual(h.read_line(), b"f DELETED")
        self.assertEqual(db0.read_line(), b"s SET TO 1")
        self.assertEqual(db0.read_line(), b"s DELETED")
        self.c.must("HSET", "x", "f", "1", "g", "2")
        self.c.must("PEXPIRE", "x", 30)
        self.expect(x, ["f SET TO 1", "g SET TO 2"])
        self.assertEqual(x.read_line(), b"f DELETED")
        self.assertEqual(x.read_line(), b"g DELETED")

    def late(self, sub, *commands):
        """Milliseconds after the command that a subscriber is told of the
        end of what got a deadline of 50 ms."""
        began = time.monotonic()
        for cmd in commands:
            self.c.must(*cmd)
        sub.read_until(b" DELETED\r\n")
        return (time.monotonic() - began) * 1000

    def test_a_deadline_is_told_when_it_passes(self):
        h, x, db0 = map(self.subscribe, ("h", "x", "db0"))
        took = {"string": [], "field": [], "hash": []}
        for _ in range(10):
            took["string"].append(self.late(db0, ["SET", "s", 1, "PX", 50]))
            took["field"].append(self.late(
                h, ["HSET", "h", "f", "1"],
                ["HPEXPIRE", "h", 50, "FIELDS", 1, "f"]))
            took["hash"].append(self.late(
                x, ["HSET", "x", "f", "1"], ["PEXPIRE", "x", 50]))
        for what, ms in took.items():
            self.note(f"{what} {min(ms):.0f}-{max(ms):.0f} ms")
            self.assertGreaterEqual(min(ms), 49)
            self.assertLess(min(ms), 50 + 30 * kvtest.SLOW, what)
            self.assertLess(max(ms), 1000 * kvtest.SLOW, what)

    def test_who_is_written_anew_does_not_end_by_his_old_deadline(self):
        db0 = self.subscribe("db0")
        self.c.pipeline([["SET", "again", "1", "PX", 40],
                         ["SET", "kept", "1", "PX", 40],
                         ["SET", "again", "2"], ["PERSIST", "kept"],
                         ["SET", "end", "1", "PX", 41]])
        told = db0.read_until(b"end DELETED\r\n")
        self.assertNotIn(b"again DELETED", told)
        self.assertNotIn(b"kept DELETED", told)
        self.assertEqual(self.c.call("MGET", "again", "kept", "end"),
                         [b"2", b"1", None])

    def test_a_thousand_deadlines_at_once_are_all_told(self):
        db0 = self.subscribe("db0")
        self.c.pipeline([["SET", f"k{i}", "1", "PX", 60]
                         for i in range(1000)])
        gone = set()
        while len(gone) < 1000:
            line = db0.read_line()
            if line.endswith(b" DELETED"):
                gone.add(line)
        self.assertEqual(self.c.call("KEYS", "*"), [b"first"])

    @limit(120)
    def test_a_random_walk_is_seen_in_order(self):
        rng, model = random.Random(SEED), Model()
        subs = {model.bucket(n, db): None for n in NAMES for db in DATABASES}
        subs.update({f"db{db}": None for db in DATABASES})
        for name in subs:
            subs[name] = self.subscribe(name)
        for _ in range(150):
            batch = [random_command(rng) for _ in range(rng.randrange(1, 20))]
            for _, args, method in batch:
                getattr(model, method)(*args)
            todo = [[verb, *args] for verb, args, _ in batch]
            if rng.randrange(2):
                todo = [["MULTI"], *todo, ["EXEC"]]
            self.c.pipeline(todo)
        total = 0
        for name, sub in subs.items():
            total += len(model.told.get(name, []))
            self.expect(sub, model.told.get(name, []))
        self.note(f"{total} lines of {len(subs)} buckets")

    def test_a_drop_of_very_many_keys_is_not_silent(self):
        plain, fresh = self.subscribe("big"), self.subscribe("big")
        numbered = self.enterContext(self.kvd.line(1))
        self.line.create("big")
        numbered.send(b"SUBSCRIBE big FROM NOW\r\n")

        def stands():
            self.line.put("big", "probe", "1")
            return numbered.read_quiet(0.02)
        wait_for(stands, 10, "a subscription with numbers")
        self.c.must("HSET", "big", *[x for i in range(5000)
                                     for x in (f"f{i}", "1")])
        self.c.must("DEL", "big")
        for sub in (plain, fresh):
            self.assertTrue(sub.read_to_eof().endswith(
                b"f4999 SET TO 1\r\nERROR changes were missed\r\n"))
        numbered.read_until(b"\r\nGAP\r\n")
        self.line.create("big")
        self.line.put("big", "after", "1")
        self.assertRegex(numbered.read_line(), rb"^\d+ after SET TO 1$")

    def test_sums_are_right_after_drops_that_were_told(self):
        rng, model = random.Random(SEED + 1), Model()
        for _ in range(300):
            verb, args, method = random_command(rng)
            getattr(model, method)(*args)
            self.c.call(verb, *args)
        for db in DATABASES:
            self.c.must("SELECT", db)
            self.assertEqual(self.c.call("DBSIZE"), len(model.db[db]))
            for name, item in model.db[db].items():
                if isinstance(item, dict):
                    self.assertEqual(self.c.call("HLEN", name), len(item))
                    self.assertEqual(
                        {k.decode(): v.decode() for k, v in zip(*[iter(
                            self.c.call("HGETALL", name))] * 2)}, item)
                else:
                    self.assertEqual(self.c.call("GET", name), item.encode())
        self.assertNotIsInstance(self.c.call("PING"), Error)


if __name__ == "__main__":
    kvtest.main()
