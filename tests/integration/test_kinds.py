# SPDX-License-Identifier: ISC
"""One name is a string or a hash, never both, whoever writes it at once on
whatever port; and the server's own buckets are nobody's."""

import os
import random
import subprocess

import kvtest
from kvtest import Error, Kvd, limit, resp_encode

SEED = int(os.environ.get("KV_SEED") or random.randrange(1 << 32))
NAMES = 100
WRITERS = 6
ROUNDS = 60
LONG = 400, 40  # commands of a pipeline

# What races.  The first ones are carried out without the lock:
# a long pipeline of them is decided long before it is appended.
STRINGS = [
    lambda k: ["SET", k, "s"],
    lambda k: ["SETEX", k, "100", "s"],
    lambda k: ["MSET", k, "s", k + "x", "1"],
]
HASHES = [
    lambda k: ["HSET", k, "f", "h"],
    lambda k: ["HSETNX", k, "g", "1"],
    lambda k: ["HDEL", k, "f", "g"],
    lambda k: ["KV.CREATE", k],
    lambda k: ["DEL", k],
]


class OneKind(kvtest.Case):
    def setUp(self):
        self.note(f"seed {SEED}")
        self.kvd = self.enterContext(Kvd(3, args=["--durability", "os"]))

    def strings(self, line, database):
        line.send(b"KEYS db%d\r\n" % database)
        return self.listed(line)

    def listed(self, line):
        out = []
        while (got := line.read_line()) not in (b"OK", b"NOT FOUND"):
            self.assertFalse(got.startswith(b"ERROR"), got)
            out.append(got)
        return out

    def check(self, database):
        """As the line protocol shows them: strings are the keys of db<n>,
        hashes are buckets."""
        with self.kvd.line() as line:
            line.create("z")  # from here on it is the line protocol
            strings = set(self.strings(line, database))
            line.send(b"BUCKETS\r\n")
            names = self.listed(line)
        prefix = b"%d/" % database if database else b""
        hashes = {n[len(prefix):] for n in names
                  if n.startswith(prefix + b"n")}
        self.assertFalse(strings & hashes, "both a string and a hash")
        with self.kvd.resp(1) as c:
            c.must("SELECT", database)
            for name in sorted(strings | hashes):
                kind = b"string" if name in strings else b"hash"
                self.assertEqual(c.call("TYPE", name), kind, name)
            self.assertEqual(sorted(c.call("KEYS", "n*")),
                             sorted(strings | hashes))
        return len(strings), len(hashes)

    def race(self, conns, rng):
        """All of them at once on three ports, then all answers."""
        for i, c in enumerate(conns):
            kinds = (STRINGS, HASHES)[i % 2]
            todo = [rng.choice(kinds)(f"n{rng.randrange(NAMES)}")
                    for _ in range(LONG[i % 2])]
            c.todo = [["DEL", f"n{i}"] for i in range(NAMES)] * (i == 0) + todo
        for c in conns:
            c.send(b"".join(resp_encode(*x) for x in c.todo))
        for c in conns:
            for args in c.todo:
                got = c.read_reply()
                if isinstance(got, Error):
                    self.assertTrue(got.text.startswith(b"WRONGTYPE"),
                                    f"{args}: {got}")

    @limit(180)
    def test_a_name_is_never_both_a_string_and_a_hash(self):
        found, rng = [], random.Random(SEED)
        for database in (0, 3):
            conns = []
            for i in range(WRITERS):
                c = self.enterContext(self.kvd.resp(i % 3, limit=30))
                c.must("SELECT", database)
                conns.append(c)
            for _ in range(ROUNDS):
                self.race(conns, rng)
                found.append(self.check(database))
        self.note(f"{sum(s for s, _ in found)} strings, "
                  f"{sum(h for _, h in found)} hashes at the ends")

    def test_create_of_a_string_s_name_is_refused(self):
        with self.kvd.line() as line, self.kvd.resp(1) as c:
            c.must("SET", "name", "1")
            self.assertIn(b"WRONGTYPE", line.line("CREATE", "name"))
            self.assertIn("WRONGTYPE", str(c.call("KV.CREATE", "name")))
            c.must("SELECT", 3)
            line.create("3/other")
            self.assertIn("WRONGTYPE", str(c.call("SET", "other", "1")))
            c.must("SET", "more", "1")
            self.assertIn(b"WRONGTYPE", line.line("CREATE", "3/more"))
            c.must("DEL", "more")
            line.create("3/more")

    def test_a_database_s_bucket_written_by_its_name_is_the_database(self):
        with self.kvd.line() as line, self.kvd.resp(1) as c:
            line.create("db2")
            line.create("b")
            c.must("SELECT", 2)
            c.must("HSET", "h", "f", "1")
            line.put("db2", "s", "v")
            self.assertEqual(c.call("GET", "s"), b"v")
            line.put("db2", "h", "now")
            self.assertEqual(c.call("TYPE", "h"), b"string")
            line.create("2/stays")
            self.assertIn(b"WRONGTYPE", line.line("PUT", "db2", "stays", "1"))
            c.must("SELECT", "db2")
            self.assertEqual(c.call("TYPE", "stays"), b"hash")



HIDDEN = ["\1deadlines", "\1expiring", "\1fields"]


