#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Full, read-only, foreign or newer: what lies below the store misbehaves.

Uses tiny tmpfs mounts, so most of it needs root (CAP_SYS_ADMIN) and is
skipped where a mount is refused.
"""

import os
import shutil
import re
import subprocess

import kvtest
from kvtest import Kvd, Store, assert_refused, limit, run_kvd, wait_for

MIB = 1 << 20
SEGMENT = 4 * MIB  # so that a few tens of MiB are a store


class WithMounts(kvtest.Case):
    def setUp(self):
        self.store = Store()
        self.addCleanup(self.store.remove)

    def mount(self, name, mib):
        """A tmpfs beside the store; gone with the test."""
        path = os.path.join(self.store.base, name)
        os.mkdir(path, 0o700)
        p = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "kvtest",
             path], capture_output=True, text=True)
        if p.returncode != 0:
            self.skipTest(f"mount is refused here: {p.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=False)
        return path

    def small(self, **env):
        return {"KV_SEGMENT_SIZE": str(SEGMENT), "KV_VALUE_MAX": str(MIB),
                **env}

    def refused(self, *words, env=None, args=(), **kw):
        got = run_kvd(["-d", self.store.dir, "-p", "0", *args], env,
                      self.store, **kw)
        return assert_refused(self, got, *words)

    def serve(self, env):
        kv = Kvd(ports=1, store=self.store, env=env)
        self.addCleanup(kv.close)
        with kv.line() as c:
            c.create("b")
            c.put("b", "early", "bird")
        return kv

    def write_until_refused(self, c, mib):
        """Distinct keys; the answer that was not OK, or None when all fit."""
        value, self.written = b"x" * (32 << 10), -1
        for n in range(mib * 32):
            answer = c.line("PUT", "b", f"k{n}", value)
            if answer != b"OK":
                return answer
            self.written = n
        return None


class NoRoom(WithMounts):
    def test_a_shm_dir_that_is_too_small_is_refused_and_the_option_named(
            self):
        shm = self.mount("shm", 8)
        line = self.refused("shm_dir", shm, env={"KV_SHM_DIR": shm})
        self.assertRegex(line, r"\d")  # how much there is or must be

    def test_a_shm_dir_that_does_not_exist_is_refused(self):
        self.refused("shm_dir", "/nonexistent/shm",
                     env={"KV_SHM_DIR": "/nonexistent/shm"})

    def test_a_data_folder_without_room_is_refused_at_start(self):
        self.store.dir = self.mount("disk", 1)
        self.refused(self.store.dir)

    @limit(240)
    def test_on_a_full_disk_writes_fail_reads_go_on_and_writes_resume(self):
        self.store.dir = self.mount("disk", 96)
        kv = self.serve(self.small())
        before = kv.children("kv-worker")
        with kv.line(limit=60) as c, kv.resp(limit=60) as r:
            ballast = kvtest.fill_disk(self.store.dir)
            answer = self.write_until_refused(c, 160)
            self.assertIsNotNone(answer, "160 MiB went into a full disk")
            self.assertTrue(answer.startswith(b"ERROR "), answer)
            self.assertRegex(answer.lower(), rb"full|space|room|disk")
            self.note(f"refused after {self.written + 1} writes of 32 KiB: "
                      f"{answer.decode()}")
            reply = r.call("SET", "k", "x" * 1000)
            self.assertIsInstance(reply, kvtest.Error)
            self.assertRegex(reply.text, rb"^(OOM|MISCONF) ")
            for n in range(self.written + 1):
                self.assertEqual(len(c.get("b", f"k{n}")), 32 << 10)
            self.assertEqual(c.get("b", "early"), b"bird")
            os.unlink(ballast)
            wait_for(lambda: c.line("PUT b later v") == b"OK", 30,
                     "a write that succeeds again")
            self.assertEqual(r.call("SET", "k", "v"), b"OK")
        self.assertEqual(kv.children("kv-worker"), before)
        kv.stop()
        kv.start()
        with kv.line() as c:
            for n in range(self.written + 1):
                self.assertEqual(len(c.get("b", f"k{n}")), 32 << 10)
            self.assertEqual(c.get("b", "later"), b"v")

    @limit(240)
    def test_a_kill_9_on_a_full_disk_loses_nothing_acknowledged(self):
        self.store.dir = self.mount("disk", 96)
        kv = self.serve(self.small())
        with kv.line(limit=60) as c:
            ballast = kvtest.fill_disk(self.store.dir)
            self.assertIsNotNone(self.write_until_refused(c, 160))
        kv.kill9_all()
        os.unlink(ballast)
        kv.start()
        with kv.line() as c:
            for n in range(self.written + 1):
                self.assertEqual(len(c.get("b", f"k{n}")), 32 << 10)
            c.put("b", "later", "v")

    @limit(240)
    def test_a_store_opened_on_a_full_disk_can_be_read(self):
        """After a power cut: the memory is gone, the log has to be replayed,
        and nothing can be written, not even that a new life has begun."""
        self.store.dir = self.mount("disk", 96)
        kv = self.serve(self.small())
        with kv.line(limit=60) as c:
            ballast = kvtest.fill_disk(self.store.dir)
            self.assertIsNotNone(self.write_until_refused(c, 160))
        kv.kill9_all()
        for folder in self.store.shm_folders():
            shutil.rmtree(folder)
        kv.start()
        with kv.line(limit=60) as c:
            for n in range(self.written + 1):
                self.assertEqual(len(c.get("b", f"k{n}")), 32 << 10)
            self.assertRegex(c.line("PUT b later v"), rb"^ERROR .*space")
            os.unlink(ballast)
            wait_for(lambda: c.line("PUT b later v") == b"OK", 30,
                     "a write that succeeds again")
        kv.stop()

    @limit(240)
    def test_a_map_that_is_full_fails_writes_and_reads_go_on(self):
        kv = self.serve(self.small(KV_MAP_SIZE="32m"))
        with kv.line(limit=60) as c:
            answer = self.write_until_refused(c, 160)
            self.assertIsNotNone(answer, "160 MiB went into a 32 MiB map")
            self.assertTrue(answer.startswith(b"ERROR "), answer)
            self.note(answer.decode())
            for n in range(0, self.written + 1, 10):
                self.assertEqual(len(c.get("b", f"k{n}")), 32 << 10)
            self.assertEqual(c.get("b", "early"), b"bird")

    @limit(240)
    def test_shared_memory_that_fills_up_later_kills_nobody(self):
        """The mapped page that cannot be had would be a SIGBUS."""
        shm = self.mount("shm", 64)
        kv = self.serve(self.small(KV_SHM_DIR=shm))
        before = kv.children()
        with kv.line(limit=60) as c:
            ballast = kvtest.fill_disk(shm)
            answer = self.write_until_refused(c, 64)
            if answer is not None:
                self.assertTrue(answer.startswith(b"ERROR "), answer)
                self.note(answer.decode())
            self.assertEqual(c.get("b", "early"), b"bird")
            self.assertEqual(kv.children(), before)
            for _ in range(20):
                c.line("PUT", "b", "again", b"x" * (32 << 10))
            # A line when it begins, not one for each look.
            self.assertLessEqual(kv.log_text().count("fallocate failed"), 2)
            os.unlink(ballast)
            wait_for(lambda: c.line("PUT b later v") == b"OK", 30,
                     "a write that succeeds again")
        self.assertEqual(kv.children(), before)


class NotOurs(WithMounts):
    def as_root(self):
        if os.geteuid() != 0:
            self.skipTest("only root can make a folder of somebody else's")

    def made(self):
        """A store that was served once and stopped."""
        kv = self.serve({})
        kv.stop()
        return os.path.join(self.store.dir, "store")

    def test_a_read_only_folder_is_refused_by_name(self):
        self.store.dir = self.mount("disk", 400)
        self.made()
        p = subprocess.run(["mount", "-o", "remount,ro", self.store.dir],
                           capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        line = self.refused(self.store.dir)
        self.assertRegex(line, r"(?i)read-only|EROFS")

    def test_a_folder_of_a_newer_format_is_refused_with_both_versions(self):
        path = self.made()
        with open(path) as f:
            text = f.read()
        found = re.search(r"^(format|version)\s+(\d+)\s*$", text, re.M)
        self.assertIsNotNone(found, f"no line `format N` in {text!r}")
        with open(path, "w") as f:
            f.write(text.replace(found[0].strip(), f"{found[1]} 999"))
        line = self.refused(self.store.dir, "999")
        self.assertRegex(line.replace("999", ""), rf"\b{found[2]}\b")
        with open(path, "w") as f:
            f.write(text)
        self.assertEqual(self.reads_again(), b"bird")

    def test_a_store_file_that_is_damaged_is_refused_by_name(self):
        path = self.made()
        with open(path, "rb") as f:
            text = f.read()
        for bad in (b"", b"\0" * 100, b"hello\n",
                    text.replace(b"id ", b"id x")):
            with self.subTest(bad=bad[:30]):
                with open(path, "wb") as f:
                    f.write(bad)
                self.refused(path)
        with open(path, "wb") as f:
            f.write(text)
        self.assertEqual(self.reads_again(), b"bird")

    def reads_again(self):
        with Kvd(ports=1, store=self.store) as kv, kv.line() as c:
            return c.get("b", "early")

    def test_a_folder_of_another_owner_is_refused_by_name(self):
        self.as_root()
        self.made()
        self.note_shared_memory_gone()
        self.refused(self.store.dir, user=65534)

    def test_root_does_not_serve_somebody_elses_store(self):
        self.as_root()
        self.made()
        for folder, dirs, files in os.walk(self.store.dir):
            for name in dirs + files:
                os.chown(os.path.join(folder, name), 65534, 65534)
        os.chown(self.store.dir, 65534, 65534)
        line = self.refused(self.store.dir)
        self.assertRegex(line, r"65534|nobody")

    def note_shared_memory_gone(self):
        """The refusal is to be about the folder, not about what lies in
        /dev/shm."""
        for folder in self.store.shm_folders():
            subprocess.run(["rm", "-rf", folder], check=True)

    def test_a_path_that_is_a_file_is_refused_by_name(self):
        self.store.dir = self.store.write("file", "not a folder\n")
        self.refused(self.store.dir)


if __name__ == "__main__":
    kvtest.main()
