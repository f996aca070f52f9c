#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Stores as each format on disk left them, opened by this version.

tests/golden has archives of folders; who changes the format lets the old ones
stay and makes new ones with

    KV_BIN=build python3 tests/integration/test_golden_stores.py make 2
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

import kvtest
from kvtest import Kvd, Store, clean_env, program, wait_for

FOLDER = os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "golden")
SEGMENT = 4 << 20  # 68 MB of zeros are many, even compressed
LARGE = b"0123456789abcdef" * 4096
LATER = b"4102444800000"  # of 2100, in ms

WRITES = [
    ("KV.CREATE", "shopping"),
    ("KV.CREATE", "here", "LOCAL"),
    ("KV.CREATE", "sessions", "TTLMAX", "86400000"),
    ("KV.CREATE", "lists", "CONFLICTS"),
    ("KV.CREATE", "gone"),
    ("HSET", "shopping", "milk", "1", "eggs", "12", "bread", "2"),
    ("HSET", "gone", "k", "v"),
    ("HSET", "here", "k", "local"),
    ("HSET", "lists", "l", "a b c"),
    ("SET", "greeting", "hello"),
    ("SET", "large", LARGE),
    ("SET", "empty", ""),
    ("SET", "later", "1", "PXAT", LATER),
    ("SET", "over", "1", "PX", "1"),
    ("SELECT", "3"),
    ("HSET", "of", "three", "3"),
    ("SET", "\x00\xff\r\n", "any bytes"),
    ("SELECT", "0"),
]
# As above, behind a checkpoint: these are in the log alone.
MORE = [
    ("HDEL", "shopping", "eggs"),
    ("HSET", "shopping", "bread", "3", "salt", "4"),
    ("KV.DROP", "gone"),
    ("DEL", "empty"),
    ("SET", "greeting", "hello again"),
    ("HPEXPIREAT", "shopping", LATER, "FIELDS", "1", "salt"),
]
READS = [
    (("HGET", "shopping", "milk"), b"1"),
    (("HGET", "shopping", "eggs"), None),
    (("HGET", "shopping", "bread"), b"3"),
    (("HPEXPIRETIME", "shopping", "FIELDS", "1", "salt"), [int(LATER)]),
    (("HLEN", "shopping"), 3),
    (("HGET", "here", "k"), b"local"),
    (("HGET", "lists", "l"), b"a b c"),
    (("EXISTS", "gone"), 0),
    (("GET", "greeting"), b"hello again"),
    (("GET", "large"), LARGE),
    (("EXISTS", "empty", "over"), 0),
    (("PEXPIRETIME", "later"), int(LATER)),
    (("SELECT", "3"), b"OK"),
    (("HGET", "of", "three"), b"3"),
    (("GET", "\x00\xff\r\n"), b"any bytes"),
    (("SELECT", "0"), b"OK"),
]


class Opened(Store):
    """Its shared memory is in a folder of its own: two who test at the same
    time have stores of one id."""

    def __init__(self):
        super().__init__()
        self.memory = tempfile.mkdtemp(prefix="kvtest-", dir="/dev/shm")

    def shm_folders(self):
        return []

    def remove(self):
        super().remove()
        shutil.rmtree(self.memory, ignore_errors=True)

    def serve(self):
        return Kvd(ports=1, store=self, env={
            "KV_SHM_DIR": self.memory, "KV_SEGMENT_SIZE": str(SEGMENT),
            "KV_VALUE_MAX": "512k"})

    def verify(self):
        done = subprocess.run(
            [program("kv"), "-d", self.dir, "verify"], capture_output=True,
            text=True, timeout=60, env=clean_env(
                self.base, {"KV_SHM_DIR": self.memory}))
        return done.returncode, done.stdout + done.stderr


def digests(c):
    """Of what has no deadline: that counts no clock's."""
    return {name.decode("latin-1"): sum.decode()
            for name, sum, _ in c.call("KV.DIGEST")}


class Golden(kvtest.Case):
    def check(self, kv, told):
        with kv.resp() as c:
            for words, answer in READS:
                got = c.call(*words)
                self.assertEqual(got, answer, words)
            self.assertEqual(digests(c), told)

    def open(self, name):
        store = Opened()
        self.addCleanup(store.remove)
        with tarfile.open(os.path.join(FOLDER, name)) as archive:
            archive.extractall(store.dir)
        os.chmod(store.dir, 0o700)
        with open(os.path.join(FOLDER, name.split(".")[0] + ".json")) as f:
            told = json.load(f)
        kv = store.serve()
        self.addCleanup(kv.close)
        self.check(kv, told)
        with kv.resp() as c:
            c.must("HSET", "shopping", "new", "5")
        kv.stop()
        self.assertEqual(store.verify()[0], 0, store.verify()[1])
        kv.start()
        with kv.resp() as c:
            self.assertEqual(c.call("HGET", "shopping", "new"), b"5")
            c.must("HDEL", "shopping", "new")
        self.check(kv, told)

    def test_there_is_a_store_of_each_format(self):
        with open(os.path.join(os.path.dirname(os.path.dirname(FOLDER)),
                               "src", "engine", "store.h")) as f:
            now = int(f.read().split("#define STORE_FORMAT ")[1].split()[0])
        for n in range(1, now + 1):
            for how in ("ended", "killed"):
                self.assertTrue(os.path.exists(os.path.join(
                    FOLDER, f"format-{n}-{how}.tar.xz")), (n, how))


def add_test(name):
    def test(self):
        self.open(name)
    words = name.split(".")[0].replace("-", "_")
    setattr(Golden, f"test_a_store_of_{words}", test)


for _name in sorted(os.listdir(FOLDER)):
    if _name.endswith(".tar.xz"):
        add_test(_name)


# ---- making them ----

def write(kv, commands):
    with kv.resp() as c:
        for words in commands:
            c.must(*words)


def pack(store, name, told):
    with tarfile.open(os.path.join(FOLDER, name + ".tar.xz"), "w:xz",
                      preset=9) as archive:
        for entry in sorted(os.listdir(store.dir)):
            archive.add(os.path.join(store.dir, entry), entry)
    with open(os.path.join(FOLDER, name + ".json"), "w") as f:
        json.dump(told, f, indent=1, sort_keys=True)
        f.write("\n")


def make(version):
    for how in ("ended", "killed"):
        store = Opened()
        kv = store.serve()
        try:
            write(kv, WRITES)
            if how == "killed":  # and one run before
                kv.stop()
                kv.start()
            write(kv, MORE)
            with kv.resp() as c:
                wait_for(lambda: c.call("EXISTS", "over") == 0, 5, "its end")
                told = digests(c)
            kv.stop() if how == "ended" else kv.kill9_all()
            pack(store, f"format-{version}-{how}", told)
        finally:
            kv.close()
            store.remove()


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(sys.argv[2])
    else:
        kvtest.main()