class Hidden(kvtest.Case):
    """Deadlines of hashes and of fields stand in buckets of the server's
    own."""

    def setUp(self):
        self.kvd = self.enterContext(Kvd(2))
        self.line = self.enterContext(self.kvd.line())
        self.a = self.enterContext(self.kvd.resp())
        self.b = self.enterContext(self.kvd.resp(1))
        self.line.create("made")
        for c in (self.a, self.b):
            c.must("SELECT", 0)
        self.b.must("CONFIG", "SET", "notify-keyspace-events", "KEA")
        self.told = self.enterContext(self.kvd.resp(1))
        self.told.send(resp_encode("PSUBSCRIBE", "*"))
        self.told.read_reply()
        self.fill(self.a)

    def fill(self, c):
        c.must("HSET", "h", "f", "1", "g", "2")
        c.must("HPEXPIRE", "h", 1000000, "FIELDS", 1, "f")
        c.must("PEXPIRE", "h", 2000000)
        c.must("SET", "end", "1")

    def tool(self, *args):
        done = subprocess.run(
            [kvtest.program("kv"), *args], capture_output=True, text=True,
            env=kvtest.clean_env(self.kvd.store.base), timeout=20)
        return done.returncode, done.stdout, done.stderr

    def test_they_are_listed_and_counted_nowhere(self):
        a = self.a
        self.line.send(b"BUCKETS\r\n")
        names = [self.line.read_line() for _ in range(4)]
        self.assertEqual(names, [b"db0", b"h", b"made", b"OK"])
        self.assertEqual(sorted(a.call("KV.BUCKETS")),
                         [b"db0", b"h", b"made"])
        self.assertEqual(sorted(a.call("KEYS", "*")), [b"end", b"h", b"made"])
        self.assertEqual(a.call("KEYS", "\1*"), [])
        self.assertEqual(sorted(a.call("SCAN", "0", "COUNT", 1000)[1]),
                         [b"end", b"h", b"made"])
        self.assertEqual(a.call("DBSIZE"), 3)
        self.assertIn(b"db0:keys=3,", a.call("INFO", "keyspace"))
        a.must("DEL", "end")
        self.assertIn(a.call("RANDOMKEY"), [b"h", b"made"])
        for name in HIDDEN:
            self.assertEqual(a.call("TYPE", name), b"none")
            self.assertEqual(a.call("EXISTS", name), 0)

    def test_the_tool_does_not_show_them_with_and_without_a_server(self):
        port, store = str(self.kvd.ports[0]), self.kvd.store.dir
        for where in (["-p", port], ["-d", store]):
            code, out, err = self.tool(*where, "buckets")
            self.assertEqual((code, set(out.split()) - {"db0"}),
                             (0, {"h", "made"}), err)
        for verb in (["get", HIDDEN[0], "h"], ["count", HIDDEN[0]],
                     ["put", HIDDEN[0], "h", "1"], ["create", HIDDEN[0]],
                     ["drop", HIDDEN[0]]):
            for where in (["-p", port], ["-d", store]):
                code, out, err = self.tool(*where, *verb)
                self.assertNotEqual(code, 0, (where, verb, out))
        self.assertEqual(self.a.call("HTTL", "h", "FIELDS", 1, "f"), [1000])

    def test_no_notification_names_them(self):
        seen = []
        while not seen or seen[-1] != b"__keyevent@0__:set":
            seen.append(self.told.read_reply()[2])
        self.assertFalse([x for x in seen if b"\1" in x], seen)
        self.assertIn(b"__keyspace@0__:h", seen)

    def test_the_line_protocol_does_not_let_anybody_at_them(self):
        c = self.line
        for name in HIDDEN:
            self.assertIn(b"ERROR", c.line("CREATE", name))
            self.assertIn(b"server's own", c.line("CREATE", name, "LOCAL"))
            for verb in (["PUT", name, "h", "1"], ["GET", name, "h"],
                         ["DELETE", name, "h"], ["DROP", name],
                         ["KEYS", name], ["COUNT", name],
                         ["SUBSCRIBE", name],
                         ["SUBSCRIBE", name, "FROM", "NOW"]):
                self.assertEqual(c.line(*verb), b"NOT FOUND", verb)
        self.assert_still_there()

    def test_no_command_lets_anybody_at_them(self):
        a = self.a
        for name in HIDDEN:
            for cmd in (["KV.CREATE", name], ["HSET", name, "h", "1"],
                        ["HINCRBY", name, "h", "1"],
                        ["HSETNX", name, "x", "1"],
                        ["RENAME", "h", name], ["COPY", "h", name],
                        ["HSETEX", name, "FIELDS", 1, "x", "1"],
                        ["KV.CHANGES", name, "FROM", "0"]):
                self.assertIn("server's own", repr(a.call(*cmd)), cmd)
            self.assertIn("no such bucket", str(a.call("SELECT", name)))
            for cmd in (["KV.DROP", name], ["HLEN", name], ["DEL", name],
                        ["HDEL", name, "h"], ["PERSIST", name]):
                self.assertEqual(a.call(*cmd), 0, cmd)
            self.assertEqual(a.call("HGETALL", name), [])
            self.assertIsNone(a.call("KV.DIGEST", name))
            # A string may be called so: it lies elsewhere.
            self.assertEqual(a.call("SET", name, "s"), b"OK")
            self.assertEqual(self.b.call("GET", name), b"s")
            self.assertEqual(a.call("DEL", name), 1)
        self.assert_still_there()

    def assert_still_there(self):
        self.assertEqual(self.b.call("HTTL", "h", "FIELDS", 1, "f"), [1000])
        self.assertEqual(self.b.call("TTL", "h"), 2000)


if __name__ == "__main__":
    kvtest.main()
