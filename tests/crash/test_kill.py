#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""kill -9 at random while two ports are written to: nothing acknowledged is
lost in any mode, subscribers see one order, the store verifies."""

import os
import random
import signal
import time

import crash
from crash import MODES, ROUNDS, SEED, CrashCase, Trace, kvtest
from follow import Follower, check_order, last_values

TARGETS = ("kv-worker", "kv-walwriter", "kv-checkpointer", "supervisor",
           "all", "workers", "roles", "stop")


class Killer:
    """Ends processes of a kvd, and starts it again where that is needed."""

    def __init__(self, kv, rng):
        self.kv = kv
        self.rng = rng
        self.did = []

    def strike(self):
        target = self.rng.choice(TARGETS)
        self.did.append(target)
        getattr(self, "_" + target.replace("-", "_"), self._child)(target)

    def _child(self, role):
        found = self.kv.children(role)
        if found:
            victim = self.rng.choice(found)
            if self.rng.random() < 0.3:
                victim.kill(signal.SIGSTOP)
                time.sleep(self.rng.random() * 0.02)
            victim.kill()

    def _workers(self, _):
        for p in self.kv.children("kv-worker"):
            p.kill()

    def _roles(self, _):
        for role in ("kv-walwriter", "kv-checkpointer"):
            for p in self.kv.children(role):
                p.kill()

    def _supervisor(self, _):
        self.kv.kill9()
        self.kv.start()

    def _all(self, _):
        self.kv.kill9_all()
        self.kv.start()

    def _stop(self, _):
        self.kv.stop()
        self.kv.start()


class Kill(CrashCase):
    def setUp(self):
        super().setUp()
        self.number = 1
        self.base = None
        self.acked = 0

    def followers(self, kv):
        found = [Follower(p, "s0") for p in kv.ports for _ in range(2)]
        for f in found:
            self.addCleanup(f.end)
            f.start()
        for f in found:
            self.assertTrue(f.ready.wait(10 * kvtest.SLOW))
        return found

    def assert_one_order(self, kv, followers, state):
        mark = f"mark{self.number}"
        for f in followers:
            f.end_mark = f"end SET TO {mark}".encode()
        with kv.line(limit=30) as c:
            c.put("s0", "end", mark)
        for f in followers:
            self.assertTrue(f.saw_end.wait(15 * kvtest.SLOW),
                            f"port {f.port}: the last change did not come")
            f.end()
        wrong, changes = check_order(followers)
        self.assertIsNone(wrong, wrong)
        if any(len(f.pieces) == 1 for f in followers):
            values, _ = crash.read_state(state)
            for key, number in last_values(changes).items():
                if key != b"end":
                    self.assertEqual(int(number), values[int(key[1:])],
                                     f"{key}: told last, and found")
        return len(changes)

    def round(self, kv, rng):
        trace = Trace(self.scratch.name("trace"))
        followers = self.followers(kv)
        load = self.start_load(trace, kv.ports, rng.randrange(1 << 32),
                               self.number)
        killer = Killer(kv, rng)
        for _ in range(rng.randint(1, 4)):
            time.sleep(rng.random() * rng.choice((0.02, 0.2, 0.6)))
            killer.strike()
        time.sleep(rng.random() * 0.2)
        kv.wait_ready()
        told = load.end()
        self.number = told["next"]
        self.acked += told["acked"]
        try:
            self.assert_load_was_served(told)
            state = self.read_through(kv, rng.choice(kv.ports))
            self.assert_nothing_lost(trace, state, self.base)
            self.assert_one_order(kv, followers, state)
            self.assert_verifies(kv.store)
        except AssertionError as e:
            raise AssertionError(f"{killer.did} {told}: {e}") from None
        trace.remove()
        os.unlink(self.base)
        self.base = state

    def rounds(self, mode, segment, count, seed):
        rng = random.Random(seed)
        print(f"seed={seed} durability={mode} segment_size={segment} "
              f"rounds={count}", flush=True)
        kv = self.serve(args=["--durability", mode, "--segment-size",
                              segment])
        with kv.line() as c:
            c.create("s0")  # the followers'
        self.base = self.read_through(kv, kv.ports[0])
        for n in range(count):
            try:
                self.round(kv, rng)
            except AssertionError as e:
                raise AssertionError(
                    f"seed {seed} round {n + 1} of {count}: {e}") from None
        kv.stop()
        self.assert_verifies(kv.store)
        self.note(f"{count} rounds, {self.acked} acknowledged")


def add_tests():
    """A test for each mode and segment size; the rounds are shared out."""
    kinds = [(m, s) for m in MODES for s in ("1m", "64m")]
    for n, (mode, segment) in enumerate(kinds):
        count = (ROUNDS + len(kinds) - 1 - n) // len(kinds)

        def test(self, args=(mode, segment, count, SEED + n)):
            self.rounds(*args)
        test.kv_limit = 60 + 20 * count
        name = f"test_nothing_acknowledged_is_lost_{mode}_segments_of_{segment}"
        if count > 0:
            setattr(Kill, name, test)


add_tests()

if __name__ == "__main__":
    print(f"KV_SEED={SEED}")
    kvtest.main()
