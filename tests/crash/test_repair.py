#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Death of `kv repair-clock` at every named place of it: what is left is the
store as it was, or the repaired one, and a second try goes through.  Needs
KV_CRASH_BIN, and libfaketime for the clock that was wrong."""

import glob
import json
import os
import re
import shutil
import subprocess

if "KV_CRASH_BIN" in os.environ:
    os.environ["KV_BIN"] = os.environ["KV_CRASH_BIN"]

import crash  # noqa: E402
import kvclock  # noqa: E402
from crash import kvtest  # noqa: E402

KEYS = 300


def points():
    path = os.path.join(kvtest.ROOT, "src", "engine", "repair_clock.c")
    with open(path) as f:
        return re.findall(r'\bCRASH_POINT\("([^"]+)"\)', f.read())


class Repair(crash.CrashCase):
    def kv(self, *words, code=0, **env):
        done = subprocess.run(
            [kvtest.program("kv"), "-d", self.store.dir, *words],
            capture_output=True, text=True,
            env=kvtest.clean_env(self.store.base,
                                 {"KV_SEGMENT_SIZE": "1m", **env}),
            timeout=60)
        self.assertEqual(done.returncode, code, done)
        return done.stdout

    def setUp(self):
        if kvclock.WHY_NOT:
            self.skipTest(kvclock.WHY_NOT)
        self.store = kvtest.Store()
        self.addCleanup(self.store.remove)
        self.kv("create", "data")
        self.kv("put", "data", "sane", "1")
        kv = kvtest.Kvd(store=self.store, env=kvclock.env("+1h"))
        with kv.line() as c:
            for i in range(KEYS):
                c.put("data", f"far{i}", str(i))
            for i in range(0, KEYS, 7):
                c.ok("DELETE", "data", f"far{i}")
        kv.kill9_all()
        kv.close()

    def contents(self):
        return self.kv("ls", "data", "--values")

    def test_death_anywhere_leaves_the_old_store_or_the_new(self):
        expected = self.contents()
        self.assertEqual(len(expected.splitlines()),
                         1 + KEYS - len(range(0, KEYS, 7)))
        kept = self.store.dir + ".kept"
        shutil.copytree(self.store.dir, kept,
                        ignore=shutil.ignore_patterns("*.sock"))
        self.addCleanup(shutil.rmtree, kept)
        was_old = was_new = 0
        for point in points():
            shutil.rmtree(self.store.dir)
            shutil.copytree(kept, self.store.dir)
            self.kv("repair-clock", code=-9, KV_CRASH=point)
            self.assertIsNone(crash.verify(self.store), point)
            self.assertEqual(self.contents(), expected, point)
            told = json.loads(self.kv("repair-clock", "--json"))
            was_old += told["due"]
            was_new += not told["due"]
            self.assertEqual(self.contents(), expected, point)
            self.assertIsNone(crash.verify(self.store), point)
            told = json.loads(self.kv("repair-clock", "--json"))
            self.assertFalse(told["due"], point)
        self.assertGreater(was_old, 0)
        self.assertGreater(was_new, 0)
        self.note(f"{was_old} times the old one, {was_new} times the new one")


if __name__ == "__main__":
    if not points():
        raise SystemExit("no crash points in the sources")
    kvtest.main()
