#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Death at every named place in the sources, the n-th time somebody comes by:
nothing acknowledged is lost, the store verifies.  Needs KV_CRASH_BIN."""

import glob
import os
import random
import re
import sys
import time

if "KV_CRASH_BIN" in os.environ:
    os.environ["KV_BIN"] = os.environ["KV_CRASH_BIN"]

from crash import (MODES, ROUNDS, SEED, CrashCase, Trace,  # noqa: E402
                   kvtest)
import kvclock  # noqa: E402

COUNTS = (1, 2, 17)
DEATHS = 4
LIMIT = 6.0  # seconds for that many
PATIENCE = 48.0  # for those that there must be
CLOCK = "clock."  # where nobody comes by unless the clock jumps


def points():
    found = set()
    for path in glob.glob(os.path.join(kvtest.ROOT, "src", "*", "*.c")):
        with open(path) as f:
            found.update(re.findall(r'\bCRASH_POINT\("([^"]+)"\)', f.read()))
    # Of kv repair-clock, which no daemon comes by: test_repair.py.
    return sorted(p for p in found if not p.startswith("repair."))


class Points(CrashCase):
    def die_at(self, point, count, mode, seed):
        """Under load, with everybody dying there again and again; then a
        start without it."""
        rng = random.Random(seed)
        clock = self.clock() if point.startswith(CLOCK) else None
        kv = self.serve(args=["--durability", mode, "--segment-size", "1m"],
                        env=clock and kvclock.env(file=clock))
        base = self.read_through(kv, kv.ports[0])
        kv.stop()
        trace = Trace(self.scratch.name("trace"))
        kv.extra["KV_CRASH"] = f"{point}:{count}"
        kv.start(wait=False)
        load = self.start_load(trace, kv.ports, rng.randrange(1 << 32), 1)
        if clock:
            kv.wait_ready()
            kvclock.put(clock, "+60")
        deaths = 0
        # The first death must not keep the next one from coming so far.
        needed = 2 if count == 1 else 1
        began = time.monotonic()
        while deaths < DEATHS and time.monotonic() - began < kvtest.SLOW * (
                LIMIT if deaths >= needed else PATIENCE):
            time.sleep(0.02)
            deaths = kv.log_text().count("signal=9")
        crashed_alone = deaths
        kv.kill9_all()
        log = kv.log_text()
        kv.extra["KV_CRASH"] = None
        kv.start()
        time.sleep(0.1)
        told = load.end()
        self.assertEqual(told["stalls"], 0, told)
        self.assertEqual(told["errors"], 0, told)
        state = self.read_through(kv, rng.choice(kv.ports))
        self.assert_nothing_lost(trace, state, base)
        self.assert_verifies(kv.store)
        kv.stop()
        self.assert_verifies(kv.store)
        kv.close()
        trace.remove()
        self.assertGreaterEqual(crashed_alone, needed,
                                f"nobody came by {point} {count} times:\n{log}")
        return crashed_alone, told["acked"]

    def clock(self):
        """A file that says what a server takes the time for."""
        if kvclock.WHY_NOT:
            self.skipTest(kvclock.WHY_NOT)
        file = self.scratch.name("clock")
        kvclock.put(file, "+0")
        return file

    def check(self, point, cases):
        for count, mode, seed in cases:
            try:
                deaths, acked = self.die_at(point, count, mode, seed)
            except AssertionError as e:
                raise AssertionError(f"KV_CRASH={point}:{count} durability="
                                     f"{mode} seed {seed}: {e}") from None
            self.note(f"{mode} {count}: {deaths} deaths, {acked} writes")


def add_tests():
    """With few rounds each point once, counts and modes taking turns."""
    for n, point in enumerate(points()):
        counts = (1, 1, 1) if point.startswith(CLOCK) else COUNTS
        cases = [(c, MODES[(i + n) % 3], SEED + n)
                 for i, c in enumerate(counts)]
        if ROUNDS < 45:
            cases = [cases[(SEED + n) % 3]]

        def test(self, args=(point, cases)):
            self.check(*args)
        test.kv_limit = 90 * len(cases)
        setattr(Points, f"test_death_at_{point.replace('.', '_')}", test)


add_tests()

if __name__ == "__main__":
    print(f"KV_SEED={SEED}")
    if not points():
        sys.exit("no crash points in the sources")
    kvtest.main()
