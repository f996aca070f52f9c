#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Power cuts: all writes and syncs of a run are traced; disks are built as they
may look after a cut at any place; each opens, verifies, and holds what its
durability promised.  Some are cut again while they recover."""

import os
import random
import shutil
import signal
import struct
import subprocess
import time

import crash
from crash import (END, MODES, SEED, CrashCase, Trace, kvtest, run_tool,
                   tool)

IMAGES = int(os.environ.get("KV_IMAGES", "20"))
OPERATIONS = 60000 if IMAGES > 60 else 15000
DATA = 3 << 30
# everysec: the second, how often the walwriter looks (50 ms), the sync itself
# and what a loaded machine takes to run it.
LOST_MS = {"always": 0, "everysec": 1500, "os": -1, "os_then_always": 0}
SENT, ACKED = 11, 12  # of trace.h


class Images:
    """tests/image: builds what a cut leaves."""

    def __init__(self, trace, base="-"):
        self.proc = subprocess.Popen(
            [tool("image"), trace.path, base], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
            preexec_fn=kvtest.die_with_parent)
        self.names = []
        self.tree = []
        for line in self.proc.stdout:
            word, _, number = line.strip().partition(" ")
            if word == "end":
                break
            if word == "events":
                self.events = int(number)
            else:
                getattr(self, word).append(int(number))

    def cut(self, event, seed, folder):
        self.proc.stdin.write(f"cut {event} {seed} {folder}\n")
        self.proc.stdin.flush()
        told = self.proc.stdout.readline().strip()
        if not told.startswith("made"):
            raise AssertionError(f"image: {told!r} {self.proc.poll()}")
        return told

    def close(self):
        self.proc.kill()
        self.proc.communicate()

    def choose(self, rng, count, first, least=1):
        """Places to cut: anywhere, or near what changes names or the tree."""
        found = []
        for n in range(count):
            near = (None, self.names, None, self.tree)[n % 4]
            if near:
                at = rng.choice(near) + rng.randint(-2, 6)
            else:
                at = rng.randint(first, self.events)
            found.append(min(max(at, least), self.events))
        return sorted(found)


def remove_shm(store_dir):
    """The machine is gone: so is its memory."""
    store = kvtest.Store.__new__(kvtest.Store)
    store.dir, store.ids = store_dir, set()
    for folder in store.shm_folders():
        shutil.rmtree(folder, ignore_errors=True)


def is_stopped(p):
    try:
        with open(f"/proc/{p.pid}/stat", "rb") as f:
            return f.read().rpartition(b")")[2].split()[0] == b"T"
    except OSError:
        return True


class Power(CrashCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = crash.Scratch()
        cls.addClassCleanup(cls.shared.close)
        cls.library = crash.iotrace_library(cls.shared)

    def traced(self, trace, folder):
        return {"LD_PRELOAD": self.library, "IOTRACE_DIR": folder,
                "IOTRACE_FILE": trace.path}

    def stop_between_calls(self, trace, p):
        """Stop a process where it is not writing, so that the trace says
        exactly what it did; dying within a call is dying before or after."""
        while p.is_alive():
            p.kill(signal.SIGSTOP)
            kvtest.wait_for(lambda: not p.is_alive() or is_stopped(p), 5,
                            f"stop of {p}")
            if not trace.is_within_a_call(p.pid):
                return
            p.kill(signal.SIGCONT)
            time.sleep(0.0005)

    def kill_now_and_then(self, kv, trace, load, rng):
        while load.proc.poll() is None:
            time.sleep(0.05 + rng.random() * 0.2)
            role = rng.choice(("kv-worker", "kv-walwriter", "kv-walwriter",
                               "kv-checkpointer", None))
            victims = kv.children(role)
            for p in victims if role is None else victims[:1]:
                self.stop_between_calls(trace, p)
                if role is not None:
                    p.kill_and_wait()
            if role is None:
                kv.kill9_all()
                kv.start()

    def record(self, mode, seed, deadly):
        """A run of kvd with two loads and a pause, from its first file to its
        orderly end; deadly: its processes are killed all the while."""
        rng = random.Random(seed)
        modes = mode.split("_then_")
        trace = Trace(self.scratch.name("trace"), data=DATA)
        store = kvtest.Store()
        self.addCleanup(store.remove)
        kv = self.serve(args=["--durability", modes[0], "--segment-size", "1m"],
                        env=self.traced(trace, store.dir), store=store)
        number = 1
        for n in range(2):
            if n == 1 and len(modes) == 2:
                for p in kv.children():
                    self.stop_between_calls(trace, p)
                kv.kill9_all()
                kv.args[1] = modes[1]
                kv.start()
                self.second = number
            load = self.start_load(trace, kv.ports, seed + n, number,
                                   OPERATIONS // 2)
            if deadly:
                self.kill_now_and_then(kv, trace, load, rng)
            told = load.end(stop=False, limit=100)
            self.assert_load_was_served(told)
            self.assertTrue(deadly or told["lost"] == 0, told)
            number = told["next"]
            if n == 1 or len(modes) == 1:
                kvtest.wait_for(lambda: self.is_idle(kv), 20, "idle")
        kv.stop()
        kv.close()
        self.assertFalse(trace.is_full, "the trace is too small")
        remove_shm(store.dir)
        return trace

    def is_idle(self, kv):
        p = subprocess.run(
            [kvtest.program("kv"), "-d", kv.store.dir, "--json", "status"],
            stdout=subprocess.PIPE, text=True,
            env=kvtest.clean_env(kv.store.base))
        words = p.stdout.replace(",", " ").replace(":", " ").split()
        at = {k: words[words.index(k) + 1]
              for k in ('"appended"', '"checkpointed"')}
        return len(set(at.values())) == 1

    # -- looking at an image

    def look(self, image, env=None):
        """Open it as the next start would; (exit code, output, state)."""
        state = self.scratch.name("state")
        rc, out = run_tool("state", "dir", image, state, env=env)
        remove_shm(image)
        return rc, out, state

    def assert_good(self, image, trace, cut, mode, command, env=None):
        if command:
            store = kvtest.Store.__new__(kvtest.Store)
            store.dir, store.base = image, self.scratch.path
            self.assert_verifies(store)
            remove_shm(image)
        rc, out, state = self.look(image, env)
        self.assertEqual(rc, 0, f"state: exit {rc}\n{out}")
        self.assert_nothing_lost(trace, state, None, cut, LOST_MS[mode])
        os.unlink(state)

    def cut_again(self, image, trace, cut, mode, rng):
        """Recover under a trace of its own, and cut that."""
        base = self.scratch.name("base")
        shutil.copytree(image, base)
        inner = Trace(self.scratch.name("inner"), events=1 << 16, data=1 << 29)
        env = dict(os.environ, **self.traced(inner, image))
        self.assert_good(image, trace, cut, mode, False, env)
        images = Images(inner, base)
        try:
            for at in images.choose(rng, 4, 0):
                again = self.scratch.name("again")
                told = images.cut(at, rng.randrange(1 << 32), again)
                try:
                    self.assert_good(again, trace, cut, mode, False)
                except AssertionError as e:
                    self.keep(again)
                    raise AssertionError(
                        f"cut again at {at} ({told}): {e}") from None
                shutil.rmtree(again)
        finally:
            images.close()
            inner.remove()
            shutil.rmtree(base)
        return 4

    def keep(self, image):
        """For who looks for the cause."""
        if "KV_KEEP" in os.environ:
            shutil.copytree(image, os.environ["KV_KEEP"], dirs_exist_ok=True)

    def one(self, images, trace, first, cut, mode, rng, n):
        image = self.scratch.name("image")
        before = image + ".before"
        told = images.cut(cut, rng.randrange(1 << 32), image)
        try:
            if "KV_KEEP" in os.environ:
                shutil.copytree(image, before)
            if not os.path.exists(os.path.join(image, "store")):
                self.assertLessEqual(cut, first, "there is no store")
            elif n % 3 == 2:
                return 1 + self.cut_again(image, trace, cut, mode, rng)
            else:
                self.assert_good(image, trace, cut, mode, n % 2 == 0)
            return 1
        except AssertionError as e:
            if os.path.exists(before):
                self.keep(before)
            raise AssertionError(f"image {n} cut {cut} of {images.events} "
                                 f"({told}): {e}") from None
        finally:
            shutil.rmtree(image, ignore_errors=True)
            shutil.rmtree(before, ignore_errors=True)

    def cuts(self, mode, deadly, count, seed):
        rng = random.Random(seed)
        print(f"seed={seed} durability={mode} deaths={deadly} images={count}",
              flush=True)
        trace = self.record(mode, rng.randrange(1 << 32), deadly)
        images = Images(trace)
        self.addCleanup(images.close)
        first = self.first_event(trace, SENT, 1)
        if mode == "os_then_always":
            # That holds from the first promise on.
            first = self.first_event(trace, ACKED, self.second) + 1
        least = 1 if "_" not in mode else first
        made, wrong = 0, []
        for n, cut in enumerate(images.choose(rng, count, first, least)):
            try:
                made += self.one(images, trace, first, cut, mode, rng, n)
            except AssertionError as e:
                made += 1
                wrong.append(str(e))
        self.note(f"{made} images of {images.events} events")
        self.assertEqual(len(wrong), 0, f"seed {seed}: {len(wrong)} of {made} "
                         "images are wrong:\n" + "\n".join(wrong[:3]))

    def first_event(self, trace, kind, number):
        """The first event of that kind, of that operation or a later one."""
        with open(trace.path, "rb") as f:
            f.seek(4096)
            for n in range(trace.events):
                found, _, of = struct.unpack_from("<IIQ", f.read(64))
                if found == kind and of >= number:
                    return n
        return END


def add_tests():
    """So many images of each mode and a third of that with deaths; with few,
    so many in all."""
    kinds = [(d, m) for d in (False, True) for m in MODES]
    kinds.append((False, "os_then_always"))
    for n, (deadly, mode) in enumerate(kinds):
        count = (IMAGES + 6 - n) // 7
        if IMAGES > 60:
            count = IMAGES if n < len(MODES) else IMAGES // 3

        def test(self, args=(mode, deadly, count, SEED + n)):
            self.cuts(*args)
        test.kv_limit = 120 + 3 * count
        name = f"test_what_a_power_cut_leaves_{mode}"
        if count > 0:
            setattr(Power, name + "_with_deaths" * deadly, test)


add_tests()

if __name__ == "__main__":
    print(f"KV_SEED={SEED}")
    kvtest.main()
