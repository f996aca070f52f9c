#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kv, the command line: every verb over a port, and on a folder with and
without a daemon."""

import base64
import json
import os
import pty
import signal
import subprocess
import time
import unittest

import kvclock
import kvtest
from kvtest import Kvd, Store, clean_env, free_ports, program, wait_for
from kvproc import die_with_parent

ABSENT, USAGE, NOBODY, TROUBLE = 1, 2, 3, 4
BYTES = b"a\0b\xff\n"


class Outcome:
    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out!r}\nstderr: {self.err!r}"


class Tool(kvtest.Case):
    """Subclasses say how the store is reached: self.way."""

    store = None
    way = ()

    def kv(self, *args, stdin=b"", code=0, env=None, way=None):
        done = subprocess.run(
            [program("kv"), *(self.way if way is None else way), *args],
            input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=clean_env(self.store.base, env), timeout=30 * kvtest.SLOW,
            preexec_fn=die_with_parent)
        got = Outcome(done.returncode, done.stdout, done.stderr)
        self.assertEqual(got.code, code, got)
        if code in (0, ABSENT):
            self.assertNotIn(b"Sanitizer", got.err)
        return got

    def lines(self, *args, **kw):
        return self.kv(*args, **kw).out.decode().splitlines()

    def objects(self, *args, **kw):
        return [json.loads(x) for x in self.lines(*args, "--json", **kw)]


def with_tests_of(*mixins):
    """The runner takes the tests that stand in a class itself."""
    def add(cls):
        for mixin in mixins:
            for name, f in vars(mixin).items():
                if name.startswith("test_") and name not in vars(cls):
                    setattr(cls, name, f)
        return cls
    return add


class Verbs:
    """What must be the same whichever way the store is reached."""

    def setUp(self):
        self.bucket = self.id().rsplit(".", 1)[1][-40:]
        self.kv("create", self.bucket)
        self.addCleanup(self.kv, "drop", self.bucket)

    def test_what_was_put_is_got_and_what_was_deleted_is_not(self):
        b = self.bucket
        self.kv("put", b, "milk", "1")
        self.assertEqual(self.kv("get", b, "milk").out, b"1")
        self.kv("put", b, "milk", "22")
        self.assertEqual(self.kv("get", b, "milk").out, b"22")
        self.kv("del", b, "milk")
        gone = self.kv("get", b, "milk", code=ABSENT)
        self.assertIn(b"no such key", gone.err)
        self.kv("put", b, "eggs", "3")
        self.kv("del", b, "milk", "eggs", code=ABSENT)
        self.kv("get", b, "eggs", code=ABSENT)

    def test_create_leaves_a_bucket_that_is_there(self):
        self.kv("put", self.bucket, "k", "v")
        self.kv("create", self.bucket)
        self.assertEqual(self.kv("get", self.bucket, "k").out, b"v")

    def test_no_verb_makes_a_bucket_but_create(self):
        for args in (("put", "none", "k", "v"), ("get", "none", "k"),
                     ("del", "none", "k"), ("ls", "none"), ("count", "none"),
                     ("drop", "none"), ("watch", "none")):
            got = self.kv(*args, code=ABSENT)
            self.assertEqual(got.err, b"kv: no such bucket: none\n")
            self.assertEqual(got.out, b"")
        self.assertNotIn("none", self.lines("buckets"))

    def test_bytes_of_any_kind_go_in_by_stdin_and_come_out(self):
        big = os.urandom(3 << 20)
        for value in (BYTES, b"", big):
            self.kv("put", self.bucket, "k", "-", stdin=value)
            self.assertEqual(self.kv("get", self.bucket, "k").out, value)
        self.kv("put", self.bucket, "k", "-", stdin=BYTES)
        o, = self.objects("get", self.bucket, "k")
        self.assertEqual(base64.b64decode(o["value"]["base64"]), BYTES)

    def test_keys_and_values_may_begin_with_a_dash(self):
        self.kv("put", self.bucket, "-k", "-5")
        self.assertEqual(self.kv("get", self.bucket, "-k").out, b"-5")
        self.kv("put", self.bucket, "--", "--json", "--help")
        self.assertEqual(self.kv("get", self.bucket, "--", "--json").out,
                         b"--help")

    def test_ls_lists_keys_in_order_by_prefix_with_values(self):
        for k in ("a1", "b1", "a2", "a*", "ä"):
            self.kv("put", self.bucket, k, k + "!")
        self.assertEqual(self.lines("ls", self.bucket),
                         ["a*", "a1", "a2", "b1", "ä"])
        self.assertEqual(self.lines("ls", self.bucket, "a"),
                         ["a*", "a1", "a2"])
        self.assertEqual(self.lines("ls", self.bucket, "a*"), ["a*"])
        self.assertEqual(self.lines("ls", self.bucket, "b", "--values"),
                         ["b1\tb1!"])
        self.assertEqual(self.objects("ls", self.bucket, "ä", "--values"),
                         [{"key": "ä", "value": "ä!"}])
        self.assertEqual(self.lines("ls", self.bucket, "x"), [])

    def test_count_and_buckets_tell_how_many_keys(self):
        self.assertEqual(self.lines("count", self.bucket), ["0"])
        for i in range(3):
            self.kv("put", self.bucket, str(i), "v")
        self.assertEqual(self.lines("count", self.bucket), ["3"])
        self.assertEqual(self.objects("count", self.bucket),
                         [{"bucket": self.bucket, "keys": 3}])
        self.assertIn(self.bucket, self.lines("buckets"))
        self.assertEqual(self.lines("buckets", self.bucket, "--values"),
                         [self.bucket + "\t3"])
        self.assertIn({"bucket": self.bucket, "keys": 3},
                      self.objects("buckets"))

    def test_a_dropped_bucket_is_gone_with_its_keys(self):
        self.kv("create", "doomed")
        self.kv("put", "doomed", "k", "v")
        self.kv("drop", "doomed")
        self.kv("get", "doomed", "k", code=ABSENT)
        self.kv("create", "doomed")
        self.kv("get", "doomed", "k", code=ABSENT)
        self.kv("drop", "doomed")

    def test_watch_shows_each_change_and_ends_after_so_many(self):
        p = subprocess.Popen(
            [program("kv"), *self.way, "watch", self.bucket, "--count", "3"],
            stdout=subprocess.PIPE, env=clean_env(self.store.base),
            preexec_fn=die_with_parent)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.kill)
        # Nothing says that it stands ready, so it is told until it answers.
        os.set_blocking(p.stdout.fileno(), False)

        def first():
            self.kv("put", self.bucket, "ready", "?")
            return p.stdout.read()
        got = wait_for(first, 20, "the watcher's first line")
        self.kv("put", self.bucket, "milk", "1")
        self.kv("del", self.bucket, "milk")
        os.set_blocking(p.stdout.fileno(), True)
        got += p.stdout.read()
        self.assertEqual(p.wait(10), 0)
        want = [b"ready SET TO ?", b"milk SET TO 1", b"milk DELETED"]
        lines = got.splitlines()
        self.assertEqual(len(lines), 3)
        # It may have come to stand there before several "ready".
        ready = lines.count(want[0])
        self.assertGreater(ready, 0)
        self.assertEqual(lines, want[:1] * ready + want[1:4 - ready])

    def test_status_is_text_or_one_object(self):
        self.assertTrue(self.kv("status").out)
        o, = self.objects("status")
        self.assertIsInstance(o, dict)

    def test_json_may_stand_before_the_verb(self):
        got = self.kv("--json", "count", self.bucket).out
        self.assertEqual(json.loads(got)["keys"], 0)

    def test_a_key_too_long_is_refused_with_the_reason(self):
        got = self.kv("put", self.bucket, "k" * 501, "v",
                      code=USAGE if self.way[0] == "-d" else TROUBLE)
        self.assertTrue(got.err.startswith(b"kv: "), got)


@with_tests_of(Verbs)
class OverPort(Verbs, Tool):
    @classmethod
    def setUpClass(cls):
        cls.server = Kvd()
        cls.store = cls.server.store
        cls.way = ("-p", str(cls.server.ports[0]))

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_ls_goes_through_many_pages(self):
        with self.server.resp() as c:
            for i in range(5):
                c.must("HSET", self.bucket,
                       *(x for j in range(1000)
                         for x in (f"k{i}{j:03}", "v")))
        got = self.lines("ls", self.bucket)
        self.assertEqual(len(got), 5000)
        self.assertEqual(got, sorted(set(got)))

    def test_raw_prints_bare_values_into_a_pipe_and_trees_as_json(self):
        self.kv("raw", "HSET", self.bucket, "a", "1", "b", BYTES.hex())
        self.assertEqual(self.lines("raw", "HGETALL", self.bucket),
                         ["a", "1", "b", BYTES.hex()])
        got = self.kv("--json", "raw", "HGETALL", self.bucket).out
        self.assertEqual(json.loads(got), ["a", "1", "b", BYTES.hex()])
        self.assertEqual(self.lines("raw", "PING"), ["PONG"])
        self.assertEqual(self.lines("raw", "EXISTS", self.bucket), ["1"])

    def test_raw_exits_with_trouble_when_the_reply_is_an_error(self):
        got = self.kv("raw", "NOSUCH", code=TROUBLE)
        self.assertIn(b"unknown command", got.out)

    def test_raw_sends_what_looks_like_an_option(self):
        self.assertEqual(self.lines("raw", "ECHO", "--json"), ["--json"])

    def test_on_a_terminal_bytes_are_escaped_and_colours_can_be_off(self):
        self.kv("put", self.bucket, "k", "-", stdin=b"\x1b[31m\xff")
        for env in ({}, {"NO_COLOR": "1"}):
            pid, fd = pty.fork()
            if pid == 0:
                os.execve(program("kv"),
                          ["kv", *self.way, "raw", "HGETALL", self.bucket],
                          clean_env(self.store.base, env))
            out = b""
            try:
                while data := os.read(fd, 4096):
                    out += data
            except OSError:
                pass
            os.waitpid(pid, 0)
            os.close(fd)
            self.assertEqual(out, b'1) "k"\r\n2) "\\x1b[31m\\xff"\r\n')

    def test_verify_is_for_folders_only(self):
        got = self.kv("verify", code=USAGE)
        self.assertIn(b"-d", got.err)

    def test_a_server_that_is_not_there_is_exit_3(self):
        port = str(free_ports(1)[0])
        got = self.kv("get", "a", "b", code=NOBODY, way=("-p", port))
        self.assertIn(port.encode(), got.err)
        self.assertEqual(got.err.count(b"\n"), 1)

    def test_the_default_is_the_port_if_somebody_answers_there(self):
        self.kv("put", self.bucket, "k", "v")
        got = self.kv("get", self.bucket, "k", way=(),
                      env={"KV_PORT": str(self.server.ports[1])})
        self.assertEqual(got.out, b"v")

    def test_the_default_is_the_folder_if_nobody_answers(self):
        env = {"KV_PORT": str(free_ports(1)[0]), "KV_DIR": self.store.dir}
        self.kv("put", self.bucket, "k", "v")
        got = self.kv("get", self.bucket, "k", way=(), env=env)
        self.assertEqual(got.out, b"v")


class OnFolder(Verbs):
    """What only the folder has."""

    def test_a_key_goes_at_its_deadline(self):
        self.kv("put", self.bucket, "k", "v", "--ttl", "1h")
        o, = self.objects("get", self.bucket, "k")
        left = o["deadline_ms"] / 1000 - time.time()
        self.assertTrue(3500 < left <= 3600, left)
        self.kv("put", self.bucket, "k", "v", "--ttl", "1ms")
        wait_for(lambda: self.kv("count", self.bucket) and
                 "k" not in self.lines("ls", self.bucket), 5)

    def test_watch_resumes_behind_a_seq(self):
        for i in range(3):
            self.kv("put", self.bucket, "k", str(i))
        o, = self.objects("get", self.bucket, "k")
        self.kv("put", self.bucket, "k", "3")
        self.kv("del", self.bucket, "k")
        got = self.objects("watch", self.bucket, "--from", o["seq"],
                           "--count", "1")
        self.assertIn((got[0]["type"], got[0].get("value")),
                      [("put", "3"), ("delete", None)])

    def test_verify_finds_nothing_in_a_healthy_store(self):
        self.kv("put", self.bucket, "k", "v")
        self.assertEqual(self.objects("verify"), [{"findings": 0}])

    def test_watch_from_a_seq_of_the_future_says_so(self):
        self.kv("put", self.bucket, "k", "v")
        o, = self.objects("get", self.bucket, "k")
        later = str(int(o["seq"]) + (3600000 << 16))
        got = self.kv("watch", self.bucket, "--from", later, "--count", "1",
                      code=TROUBLE)
        self.assertIn(b"missed", got.err)

    def test_raw_is_for_ports_only(self):
        got = self.kv("raw", "PING", code=USAGE)
        self.assertIn(b"-p", got.err)

    def test_status_tells_positions_and_processes(self):
        o, = self.objects("status")
        self.assertLessEqual(o["store"]["checkpointed"],
                             o["store"]["appended"])
        self.assertEqual(o["store"]["trouble"], "none")
        self.assertIn("library", [p["role"] for p in o["processes"]])


@with_tests_of(Verbs, OnFolder)
class OnFolderWithDaemon(OnFolder, Tool):
    @classmethod
    def setUpClass(cls):
        cls.server = Kvd()
        cls.store = cls.server.store
        cls.way = ("-d", cls.store.dir)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_clients_of_the_daemon_see_it_at_once(self):
        with self.server.line() as c:
            self.kv("put", self.bucket, "k", "v")
            self.assertEqual(c.get(self.bucket, "k"), b"v")
            c.put(self.bucket, "k", "w")
        self.assertEqual(self.kv("get", self.bucket, "k").out, b"w")

    def test_status_has_what_the_daemon_says_of_its_children(self):
        o, = self.objects("status")
        self.assertEqual([d["pid"] for d in o["daemons"]],
                         [self.server.proc.pid])
        roles = [p["role"] for p in o["processes"]]
        for role in ("worker", "walwriter", "checkpointer"):
            self.assertIn(role, roles)


@with_tests_of(Verbs, OnFolder)
class OnFolderAlone(OnFolder, Tool):
    @classmethod
    def setUpClass(cls):
        cls.store = Store()
        cls.way = ("-d", cls.store.dir)

    @classmethod
    def tearDownClass(cls):
        cls.store.remove()

    def test_a_folder_without_a_store_is_exit_3_and_stays_so(self):
        missing = os.path.join(self.store.base, "missing")
        got = self.kv("get", "a", "b", code=NOBODY, way=("-d", missing))
        self.assertIn(missing.encode(), got.err)
        self.assertFalse(os.path.exists(missing))

    def test_nothing_is_left_in_shared_memory(self):
        self.kv("put", self.bucket, "k", "v")
        self.assertEqual(self.store.shm_folders(), [])

    def test_a_writer_killed_at_any_time_loses_nothing_it_was_told(self):
        """kv put in a row, each killed after a moment: what exited 0 is
        there, and the store verifies."""
        told = []
        for i in range(20):
            p = subprocess.Popen(
                [program("kv"), *self.way, "put", self.bucket, f"k{i}", "v"],
                env=clean_env(self.store.base), preexec_fn=die_with_parent)
            try:
                p.wait(0.01 * i * kvtest.SLOW)
            except subprocess.TimeoutExpired:
                p.send_signal(signal.SIGKILL)
            if p.wait() == 0:
                told.append(f"k{i}")
        got = set(self.lines("ls", self.bucket))
        self.assertEqual([k for k in told if k not in got], [])
        self.note(f"{len(told)} told, {len(got)} there")
        self.assertEqual(self.objects("verify"), [{"findings": 0}])

    def test_the_daemon_that_starts_later_has_it_all(self):
        self.kv("put", self.bucket, "k", "v")
        with Kvd(store=self.store) as server:
            with server.line() as c:
                self.assertEqual(c.get(self.bucket, "k"), b"v")
            server.stop()


class RepairClock(Tool):
    def setUp(self):
        self.store = Store()
        self.addCleanup(self.store.remove)
        self.way = ("-d", self.store.dir)

    def test_it_says_that_there_is_nothing_to_do(self):
        self.kv("create", "b")
        self.kv("put", "b", "k", "v")
        self.assertIn("nothing was done", "".join(self.lines("repair-clock")))
        o, = self.objects("repair-clock")
        self.assertEqual((o["due"], o["repaired"], o["records"]),
                         (False, False, 0))

    @unittest.skipIf(kvclock.WHY_NOT, kvclock.WHY_NOT)
    def test_what_was_written_by_a_fast_clock_is_written_again(self):
        fast = kvclock.env("+3d")
        self.kv("create", "b")
        self.kv("put", "b", "sane", "1")
        for i in range(5):
            self.kv("put", "b", f"k{i}", str(i), env=fast)
        old = self.objects("ls", "b")
        seqs = [self.objects("get", "b", "k4")[0]["seq"]]
        dry, = self.objects("repair-clock", "--dry-run")
        self.assertEqual((dry["due"], dry["repaired"], dry["records"]),
                         (True, False, 5))
        self.assertAlmostEqual(dry["ahead_ms"], 3 * 86400e3, delta=60e3)
        self.assertEqual(self.objects("ls", "b"), old)
        text = "".join(self.lines("repair-clock"))
        self.assertIn("3 d 0 h" if dry["ahead_ms"] >= 3 * 86400e3 else
                      "2 d 23 h", text)
        self.assertIn("5 records", text)
        self.assertEqual(self.objects("verify"), [{"findings": 0}])
        new = self.objects("ls", "b", "--values")
        self.assertEqual([o["key"] for o in new], [o["key"] for o in old])
        o, = self.objects("repair-clock")
        self.assertFalse(o["due"])
        seqs += [self.objects("get", "b", "k4")[0]["seq"]]
        self.assertLess(int(seqs[1]), int(seqs[0]))
        for seq in seqs:
            got = self.kv("watch", "b", "--from", seq, "--count", "1",
                          code=TROUBLE)
            self.assertIn(b"missed", got.err)

    def test_it_needs_the_store_for_itself(self):
        with Kvd(store=self.store) as server:
            got = self.kv("repair-clock", code=TROUBLE)
            self.assertIn(b"stop kvd first", got.err)
            self.assertRegex(got.err, rb"kv-worker \(pid \d+\)")
            server.stop()

    def test_it_makes_no_store_and_needs_a_folder(self):
        got = self.kv("repair-clock", code=NOBODY)
        self.assertIn(b"no store in", got.err)
        self.assertFalse(os.path.exists(self.store.dir))
        self.kv("repair-clock", code=USAGE, way=("-p", "4050"))


class Usage(Tool):
    """What needs no store."""

    @classmethod
    def setUpClass(cls):
        cls.store = Store()

    @classmethod
    def tearDownClass(cls):
        cls.store.remove()

    def test_help_shows_every_verb_and_each_has_examples(self):
        out = self.kv("--help").out.decode()
        verbs = ("create put get del ls buckets watch status raw count drop "
                 "verify repair-clock").split()
        for verb in verbs:
            self.assertIn(f"\n  {verb} ", out)
            for args in (("help", verb), (verb, "--help")):
                text = self.kv(*args).out.decode() if verb != "raw" or \
                    args[0] == "help" else self.kv("help", verb).out.decode()
                self.assertIn(f"kv [...] {verb}", text)
                self.assertRegex(text, rf"\n  kv .*{verb}")

    def test_bad_usage_is_one_line_and_exit_2(self):
        for args in ((), ("nope",), ("get",), ("get", "a"), ("--nope",),
                     ("-p", "70000", "get", "a", "b"), ("-p", "x", "status"),
                     ("-d", "/tmp", "-p", "1", "status"), ("-d",),
                     ("help", "nope")):
            got = self.kv(*args, code=USAGE)
            self.assertEqual(got.err.count(b"\n"), 1, args)
            self.assertEqual(got.out, b"", args)

    def test_a_wrong_number_of_arguments_is_named(self):
        for args, why in ((("get", "a"), b"get: an argument is missing"),
                          (("get", "a", "b", "c"), b"get: an argument too many"),
                          (("get", "a", "-p", "1"),
                           b"--port: stands before the verb"),
                          (("nodes", "--all"), b"nodes: no such option"),
                          (("nodes", "--timeout", "2"),
                           b"--timeout: stands before the verb")):
            got = self.kv(*args, code=USAGE)
            self.assertIn(b"kv: " + why + b"; usage: kv [...] ", got.err)

    def test_output_that_cannot_be_written_is_no_success(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([program("kv"), "--help"], stdout=full,
                                  stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, TROUBLE)


if __name__ == "__main__":
    kvtest.main()
