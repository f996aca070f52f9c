#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Passwords: who gets in, who waits, what is refused at start."""

import os
import shutil
import signal
import subprocess
import time
import unittest

import kvtest
from kvtest import BIN, Error, Kvd, Store, assert_refused, run_kvd, wait_for

SECRET = "correct horse"
NOAUTH = "NOAUTH Authentication required."
WRONG = "WRONGPASS invalid username-password pair or user is disabled."


def kv(*args, text="", env=None):
    return subprocess.run([os.path.join(BIN, "kv"), *args], input=text,
                          capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(env or {})})


def make_hash(password=SECRET):
    done = kv("passwd", text=password + "\n")
    assert done.returncode == 0, done
    return done.stdout.strip()


class WithPassword(kvtest.Case):
    @classmethod
    def setUpClass(cls):
        cls.store = Store()
        cls.hash = make_hash()
        cls.conf = cls.store.write("kvd.conf", f"password = {cls.hash}\n")
        cls.kvd = Kvd(2, args=["-c", cls.conf], store=cls.store, wait=True)

    @classmethod
    def tearDownClass(cls):
        cls.kvd.close()
        cls.store.remove()

    def error(self, c, *command):
        got = c.call(*command)
        self.assertIsInstance(got, Error, got)
        return str(got)

    def test_nothing_is_done_before_the_password(self):
        with self.kvd.resp() as c:
            for command in (["GET", "a"], ["PING"], ["HGETALL", "x"],
                            ["CLIENT", "ID"], ["COMMAND"], ["INFO"]):
                self.assertEqual(self.error(c, *command), NOAUTH)
            self.assertIn("NOAUTH HELLO must be called", self.error(
                c, "HELLO", "3"))
            self.assertEqual(c.call("RESET"), b"RESET")
            self.assertEqual(c.call("AUTH", SECRET), b"OK")
            self.assertEqual(c.call("PING"), b"PONG")
            c.call("RESET")
            self.assertEqual(self.error(c, "PING"), NOAUTH)

    def test_each_way_to_say_it_works(self):
        with self.kvd.resp() as c:
            self.assertEqual(c.call("AUTH", "default", SECRET), b"OK")
            self.assertEqual(c.call("SET", "a", "1"), b"OK")
        with self.kvd.resp(1) as c:
            got = c.call("HELLO", "3", "AUTH", "default", SECRET, "SETNAME",
                         "me")
            self.assertEqual(dict(got)[b"proto"], 3)
            self.assertEqual(c.call("CLIENT", "GETNAME"), b"me")
        with self.kvd.line() as c:
            c.send(b"BUCKETS\r\nNONSENSE\r\nAUTH x\r\n")
            for want in (b"ERROR not authenticated", b"UNKNOWN COMMAND",
                         b"ERROR wrong password"):
                self.assertEqual(c.read_line(), want)

    def test_a_password_on_a_line_may_have_blanks_in_it(self):
        word = "two  words, and\u00a0more"
        conf = self.store.write("blanks.conf",
                                f"password = {make_hash(word)}\n")
        with Kvd(1, args=["-c", conf]) as kvd:
            for wrong in ("two words, and\u00a0more", "two", word + " x"):
                with kvd.line() as c:
                    guest = b"ERROR not authenticated"
                    c.send(f"BUCKETS\r\nAUTH {wrong}\r\nBUCKETS\r\n".encode())
                    self.assertEqual([c.read_line() for _ in range(3)],
                                     [guest, b"ERROR wrong password", guest])
            with kvd.line() as c:
                c.send(f"BUCKETS\r\nAUTH {word}\r\nCREATE b\r\n".encode())
                self.assertEqual([c.read_line() for _ in range(3)],
                                 [guest, b"OK", b"OK"])

    def test_a_password_behind_others_in_a_pipeline_is_found_once(self):
        with self.kvd.resp() as c:
            got = c.pipeline([["PING"], ["AUTH", SECRET], ["SET", "p", "1"],
                              ["GET", "p"]])
            self.assertEqual(str(got[0]), NOAUTH)
            self.assertEqual(got[1:], [b"OK", b"OK", b"1"])

    def test_wrong_ones_are_slowed_and_logged_once_without_the_password(self):
        with self.kvd.resp(1) as c:
            took = []
            for _ in range(4):
                began = time.monotonic()
                self.assertEqual(self.error(c, "AUTH", "hunter2"), WRONG)
                took.append(time.monotonic() - began)
        self.assertGreater(took[0], 0.19)
        self.assertGreater(took[3], 1.5)
        log = self.kvd.log_text()
        self.assertNotIn("hunter2", log)
        self.assertLessEqual(log.count("password wrong"), 2)  # one a port
        self.note(f"answers after {[round(x, 2) for x in took]} s")

    def test_nobody_waits_while_passwords_are_compared(self):
        worst = min(self.slowest_beside_a_wrong_one() for _ in range(3))
        self.assertLess(worst, 0.06 * kvtest.SLOW)

    def slowest_beside_a_wrong_one(self):
        with self.kvd.resp() as good, self.kvd.resp() as bad:
            self.assertEqual(good.call("AUTH", SECRET), b"OK")
            began = time.monotonic()
            bad.send(kvtest.resp_encode("AUTH", "wrong one"))
            worst = 0
            while time.monotonic() - began < 0.15:
                at = time.monotonic()
                good.call("PING")
                worst = max(worst, time.monotonic() - at)
            self.assertEqual(str(bad.read_reply()), WRONG)
        return worst

    def test_neither_monitors_nor_transactions_are_disturbed(self):
        with self.kvd.resp() as c, self.kvd.resp() as m:
            c.call("AUTH", SECRET)
            m.call("AUTH", SECRET)
            self.assertEqual(m.call("MONITOR"), b"OK")
            got = c.pipeline([["MULTI"], ["SET", "m", "1"],
                              ["AUTH", "unseen"], ["GET", "m"], ["EXEC"]])
            self.assertEqual(got[4][0], b"OK")
            self.assertIn("inside a transaction", str(got[4][1]))
            self.assertEqual(got[4][2], b"1")
            c.call("ECHO", "end")
            seen = m.read_until(b'"end"')
            self.assertNotIn(b"unseen", seen)

    def test_guests_cannot_send_much(self):
        for data, want in (
                (b"*11\r\n", b"-ERR Protocol error: unauthenticated "
                             b"multibulk length"),
                (b"*2\r\n$4\r\nAUTH\r\n$20000\r\n",
                 b"-ERR Protocol error: unauthenticated bulk length")):
            with self.kvd.resp() as c:
                c.send(data)
                self.assertEqual(c.read_until(b"\r\n"), want)

    def test_other_users_do_not_exist(self):
        with self.kvd.resp() as c:
            self.assertEqual(self.error(c, "AUTH", "root", SECRET), WRONG)
            self.assertEqual(self.error(c, "AUTH", "a", "b", "c"),
                             "ERR syntax error")

    def test_the_hash_is_not_shown(self):
        done = subprocess.run(
            [os.path.join(BIN, "kvd"), "-c", self.conf, "--print-config"],
            capture_output=True, text=True)
        self.assertRegex(done.stdout, r"(?m)^password = set ;")
        self.assertNotIn("argon2", done.stdout)

    @unittest.skipUnless(shutil.which("redis-cli"), "no redis-cli here")
    def test_redis_cli_gets_in(self):
        for extra in (["-a", SECRET], ["-3", "-a", SECRET],
                      ["--user", "default", "--pass", SECRET]):
            done = subprocess.run(
                ["redis-cli", "-p", str(self.kvd.ports[0]),
                 "--no-auth-warning", *extra, "PING"],
                capture_output=True, text=True)
            self.assertEqual(done.stdout, "PONG\n", done)

    def test_kv_says_the_password_of_a_file(self):
        path = self.store.write("secret", SECRET + "\n")
        port = str(self.kvd.ports[0])
        self.assertEqual(kv("-p", port, "create", "b").returncode, 4)
        self.assertEqual(
            kv("--secret-file", path, "-p", port, "create", "b").returncode, 0)
        self.assertEqual(kv("-p", port, "count", "b",
                            env={"KV_SECRET_FILE": path}).stdout, "0\n")

    def bench(self, *args, env=None, kvd=None):
        return subprocess.run(
            [kvtest.program("kv-bench"), "-p",
             str((kvd or self.kvd).ports[0]), "-c", "3", "-n", "60", "-k",
             "50", *args],
            capture_output=True, text=True, timeout=60 * kvtest.SLOW,
            env=kvtest.clean_env(self.store.base, env))

    def test_kv_bench_takes_the_password_from_a_file(self):
        path = self.store.write("bench", SECRET + "\nnot this line\n")
        wrong = self.store.write("wrong", "hunter2\n")
        self.assertNotEqual(self.bench("-t", "get").returncode, 0)
        for args, env in ((["--secret-file", path], None),
                          ([], {"KV_SECRET_FILE": path})):
            done = self.bench("-t", "set,get", *args, env=env)
            self.assertEqual(done.returncode, 0, done)
            self.assertNotIn("error", done.stdout + done.stderr)
        refused = self.bench("--secret-file", wrong, "-t", "get", "-c", "1")
        self.assertEqual(refused.returncode, 3, refused)
        self.assertIn("WRONGPASS", refused.stderr)
        self.assertNotIn("hunter2", refused.stdout + refused.stderr)
        missing = self.bench("--secret-file", "/nonexistent")
        self.assertEqual(missing.returncode, 2)
        self.assertIn("/nonexistent: No such file", missing.stderr)

    def test_kv_bench_says_it_on_lines_too_and_where_none_is_wanted(self):
        path = self.store.write("word", "one-word\n")
        conf = self.store.write(
            "word.conf", f"password = {make_hash('one-word')}\n")
        for args in (["-c", conf], []):
            with Kvd(1, args=args) as kvd:
                done = self.bench("-t", "hset,line-create,line-put,line-get",
                                  "--secret-file", path, kvd=kvd)
                self.assertEqual(done.returncode, 0, done)


