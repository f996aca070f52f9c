#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The cookie, and the key made from it, are in no core file, log, command line,
environment or error message, of kvd's processes and of kv."""

import ctypes
import ctypes.util
import hashlib
import os
import re
import shutil
import signal
import subprocess

import kvtest
from kvnodes import HOST, Cluster
from kvproc import die_with_parent
from kvtest import clean_env, program, wait_for

SYNCD = "kv-syncd"
SECRET = "Xq7pVt2Lr9ZkW4mN8sJdF1hGbYc5Ue3aTo6iRv0wBnM"
PIECE = 8  # so many of its characters in a row would be a piece of it
LARGE = 1 << 31  # address space that sanitizers reserve
SODIUM = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")


def stretched(secret, cluster):
    """The key that kv-syncd makes of it (man kv-sync.7)."""
    salt = hashlib.blake2b(b"kvsync cookie salt 1" + cluster,
                           digest_size=16).digest()
    key = ctypes.create_string_buffer(32)
    assert SODIUM.sodium_init() >= 0
    assert SODIUM.crypto_pwhash_argon2id(
        key, ctypes.c_ulonglong(32), secret, ctypes.c_ulonglong(len(secret)),
        salt, ctypes.c_ulonglong(2), ctypes.c_size_t(64 << 20), 2) == 0
    return key.raw


def areas(pid):
    """(from, to, would be in a core file) of all that can be read."""
    with open(f"/proc/{pid}/smaps") as f:
        at = None
        for line in f:
            if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line):
                at = int(found[1], 16), int(found[2], 16), found[3]
            elif line.startswith("VmFlags:") and at[2][0] == "r" and \
                    at[1] - at[0] < LARGE:
                yield at[0], at[1], "dd" not in line.split()[1:]


def found_in(process, *texts):
    """How often each is in what a core file would have, and in the rest."""
    counts = {True: [0] * len(texts), False: [0] * len(texts)}
    with open(f"/proc/{process.pid}/mem", "rb", buffering=0) as mem:
        for begin, end, is_dumped in areas(process.pid):
            try:
                mem.seek(begin)
                data = mem.read(end - begin)
            except (OSError, ValueError, OverflowError):
                continue  # guard pages, vsyscall
            for i, text in enumerate(texts):
                counts[is_dumped][i] += data.count(text)
    return counts[True], counts[False]


class Secrets(kvtest.Case):
    def cluster(self, **env):
        c = Cluster(**env)
        self.addCleanup(c.__exit__)
        return c

    def unseen(self, text, where):
        for i in range(len(SECRET) - PIECE):
            self.assertNotIn(SECRET[i:i + PIECE], text, where)

    def core_limit(self, pid):
        with open(f"/proc/{pid}/limits") as f:
            line, = [x for x in f if x.startswith("Max core file size")]
        return line.split()[4:6]


class InMemory(Secrets):
    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("needs root: kv-syncd cannot be looked into")

    def test_no_core_file_would_have_the_cookie_or_its_key(self):
        """After links that were made, refused, and made with a new cookie."""
        c = self.cluster(KV_LOG_LEVEL="debug")
        secret, old = SECRET.encode(), b"O" * 43
        c.file(".kv.cookie", f"1 {old.decode()}\n")
        foo, bar = c.start("foo", "bar")
        c.file("other", "1 " + "z" * 43 + "\n")
        c.add("baz", f"foo@{HOST}",
              env={"KV_COOKIE_FILE": c.file("o", "1 " + "z" * 43 + "\n")})
        foo.wait_log("peer refused", "cookie rejected")
        c.file(".kv.cookie", f"2 {SECRET}\n1 {old.decode()}\n")
        for node in (foo, bar):
            before = node.count_log("cookie read")
            os.kill(node.proc.pid, signal.SIGHUP)
            wait_for(lambda: node.count_log("cookie read") > before, 10,
                     "the cookie to be read")
        bar.child(SYNCD).kill_and_wait()
        foo.in_step()
        bar.in_step()
        keys = [stretched(x, b"kv") for x in (secret, old)]
        for p in [foo.me] + foo.children():
            dumped, hidden = found_in(p, secret, old, *keys)
            self.assertEqual(dumped, [0, 0, 0, 0], p)
            self.assertEqual(hidden[:2], [0, 0], p)  # wiped
            if p.name == SYNCD:  # so this test can fail
                self.assertEqual(hidden[2:], [1, 1], p)
        self.unseen(foo.log_text() + bar.log_text(), "log")
        self.dumped_by_gdb(foo.child(SYNCD), secret, old, *keys)

    def dumped_by_gdb(self, process, *texts):
        if not shutil.which("gcore"):
            return
        folder = kvtest.Store()
        self.addCleanup(folder.remove)
        path = os.path.join(folder.base, "core")
        subprocess.run(["gcore", "-o", path, str(process.pid)],
                       capture_output=True, check=False)
        path += f".{process.pid}"
        if not os.path.exists(path):
            return  # ptrace is refused here
        with open(path, "rb") as f:
            core = f.read()
        self.note(f"core of {len(core) >> 20} MiB")
        for text in texts:
            self.assertNotIn(text, core)


