#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""kv cookie: the file it makes, what it tells of one, what it refuses, and
that no secret is ever shown."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import unittest

import kvtest
from kvproc import die_with_parent
from kvtest import clean_env, program

ABSENT, USAGE, TROUBLE = 1, 2, 4
SECRET = "q3Jm0kAAAABBBBCCCCDDDDEEEEFFFFGGGGHHHHIIIIJ"
OLD = "an-older-secret-of-ours"
ERLANG = "ZQWXKRTPLMNBVCASDFGH"  # as erl makes them: 20 capitals, no line end
SECRETS = (SECRET, OLD, ERLANG)
NEW_LINE = re.compile(r"^(\d+) ([A-Za-z0-9_-]{43})$", re.M)


def small_files():
    """For preexec_fn: writing more than some bytes to a file fails."""
    die_with_parent()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))


class Cookie(kvtest.Case):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="kvcookie-", dir=kvtest.TMP)
        self.addCleanup(shutil.rmtree, self.home)
        self.default = self.path(".kv.cookie")

    def path(self, name):
        return os.path.join(self.home, name)

    def write(self, text, mode=0o600, name="c"):
        path = self.path(name)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        return path

    def read(self, path):
        with open(path) as f:
            return f.read()

    def start(self, *args, out=subprocess.PIPE, env=None,
              before=die_with_parent, **kw):
        return subprocess.Popen(
            [program("kv"), *args], stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.PIPE, env=clean_env(self.home, env),
            cwd=self.home, preexec_fn=before, **kw)

    def kv(self, *args, code=0, **kw):
        """What it printed; on failure what it said, in one line.  Never a
        secret, unless asked for."""
        p = self.start(*args, **kw)
        out, err = (x.decode() if x else "" for x in
                    p.communicate(timeout=30 * kvtest.SLOW))
        self.assertEqual(p.returncode, code, (args, out, err))
        for secret in SECRETS:
            self.assertNotIn(secret[:6], out + err, args)
        if "-" not in args:
            self.assertNotRegex(out + err, NEW_LINE)
        if code == 0:
            self.assertEqual(err, "", args)
            return out
        self.assertEqual(out, "", args)
        self.assertRegex(err, r"\Akv: [^\n]+\n\Z")
        return err

    def show(self, *args):
        o = json.loads(self.kv("cookie", "show", *args, "--json"))
        return o["generations"]

    def fingerprints(self, text):
        return [g["fingerprint"] for g in
                self.show("--fingerprint", self.write(text))]

    def refused(self, path, *words, code=TROUBLE):
        """show says no, naming the file, what was found, what to do."""
        err = self.kv("cookie", "show", path, code=code)
        for word in (path, *words):
            self.assertIn(word, err)
        self.assertEqual(
            self.kv("cookie", "show", "--fingerprint", "--json", path,
                    code=code), err)


