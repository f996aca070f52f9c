#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The commands of operators, and the table that describes all commands."""

import os
import re
import shutil
import subprocess
import time
import unittest

import kvtest
from kvtest import BIN, Closed, Error, Kvd, wait_for

ROOT = kvtest.ROOT


class Admin(kvtest.Case):
    @classmethod
    def setUpClass(cls):
        cls.kvd = Kvd(2)

    @classmethod
    def tearDownClass(cls):
        cls.kvd.close()

    def setUp(self):
        self.c = self.kvd.resp()

    def tearDown(self):
        self.c.close()

    def call(self, *command):
        return self.c.call(*command)

    def refused(self, *command):
        got = self.call(*command)
        self.assertIsInstance(got, Error, command)
        return str(got)

    def test_slowlog_keeps_the_slow_ones_shortened(self):
        call = self.call
        call("CONFIG", "SET", "slowlog-log-slower-than", "0")
        call("SLOWLOG", "RESET")
        call("CLIENT", "SETNAME", "me")
        call("SET", "a", "x" * 500)
        call("MGET", *map(str, range(100)))
        call("AUTH", "default", "never shown")
        call("CONFIG", "SET", "slowlog-log-slower-than", "10000")
        got = call("SLOWLOG", "GET", "-1")
        self.assertEqual(call("SLOWLOG", "LEN"), len(got))
        self.assertNotIn(b"never shown", repr(got).encode())
        by_name = {row[3][0].upper(): row for row in got}
        self.assertEqual(by_name[b"SET"][3][2],
                         b"x" * 128 + b"... (372 more bytes)")
        mget = by_name[b"MGET"][3]
        self.assertEqual(len(mget), 32)
        self.assertEqual(mget[-1], b"... (70 more arguments)")
        self.assertEqual(by_name[b"MGET"][5], b"me")
        self.assertEqual([r[0] for r in got],
                         sorted((r[0] for r in got), reverse=True))
        self.assertEqual(len(call("SLOWLOG", "GET", "2")), 2)
        call("CONFIG", "SET", "slowlog-max-len", "1")
        self.assertEqual(call("SLOWLOG", "LEN"), 1)
        call("CONFIG", "SET", "slowlog-max-len", "128")
        self.assertEqual(call("SLOWLOG", "RESET"), b"OK")
        self.assertEqual(call("SLOWLOG", "LEN"), 0)
        self.assertIn("greater than or equal to -1",
                      self.refused("SLOWLOG", "GET", "-2"))
        self.assertIn("couldn't be parsed", self.refused(
            "CONFIG", "SET", "slowlog-max-len", "many"))

    def test_latency_tells_what_took_long(self):
        call = self.call
        self.assertEqual(call("LATENCY", "LATEST"), [])
        self.assertIn(b"Nothing is watched", call("LATENCY", "DOCTOR"))
        for _ in range(3):
            call("SET", "l", "1")
        h = dict(zip(*[iter(call("LATENCY", "HISTOGRAM", "set"))] * 2))
        row = dict(zip(*[iter(h[b"set"])] * 2))
        self.assertGreaterEqual(row[b"calls"], 3)
        buckets = row[b"histogram_usec"]
        self.assertEqual(buckets[-1], row[b"calls"])
        call("CONFIG", "SET", "latency-monitor-threshold", "1")
        call("KV.CREATE", "big")
        for i in range(20):
            self.c.pipeline([["HSET", "big", *sum(
                ([f"f{i}-{k}", "v" * 50] for k in range(2000)), [])]])
        for _ in range(30):
            call("HGETALL", "big", )
            if call("LATENCY", "LATEST"):
                break
        latest = call("LATENCY", "LATEST")
        self.assertEqual(latest[0][0], b"command")
        self.assertGreaterEqual(latest[0][3], latest[0][2])
        history = call("LATENCY", "HISTORY", "command")
        self.assertEqual(history[-1][0], latest[0][1])
        self.assertGreaterEqual(call("LATENCY", "RESET", "command"), 1)
        call("CONFIG", "SET", "latency-monitor-threshold", "0")
        self.assertEqual(call("LATENCY", "HISTORY", "command"), [])

    def test_memory_and_object_describe_keys(self):
        call = self.call
        for value, encoding in (("12", b"int"), ("x", b"embstr"),
                                ("y" * 100, b"raw")):
            call("SET", "o", value)
            self.assertEqual(call("OBJECT", "ENCODING", "o"), encoding)
        call("HSET", "oh", "f", "v")
        self.assertEqual(call("OBJECT", "ENCODING", "oh"), b"listpack")
        self.assertEqual(call("OBJECT", "REFCOUNT", "o"), 1)
        self.assertIn(call("OBJECT", "IDLETIME", "o"), range(0, 60))
        self.assertIsNone(call("OBJECT", "ENCODING", "missing"))
        self.assertIn("LFU", self.refused("OBJECT", "FREQ", "o"))
        small = call("MEMORY", "USAGE", "o")
        self.assertGreaterEqual(small, 101)
        self.assertLess(small, 300)
        call("SET", "o", "y" * 100000)
        self.assertGreaterEqual(call("MEMORY", "USAGE", "o"), 100000)
        self.assertGreaterEqual(
            call("MEMORY", "USAGE", "oh", "SAMPLES", "5"), 2)
        self.assertIsNone(call("MEMORY", "USAGE", "missing"))
        self.assertIn(b"peak.allocated", call("MEMORY", "STATS"))
        self.assertEqual(call("MEMORY", "PURGE"), b"OK")

    def test_save_brings_the_log_into_the_tree(self):
        before = self.call("LASTSAVE")
        with self.kvd.resp(1) as other:
            for i in range(200):
                other.call("SET", f"s{i}", "v" * 1000)
            self.assertEqual(self.call("SAVE"), b"OK")
        info = self.call("INFO", "persistence").decode()
        n = dict(re.findall(r"(?m)^(log_\w+):(\d+)\r?$", info))
        self.assertEqual(n["log_checkpointed"], n["log_end"])
        self.assertEqual(self.call("BGSAVE"), b"Background saving started")
        self.assertEqual(self.call("BGSAVE", "SCHEDULE"),
                         b"Background saving started")
        self.assertEqual(self.call("BGREWRITEAOF"),
                         b"Background append only file rewriting started")
        wait_for(lambda: self.call("LASTSAVE") > before, 10, "a save")

    def test_what_is_not_there_says_so(self):
        for command, words in (
                (["DEBUG", "SLEEP", "1"], "DEBUG command not allowed"),
                (["DEBUG", "JMAP"], "DEBUG command not allowed"),
                (["REPLICAOF", "a", "1"], "kv-syncd"),
                (["SLAVEOF", "a", "1"], "kv-syncd"),
                (["SYNC"], "kv-syncd"), (["PSYNC", "?", "-1"], "kv-syncd"),
                (["CLUSTER", "INFO"],
                 "ERR This instance has cluster support disabled"),
                (["SHUTDOWN", "ABORT"], "No shutdown in progress"),
                (["SHUTDOWN", "MAYBE"], "syntax error"),
                (["LPUSH", "a", "b"], "unknown command"),
                (["EVAL", "x", "0"], "unknown command")):
            self.assertIn(words, self.refused(*command))
        self.assertEqual(self.call("REPLICAOF", "NO", "ONE"), b"OK")
        self.assertEqual(self.call("FUNCTION", "FLUSH"), b"OK")
        self.assertEqual(self.call("MODULE", "LIST"), [])
        self.assertEqual(self.call("ACL", "WHOAMI"), b"default")
        self.assertEqual(self.call("ACL", "LIST"),
                         [b"user default on nopass ~* &* +@all"])
        self.assertIn(b"kv ver.", self.call("LOLWUT"))

    def test_wait_answers_at_once(self):
        began = time.monotonic()
        self.assertEqual(self.call("WAIT", "1", "0"), 0)
        self.assertEqual(self.call("WAITAOF", "1", "0", "0"), [1, 0])
        self.assertIn("negative", self.refused("WAIT", "1", "-1"))
        with self.kvd.line() as c:
            c.send(b"WAIT 1 1000\r\nWAIT x 1\r\n")
            self.assertEqual([c.read_line() for _ in range(3)],
                             [b"0", b"OK", b"UNKNOWN COMMAND"])
        self.assertLess(time.monotonic() - began, 2 * kvtest.SLOW)

    def test_nodes_and_digests(self):
        (name, how, *rest), = self.call("KV.NODES")
        self.assertEqual(rest[0::2], [
            b"address", b"since_ms", b"behind_ms", b"behind_records",
            b"unacked_bytes", b"rtt_us",
            b"offset_ms", b"sent_bytes", b"received_bytes", b"tries",
            b"seen_ms", b"uid", b"incarnation", b"reason"])
        self.assertTrue(name.startswith(self.kvd.store.name.encode()))
        self.assertEqual(how, b"self")
        for b in ("d1", "d2"):
            self.call("KV.CREATE", b)
        self.assertIsNone(self.call("KV.DIGEST", "nowhere"))
        empty = self.call("KV.DIGEST", "d1")
        self.call("HSET", "d1", "f", "1")
        self.assertRegex(self.call("KV.DIGEST", "d1"), rb"^[0-9a-f]{32}$")
        self.assertNotEqual(self.call("KV.DIGEST", "d1"), empty)
        with self.kvd.resp(1) as other:
            self.assertEqual(other.call("KV.DIGEST", "d1"),
                             self.call("KV.DIGEST", "d1"))

    def test_every_container_has_help(self):
        for name in ("CLIENT", "COMMAND", "CONFIG", "SLOWLOG", "LATENCY",
                     "MEMORY", "OBJECT", "ACL"):
            got = self.call(name, "HELP")
            self.assertTrue(got[0].startswith(name.encode()), got)

    def test_the_table_is_complete_in_docs_and_manual(self):
        c = self.c
        listed = [n.decode() for n in self.call("COMMAND", "LIST")]
        names = [n for n in listed if "|" not in n]
        self.assertEqual(self.call("COMMAND", "COUNT"), len(names))
        docs = self.call("COMMAND", "DOCS")
        self.assertEqual(len(docs), 2 * len(names))
        for name, doc in zip(docs[::2], docs[1::2]):
            doc = dict(zip(doc[::2], doc[1::2]))
            for field in (b"summary", b"since", b"group"):
                self.assertTrue(doc[field], (name, field))
            self.assertTrue(doc[b"summary"].endswith(b"."), name)
        with open(os.path.join(ROOT, "man", "kv-protocol.7")) as f:
            words = set(re.findall(r"[A-Z][A-Z.-]*[A-Z]", f.read()))
        missing = [n for n in listed if n.upper().split("|")[-1] not in words
                   and not n.endswith("|help")]
        self.assertEqual(missing, [], "not in man/kv-protocol.7")
        info = c.call("COMMAND", "INFO", "get", "nonsense")
        self.assertEqual(info[0][0], b"get")
        self.assertIn(info[1], (None, kvtest.NULL_ARRAY))

    def test_info_counts_commands(self):
        self.call("GET", "a")
        text = self.call("INFO", "commandstats").decode()
        self.assertRegex(text, r"cmdstat_get:calls=\d+,usec=\d+,")
        self.assertNotIn("cmdstat", self.call("INFO").decode())
        self.assertIn("cmdstat", self.call("INFO", "all").decode())


    def kv(self, *args, shell=None):
        done = subprocess.run(
            shell or [os.path.join(BIN, "kv"), "-p", str(self.kvd.ports[0]),
                      *args], capture_output=True, text=True, timeout=30,
            env={**os.environ, "PATH": BIN + ":" + os.environ["PATH"]})
        return done

    def test_kv_help_describes_commands(self):
        done = self.kv("help", "SETEX")
        self.assertEqual(done.returncode, 0, done)
        self.assertTrue(done.stdout.startswith(
            "usage: SETEX key seconds value\n"), done)
        self.assertIn("group string, since 2.0.0", done.stdout)
        self.assertEqual(self.kv("help", "LPUSH").returncode, 2)
        self.assertIn("usage: kv", self.kv("help", "get").stdout)

    def complete(self, *words, f="_kv"):
        line = " ".join(f"'{w}'" for w in words)
        out = self.kv(shell=["bash", "-c", f"""
            . {ROOT}/tools/dist/kv.bash-completion
            COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}
            {f}; printf '%s\n' "${{COMPREPLY[@]}}" """])
        return out.stdout.split()

    @unittest.skipUnless(shutil.which("bash"), "no bash here")
    def test_bash_completes_verbs_commands_and_buckets(self):
        self.call("KV.CREATE", "completeme")
        port = str(self.kvd.ports[0])
        complete = self.complete
        self.assertIn("passwd", complete("kv", "pas"))
        self.assertIn("--secret-file", complete("kv", "--s"))
        self.assertIn("setrange", complete("kv", "-p", port, "raw", "setr"))
        self.assertIn("completeme", complete("kv", "-p", port, "get", "com"))
        self.assertEqual(complete("kv", "verify", "--p"), ["--peers"])
        self.assertEqual(complete("kv", "nodes", "--w"), ["--wait"])
        self.assertEqual(complete("kv", "cookie", ""), ["new", "show"])
        self.assertIn("--generation", complete("kv", "cookie", "new", "--g"))
        self.assertEqual(complete("kvd", "--nod", f="_kvd"), ["--nodes"])
        self.assertIn("--value-max", complete("kvd", "--va", f="_kvd"))

    @unittest.skipUnless(shutil.which("bash"), "no bash here")
    def test_bash_completes_every_option_of_a_verb(self):
        """Those that stand in its help."""
        words = self.kv("--words").stdout.split()
        verbs = [w for w in words if w[0] != "-" and w != "help"]
        self.assertIn("verify", verbs)
        found = set()
        for verb in verbs:
            if verb == "raw":  # all behind it is sent
                continue
            for option in re.findall(r"(?<!\w)--[a-z][a-z-]+",
                                     self.kv("help", verb).stdout):
                found.add(option)
                self.assertIn(option, self.complete("kv", verb, option) +
                              self.complete("kv", verb, "x", option), verb)
        self.assertIn("--peers", found)


class Shutdown(kvtest.Case):
    def test_shutdown_ends_kvd_and_keeps_what_was_written(self):
        store = kvtest.Store()
        try:
            with Kvd(2, store=store) as kvd:
                with kvd.resp() as c:
                    self.assertEqual(c.call("SET", "a", "1"), b"OK")
                    c.send(kvtest.resp_encode("SHUTDOWN", "NOSAVE"))
                    with self.assertRaises(Closed):
                        c.read_reply()
                self.assertEqual(kvd.proc.wait(20), 0)
            with Kvd(1, store=store) as kvd, kvd.resp() as c:
                self.assertEqual(c.call("GET", "a"), b"1")
        finally:
            store.remove()


if __name__ == "__main__":
    kvtest.main()