class OfTheTool(Secrets):
    def setUp(self):
        self.home = self.cluster().folder("home")

    def test_kv_cookie_and_kv_passwd_leave_no_core(self):
        """While the secret is on its way: the pipe takes no more, or none has
        been typed yet."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        os.set_blocking(write, False)
        for size in (4096, 1):
            try:
                while True:
                    os.write(write, b"x" * size)
            except BlockingIOError:
                pass
        os.set_blocking(write, True)
        typed = subprocess.PIPE
        for args, stdin, stdout in (
                (("cookie", "new", "-o", "-"), subprocess.DEVNULL, write),
                (("passwd",), typed, subprocess.DEVNULL)):
            p = subprocess.Popen(
                [program("kv"), *args], stdin=stdin, stdout=stdout,
                env=clean_env(self.home), preexec_fn=die_with_parent)
            try:
                wait_for(lambda: self.core_limit(p.pid) == ["0", "0"], 5,
                         f"no core file of {args}")
                self.assertEqual(os.stat(f"/proc/{p.pid}/mem").st_uid, 0)
                self.assertFalse(self.can_be_dumped(p.pid), args)
            finally:
                p.kill()
                p.communicate()
        os.close(write)

    def can_be_dumped(self, pid):
        """A signal that would leave a core: its exit status says so."""
        os.kill(pid, signal.SIGQUIT)
        info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return info.si_code == os.CLD_DUMPED


class InMessages(Secrets):
    """Cookie files that cannot be: what is said of them has nothing of what is
    in them."""

    BAD = (f"{SECRET} {SECRET}\n", f"999 {SECRET}\n", f"1 {SECRET} x\n",
           f"1 {SECRET[:15]}\n", f"1 {SECRET}\n1 {SECRET}\n",
           f"{SECRET}\n{SECRET}x\n", f"1 {SECRET}\x01\n", f"x {SECRET}\n",
           f"1\n{SECRET}\n", f"# {SECRET}\n",
           "".join(f"{i} {SECRET}\n" for i in range(5)),
           f"1 {SECRET}\n" + "#" * 4096)

    def test_kvd_refuses_a_bad_cookie_without_showing_it(self):
        c = self.cluster()
        for text in self.BAD:
            path = c.file("bad", text)
            got = kvtest.run_kvd(
                ["-d", os.path.join(c.home, "s"), "-p", "0", "--sname", "foo",
                 "--log-level", "debug"],
                env=dict(c.env, NODES=f"foo@{HOST},bar@{HOST}",
                         KV_COOKIE_FILE=path))
            self.assertEqual(got.code, 1, (text, got))
            self.assertIn(path, got.err)
            self.unseen(got.out + got.err, text)

    def test_a_bad_cookie_at_a_reload_changes_nothing_and_is_not_shown(self):
        c = self.cluster(KV_LOG_LEVEL="debug")
        foo, bar = c.start("foo", "bar")
        before = 0
        for text in self.BAD:
            c.file(".kv.cookie", text)
            os.kill(foo.proc.pid, signal.SIGHUP)
            before += 1
            wait_for(lambda: foo.count_log("cookie", c.cookie) >= before, 10,
                     f"a word about {text!r}")
        self.unseen(foo.log_text(), "log")
        foo.put("b", "k", "v")
        bar.wait_value("b", "k", b"v")


if __name__ == "__main__":
    kvtest.main()
