# SPDX-License-Identifier: ISC
"""What the crash tests share: traces, the load, looking at what is left.

KV_ROUNDS  rounds of test_kill, cases of test_points (default 10)
KV_IMAGES  images of test_power (default 20)
KV_KEYS    keys of test_restart (default 200000)
KV_SEED    begin with this seed; each test prints its own
"""

import array
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import kvtest  # noqa: E402
from kvtest import die_with_parent, wait_for  # noqa: E402

ROUNDS = int(os.environ.get("KV_ROUNDS", "10"))
SEED = int(os.environ.get("KV_SEED", "0")) or \
    random.SystemRandom().randrange(1, 1 << 32)
MODES = ("always", "everysec", "os")
SHARED = 3
SHARED_KEYS = 2000
OWNED = 8
END = (1 << 63) - 1  # a cut behind all events

_TRACE_MAGIC = 0x6b76747261636531
_HEADER = struct.Struct("<QQQQQQ")


def tool(name):
    return kvtest.program(os.path.join("tests", name))


class Scratch:
    """A folder in tmpfs for traces and images; gone when closed."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="kvcrash-", dir="/dev/shm")
        self.count = 0

    def name(self, what):
        self.count += 1
        return os.path.join(self.path, f"{what}.{self.count}")

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)


def iotrace_library(scratch):
    """What is preloaded to write down all that a program does to a disk."""
    library = scratch.name("iotrace") + ".so"
    subprocess.run(
        [os.environ.get("CC", "gcc"), "-std=c17", "-D_GNU_SOURCE", "-O2",
         "-fPIC", "-shared", "-o", library,
         os.path.join(HERE, "preload", "iotrace.c")], check=True)
    return library


class Trace:
    """The file that trace.h describes; sparse, so that its sizes cost
    nothing."""

    def __init__(self, path, events=1 << 22, data=0):
        self.path = path
        with open(path, "wb") as f:
            f.write(_HEADER.pack(_TRACE_MAGIC, events, data, 0, 0, 0))
            f.truncate(4096 + events * 64 + data)

    def header(self):
        with open(self.path, "rb") as f:
            return _HEADER.unpack(f.read(_HEADER.size))

    @property
    def events(self):
        return self.header()[3]

    def is_within_a_call(self, pid):
        """Did that (stopped) process begin a traced call and not end it?"""
        with open(self.path, "rb") as f:
            for n in range(self.events - 1, -1, -1):
                f.seek(4096 + 64 * n)
                kind, who = struct.unpack("<II", f.read(8))
                if who == pid and 1 < kind <= 10:
                    return kind != 10  # TRACE_DONE
        return False

    @property
    def is_full(self):
        return bool(self.header()[5])

    def remove(self):
        os.unlink(self.path)


class Load:
    """tests/load: clients that write down what they do."""

    def __init__(self, trace, ports, seed, first, operations=1 << 40,
                 connections=8):
        self.proc = subprocess.Popen(
            [tool("load"), trace.path, str(seed), str(first), str(operations),
             str(connections), *map(str, ports)],
            stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)

    def end(self, stop=True, limit=60):
        """Stop it and wait; what it tells as a dict of numbers."""
        if stop:
            self.proc.terminate()
        try:
            out, _ = self.proc.communicate(timeout=limit * kvtest.SLOW)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.communicate()
            raise AssertionError("the load does not end") from None
        if self.proc.returncode != 0:
            raise AssertionError(f"load: exit {self.proc.returncode} {out}")
        told = dict(x.split("=", 1) for x in out.strip().split(" ", 5))
        return {k: int(v) if v.isdigit() else v for k, v in told.items()}

    def kill(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.communicate()


def run_tool(name, *args, limit=60, env=None):
    """Run one of the helpers; (exit code, output)."""
    p = subprocess.run([tool(name), *map(str, args)], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, env=env,
                       timeout=limit * kvtest.SLOW,
                       preexec_fn=die_with_parent)
    return p.returncode, p.stdout


def verify(store, limit=60):
    """`kv -d DIR verify`; what it says when it is not content, or None."""
    p = subprocess.run([kvtest.program("kv"), "-d", store.dir, "verify"],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=limit * kvtest.SLOW,
                       env=kvtest.clean_env(store.base),
                       preexec_fn=die_with_parent)
    return None if p.returncode == 0 else \
        f"kv verify: exit {p.returncode}\n{p.stdout}"


def read_state(path):
    """(values of s0 by key number, counters) of a state file."""
    with open(path, "rb") as f:
        numbers = array.array("Q", f.read())
    buckets = SHARED + OWNED
    at = 1 + buckets
    return numbers[at:at + SHARED_KEYS], numbers[-4:]


class CrashCase(kvtest.Case):
    """A scratch folder, and clean-up of what a test started."""

    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.close)

    def start_load(self, *args, **kw):
        load = Load(*args, **kw)
        self.addCleanup(load.kill)
        return load

    def serve(self, **kw):
        kv = kvtest.Kvd(**kw)
        self.addCleanup(kv.close)
        return kv

    def assert_load_was_served(self, told):
        self.assertEqual(told["errors"], 0, f"refused: {told}")
        self.assertEqual(told["stalls"], 0, f"no answer for 20 s: {told}")

    def read_through(self, kv, port):
        kv.wait_ready()
        state = self.scratch.name("state")
        rc, out = run_tool("state", "tcp", port, state)
        self.assertEqual(rc, 0, out)
        return state

    def assert_nothing_lost(self, trace, state, base, cut=END, lost_ms=0):
        rc, out = run_tool("check", trace.path, cut, lost_ms, state,
                           base or "-")
        self.assertEqual(rc, 0, f"cut {cut}:\n{out}")

    def assert_verifies(self, store):
        said = verify(store)
        self.assertIsNone(said, said)


__all__ = ["CrashCase", "END", "HERE", "Load", "MODES", "ROUNDS", "SEED",
           "SHARED_KEYS", "Scratch", "Trace", "kvtest", "read_state",
            "run_tool", "tool", "verify", "wait_for"]