class New(Cookie):
    def made(self, path):
        """The one line of a file that was made: generation and secret."""
        st = os.lstat(path)
        self.assertTrue(stat.S_ISREG(st.st_mode))
        self.assertEqual(st.st_mode & 0o7777, 0o600)
        self.assertEqual((st.st_uid, st.st_nlink), (os.geteuid(), 1))
        found, = NEW_LINE.findall(self.read(path))
        return int(found[0]), found[1]

    def alone(self, path):
        """No temporary file was left beside it."""
        self.assertEqual(os.listdir(os.path.dirname(path)),
                         [os.path.basename(path)])

    def test_the_default_is_a_file_at_home_for_its_owner_only(self):
        out = self.kv("cookie", "new")
        generation, secret = self.made(self.default)
        self.assertEqual(generation, 1)
        self.assertIn(self.default, out)
        self.assertNotIn(secret, out)
        self.alone(self.default)
        self.assertEqual(self.show(), [
            {"generation": 1, "dials": True, "weak": False}])

    def test_the_mode_does_not_depend_on_the_umask(self):
        for mask in (0, 0o777, 0o277):
            path = self.path(f"m{mask:o}")
            self.kv("cookie", "new", "-o", path, umask=mask)
            self.made(path)

    def test_each_secret_is_another_one(self):
        secrets = set()
        for i in range(20):
            self.kv("cookie", "new", "--force")
            secrets.add(self.made(self.default)[1])
        self.assertEqual(len(secrets), 20)
        self.alone(self.default)

    def test_a_relative_name_and_a_generation_can_be_given(self):
        for generation in (0, 7, 255):
            name = f"c{generation}"
            out = self.kv("cookie", "new", "-o", name, "--generation",
                          str(generation), "--json")
            self.assertEqual(json.loads(out),
                             {"file": name, "generation": generation})
            self.assertEqual(self.made(self.path(name))[0], generation)

    def test_a_file_that_is_there_stays_unless_forced(self):
        path = self.write(f"1 {SECRET}\n", 0o644)
        err = self.kv("cookie", "new", "-o", path, code=TROUBLE)
        self.assertIn(path, err)
        self.assertIn("exists already", err)
        self.assertIn("--force", err)
        self.assertEqual(self.read(path), f"1 {SECRET}\n")
        self.kv("cookie", "new", "-o", path, "--force")
        self.assertNotEqual(self.made(path)[1], SECRET)
        self.alone(path)

    def test_of_many_at_once_one_makes_the_file(self):
        many = [self.start("cookie", "new") for _ in range(16)]
        codes = []
        for p in many:
            p.communicate(timeout=30 * kvtest.SLOW)
            codes.append(p.returncode)
        self.assertEqual(sorted(codes), [0] + [TROUBLE] * 15)
        self.made(self.default)
        self.alone(self.default)

    def test_only_a_file_is_ever_replaced(self):
        target = self.write(f"1 {SECRET}\n", name="target")
        link = self.path("link")
        os.symlink("target", link)
        loose = self.path("loose")
        os.symlink("nowhere", loose)
        pipe = self.path("pipe")
        os.mkfifo(pipe)
        for path, kind in ((link, "symbolic link"), (loose, "symbolic link"),
                           (pipe, "pipe"), (self.home, "folder"),
                           ("/dev/null", "device")):
            for force in ((), ("--force",)):
                err = self.kv("cookie", "new", "-o", path, *force,
                              code=TROUBLE)
                self.assertIn(path, err)
                self.assertIn(f"is a {kind}: expected", err)
        self.assertEqual(self.read(target), f"1 {SECRET}\n")
        self.assertEqual(sorted(os.listdir(self.home)),
                         ["link", "loose", "pipe", "target"])

    def test_a_folder_that_is_not_there_is_named_and_not_made(self):
        path = self.path("none/c")
        err = self.kv("cookie", "new", "-o", path, code=TROUBLE)
        self.assertIn(path, err)
        self.assertIn("its folder: No such file or directory", err)
        self.assertEqual(os.listdir(self.home), [])
        for name in ("", self.home + "/"):
            self.assertIn("expected the name of a file",
                          self.kv("cookie", "new", "-o", name, code=TROUBLE))

    def test_a_write_that_fails_leaves_nothing_behind(self):
        path = self.write(f"1 {SECRET}\n")
        for args in (("-o", path, "--force"), ("-o", self.path("other"))):
            err = self.kv("cookie", "new", *args, code=TROUBLE,
                          before=small_files, restore_signals=False)
            self.assertIn("write: File too large", err)
        self.assertEqual(self.read(path), f"1 {SECRET}\n")
        self.alone(path)

    def test_a_dash_prints_the_file_and_makes_none(self):
        out = self.kv("cookie", "new", "-o", "-", "--generation", "9")
        (generation, secret), = NEW_LINE.findall(out)
        self.assertEqual(generation, "9")
        self.assertEqual(os.listdir(self.home), [])
        shown, = self.show(self.write(out))
        self.assertEqual(shown["generation"], 9)
        # A line of it may be appended to a cookie.
        two = self.write(f"1 {SECRET}\n" + out.splitlines()[-1] + "\n")
        self.assertEqual([g["generation"] for g in self.show(two)], [1, 9])
        self.kv("cookie", "new", "-o", "-", "--json", code=USAGE)

    def test_output_that_cannot_be_written_is_no_success(self):
        with open("/dev/full", "wb") as full:
            err = self.kv("cookie", "new", "-o", "-", out=full, code=TROUBLE)
        self.assertIn("No space left", err)

    def test_without_a_home_a_name_is_needed(self):
        for verb in ("new", "show"):
            for home in (None, ""):
                err = self.kv("cookie", verb, env={"HOME": home}, code=USAGE)
                self.assertIn("HOME", err)
        self.kv("cookie", "new", "-o", "c", env={"HOME": None})
        self.kv("cookie", "show", "c", env={"HOME": None})