class Files(kvtest.Case):
    def start(self, store, *args):
        return Kvd(1, args=args, store=store)

    def test_a_password_file_is_read_again_by_a_reload(self):
        store = Store()
        try:
            path = store.write("hash", make_hash() + "\n")
            os.chmod(path, 0o600)
            with self.start(store, "--password-file", path) as kvd:
                with kvd.resp() as c:
                    self.assertEqual(c.call("AUTH", SECRET), b"OK")
                done = kv("passwd", "-o", path, text="other\n")
                self.assertEqual(done.returncode, 0, done)
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
                os.kill(kvd.proc.pid, signal.SIGHUP)

                def changed():
                    with kvd.resp() as c:
                        return c.call("AUTH", "other") == b"OK"
                wait_for(changed, 30, "the new password")
                os.chmod(path, 0o644)
                os.kill(kvd.proc.pid, signal.SIGHUP)
                wait_for(lambda: "stays as it was" in kvd.log_text(), 10,
                         "the refusal of the file")
                with kvd.resp() as c:
                    self.assertEqual(c.call("AUTH", "other"), b"OK")
        finally:
            store.remove()

    def test_a_bad_password_file_stops_the_start(self):
        store = Store()
        try:
            good = make_hash()
            open_to_all = store.write("open", good)
            os.chmod(open_to_all, 0o644)
            plain = store.write("plain", "hunter2\n")
            os.chmod(plain, 0o600)
            link = os.path.join(store.base, "link")
            os.symlink(plain, link)
            for path, word in ((open_to_all, "chmod 600"),
                               (plain, "Argon2id"), (link, "symbolic link"),
                               ("/nonexistent", "No such file")):
                out = run_kvd(["-p", "0", "-d", store.dir,
                               "--password-file", path], store=store)
                self.assertEqual(out.code, 1, out)
                self.assertIn(word, out.err)
                self.assertNotIn("hunter2", out.err)
        finally:
            store.remove()

    def test_a_plain_password_is_refused_wherever_it_stands(self):
        store = Store()
        try:
            plain = store.write("plain.conf", "password = hunter2\n")
            both = store.write(
                "both.conf", f"password = {make_hash()}\n"
                             "password_file = /etc/x\n")
            for args, env, words in (
                    (["-c", plain], {}, ["password:", "plain.conf:1",
                                         "kv passwd", "never the password"]),
                    (["--password", make_hash()], {},
                     ["flag --password", "configuration file"]),
                    ([], {"KV_PASSWORD": "hunter2"},
                     ["environment KV_PASSWORD"]),
                    (["-c", both], {}, ["expected one of them"])):
                line = assert_refused(
                    self, run_kvd(["-d", store.dir, *args], env=env,
                                  store=store), *words)
                self.assertNotIn("hunter2", line)
        finally:
            store.remove()

    def test_with_a_password_other_hosts_may_connect(self):
        store = Store()
        try:
            conf = store.write("kvd.conf", f"password = {make_hash()}\n"
                                           "bind = 0.0.0.0\n")
            with self.start(store, "-c", conf) as kvd:
                with kvd.resp() as c:
                    self.assertEqual(c.call("AUTH", SECRET), b"OK")
        finally:
            store.remove()

    def test_without_a_password_redis_says_so(self):
        with Kvd(1) as kvd, kvd.resp() as c:
            self.assertEqual(
                str(c.call("AUTH", "x")),
                "ERR AUTH <password> called without any password configured "
                "for the default user. Are you sure your configuration is "
                "correct?")
            self.assertEqual(c.call("AUTH", "default", "x"), b"OK")
            self.assertEqual(str(c.call("AUTH", "bob", "x")), WRONG)
            self.assertEqual(c.call("HELLO", "2", "AUTH", "default", "x")[0],
                             b"server")


if __name__ == "__main__":
    kvtest.main()
