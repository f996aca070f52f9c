#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Death at the named places of the log in a host that takes over what another
one writes, of kv-syncd as of all: it comes back in step.  Needs KV_CRASH_BIN."""

import os
import random
import sys
import time

if "KV_CRASH_BIN" in os.environ:
    os.environ["KV_BIN"] = os.environ["KV_CRASH_BIN"]

from crash import MODES, ROUNDS, SEED, kvtest  # noqa: E402
from kvnodes import HOST, Cluster  # noqa: E402
from test_points import points  # noqa: E402
from test_receiver import BUCKETS, Hosts, Writer  # noqa: E402

DEATHS = 3
LIMIT = 6.0
SYNCD = "kv-syncd"


class ReceiverPoints(Hosts):
    def die_at(self, cluster, point, mode, seed):
        args = ["--durability", mode, "--segment-size", "1m",
                "--value-max", "64k"]
        both = f"foo@{HOST},bar@{HOST}"
        foo, bar = (cluster.add(x, both, args=args) for x in ("foo", "bar"))
        self.in_step(foo, bar)
        bar.stop()
        bar.set_env(KV_CRASH=f"{point}:{random.Random(seed).randint(2, 40)}")
        writer = Writer(foo, seed, BUCKETS)
        writer.start()
        bar.start(wait=False)
        deaths, end = 0, time.monotonic() + LIMIT * kvtest.SLOW
        while deaths < DEATHS and time.monotonic() < end:
            time.sleep(0.02)
            deaths = sum("signal=9" in x and SYNCD in x
                         for x in bar.log_text().splitlines())
        bar.kill9_all()
        bar.set_env(KV_CRASH=None)
        bar.start()
        writer.end()
        self.in_step(foo, bar)
        bar.stop()
        self.assert_verifies(bar.store)
        return deaths

    def check(self, point, mode, seed):
        with Cluster() as cluster:
            deaths = self.die_at(cluster, point, mode, seed)
        self.note(f"{mode}: {deaths} deaths of kv-syncd")
        self.assertGreater(deaths, 0, f"kv-syncd never came by {point}")


def add_tests():
    for n, point in enumerate(points()):
        if not point.startswith("append.") or (n + SEED) % 3 and ROUNDS < 20:
            continue

        def test(self, args=(point, MODES[(SEED + n) % 3], SEED + n)):
            self.check(*args)
        test.kv_limit = 90
        setattr(ReceiverPoints, "test_death_while_taking_over_at_" +
                point.replace(".", "_"), test)


add_tests()

if __name__ == "__main__":
    print(f"KV_SEED={SEED}")
    if not points():
        sys.exit("no crash points in the sources")
    kvtest.main()