class Show(Cookie):
    def test_generations_are_shown_in_order_without_their_secrets(self):
        path = self.write(f"# ours\n\n2 {SECRET}\n  1\t{OLD}\r\n")
        self.assertEqual(self.kv("cookie", "show", path).splitlines(),
                         ["generation 2  dials and accepts",
                          "generation 1  accepts"])
        self.assertEqual(self.show(path), [
            {"generation": 2, "dials": True, "weak": False},
            {"generation": 1, "dials": False, "weak": False}])
        out = json.loads(self.kv("--json", "cookie", "show", path))
        self.assertEqual(out["file"], path)

    def test_fingerprints_are_equal_where_the_secrets_are(self):
        a, b = self.fingerprints(f"2 {SECRET}\n1 {OLD}\n")
        self.assertRegex(a + b, r"\A[0-9a-f]{16}\Z")
        self.assertNotEqual(a, b)
        self.assertEqual(self.fingerprints(f"200 {OLD}\n3 {SECRET}"), [b, a])
        # Hosts of different versions are compared, too.
        self.assertEqual(a, "5b6e9d19")
        path = self.write(f"2 {SECRET}\n")
        self.assertEqual(self.kv("cookie", "show", "--fingerprint", path),
                         f"generation 2  fingerprint {a}  dials and accepts\n")

    def test_a_bare_token_as_erlangs_is_generation_0(self):
        path = self.write(ERLANG, 0o400, ".erlang.cookie")
        self.assertEqual(self.show(path), [
            {"generation": 0, "dials": True, "weak": False}])
        self.assertEqual(self.fingerprints(ERLANG),
                         self.fingerprints(f"0 {ERLANG}\n"))

    def test_a_weak_secret_is_told(self):
        path = self.write(f"2 {SECRET}\n1 hunter2-hunter2\n")
        self.assertEqual([g["weak"] for g in self.show(path)], [False, True])
        out = self.kv("cookie", "show", path)
        self.assertIn("generation 1  accepts  weak", out)
        self.assertNotIn("hunter2", out)

    def test_a_file_that_is_not_there_is_exit_1(self):
        self.refused(self.path("none"), "no such file", code=ABSENT)
        err = self.kv("cookie", "show", code=ABSENT)
        self.assertIn(self.default, err)

    def test_rights_for_group_or_others_are_refused(self):
        for mode in (0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o777):
            path = self.write(f"1 {SECRET}\n", mode)
            self.refused(path, f"mode {mode:04o}", "chmod 600")
        for mode in (0o600, 0o400, 0o700):
            self.show(self.write(f"1 {SECRET}\n", mode))
            os.unlink(path)

    @unittest.skipUnless(os.geteuid() == 0, "needs root to give files away")
    def test_a_file_of_somebody_else_is_refused(self):
        path = self.write(f"1 {SECRET}\n")
        os.chown(path, 12345, -1)
        self.refused(path, "owned by user 12345", "expected 0")

    def test_what_is_no_file_is_refused_without_waiting(self):
        target = self.write(f"1 {SECRET}\n")
        os.symlink(target, self.path("link"))
        self.refused(self.path("link"), "symbolic link", "name that")
        os.symlink("nowhere", self.path("loose"))
        self.refused(self.path("loose"), "symbolic link")
        os.mkfifo(self.path("pipe"), 0o600)
        self.refused(self.path("pipe"), "is a pipe", "regular file")
        self.refused(self.home, "is a folder", "regular file")
        self.refused("/dev/null", "is a device", "regular file")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(self.path("socket"))
            self.refused(self.path("socket"), "open:")

    def test_a_file_may_have_4096_bytes_and_no_more(self):
        line = f"1 {SECRET}\n"
        comment = "#" * (4095 - len(line)) + "\n"
        self.assertEqual(len(self.show(self.write(line + comment))), 1)
        self.refused(self.write(line + "#" + comment), "has 4097 bytes",
                     "at most 4096")
        self.refused(self.write(line * 100000), "at most 4096")

    def test_damaged_lines_are_told_by_number_and_not_shown(self):
        for text, words in (
                ("", "found none"),
                ("# 1 " + SECRET, "found none"),
                (f"1 {SECRET} {OLD}\n", "line 1: expected a generation and"),
                (f"\n256 {SECRET}\n", "line 2: expected a generation from 0"),
                (f"-1 {SECRET}\n", "line 1: expected a generation from 0"),
                (f"{SECRET} 1\n", "line 1: expected a generation from 0"),
                (f"1 {SECRET}\n1 {OLD}\n", "line 2: generation 1 again"),
                (f"1 {SECRET}\n{OLD}\n", "line 2: "),
                (f"{ERLANG}\n{OLD}\n", "line 1: "),
                ("".join(f"{i} {SECRET}\n" for i in range(5)), "at most 4"),
                (f"1 {SECRET}\0\n", "line 1: expected a secret without"),
                (f"1 \x1b[31m{SECRET}\n", "line 1: expected a secret without"),
        ):
            self.refused(self.write(text), words)


class Usage(Cookie):
    def test_bad_usage_says_nothing_back_that_may_be_a_secret(self):
        for args in ((), (SECRET,), ("new", SECRET), ("show", "a", SECRET),
                     ("new", "--fingerprint"), ("show", "--force"),
                     ("show", "-o", "c"), ("show", "--generation", "1"),
                     ("new", "-o"), ("new", "--generation", "256"),
                     ("new", "--generation", SECRET),
                     ("new", "--generation", ""),
                     ("new", "--generation", "9" * 30),
                     ("new", "--generation", "-1"), ("list",)):
            self.kv("cookie", *args, code=USAGE)
        self.assertEqual(os.listdir(self.home), [])

    def test_help_tells_both_and_has_examples(self):
        out = self.kv("help", "cookie")
        self.assertEqual(self.kv("cookie", "--help"), out)
        for word in ("new [-o FILE]", "show [--fingerprint]", "~/.kv.cookie",
                     "\n  kv cookie new\n"):
            self.assertIn(word, out)
        self.assertIn("\n  cookie ", self.kv("--help"))


if __name__ == "__main__":
    kvtest.main()
