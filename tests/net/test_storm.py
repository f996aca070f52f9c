#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Everything that goes wrong between hosts, one after the other and at once, in
an order drawn from a seed, while clients write on all of them.  When all is
mended the hosts hold the same, nothing acknowledged is missing, and what is on
their disks is sound.

KV_SEED          draws the faults
KV_NET_SECONDS   how long the storm lasts (default 6)
KV_FAULTS        only these, by name, e.g. "cut,restore"
"""

import os
import random
import signal
import subprocess
import time

import hosts
import writers
from hosts import Network, kvclock, kvtest

SEED = int(os.environ.get("KV_SEED", "0")) or random.randrange(1, 1 << 31)
SECONDS = float(os.environ.get("KV_NET_SECONDS", "6"))
ONLY = [x for x in os.environ.get("KV_FAULTS", "").split(",") if x]
WHY_NOT = hosts.why_not()
MIB = 1 << 20
DISK = 256  # MiB of each host
ROLES = ("kv-syncd", "kv-worker", "kv-walwriter", "kv-checkpointer")
# What a log may not have after the storm: a mistake of ours, not of the world.
MISTAKES = ("protocol error", "corrupt", "assert", "signal=SIGSEGV",
            "signal=SIGABRT", "diverged")


class Disk:
    """A small file system for one host's store."""

    def __init__(self, host):
        self.path = host.store.dir
        os.mkdir(self.path, 0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o",
                        f"size={DISK}m,mode=0700", "kvstorm", self.path],
                       check=True)
        self.ballast = os.path.join(self.path, "ballast")

    def fill(self):
        with open(self.ballast, "wb", buffering=0) as f:
            for size in (MIB, 4096):
                try:
                    while True:
                        f.write(bytes(size))
                except OSError:
                    pass

    def empty(self):
        if os.path.exists(self.ballast):
            os.unlink(self.ballast)

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=False)


class Storm:
    """Faults: each is begun by a method and mended by what that returns."""

    def __init__(self, net, load, rng):
        self.net = net
        self.load = load
        self.rng = rng
        self.busy = set()  # hosts that have something already
        self.saved = set()
        self.said = []

    def one(self):
        """A host with nothing wrong; one at least stays as it is."""
        free = [h for h in self.net.hosts if h not in self.busy]
        return self.rng.choice(free) if len(free) > 1 else None

    # -- of the network

    def noise(self):
        rng = self.rng
        self.net.order("delay", rng.randrange(15), rng.randrange(15))
        self.net.order("loss", rng.randrange(6))
        self.net.order("reorder", rng.randrange(6))

        def mend():
            for words in (("loss", 0), ("reorder", 0), ("delay", 0, 0)):
                self.net.order(*words)
        return mend

    def _sides(self):
        numbers = [h.host for h in self.net.hosts]
        self.rng.shuffle(numbers)
        at = self.rng.randrange(1, len(numbers))
        return numbers[:at], numbers[at:]

    def cut(self):
        self.net.cut(*self._sides())
        return lambda: self.net.order("mend")

    def one_way(self):
        self.net.cut(*self._sides(), one_way=True)
        return lambda: self.net.order("mend")

    def ring(self):
        n = len(self.net.hosts)
        for i in range(1, n + 1):
            for j in range(i + 1, n + 1):
                if (j - i) % n not in (1, n - 1):
                    self.net.cut([i], [j])
        return lambda: self.net.order("mend")

    def line(self):
        """Each sees its neighbours only."""
        numbers, more = self._sides()
        numbers += more
        for i, a in enumerate(numbers):
            for b in numbers[i + 2:]:
                self.net.cut([a], [b])
        return lambda: self.net.order("mend")

    # -- of processes

    def kill_role(self):
        found = [p for h in self.net.hosts if h not in self.busy
                 for p in h.children() if p.name in ROLES]
        if found:
            p = self.rng.choice(found)
            self.said[-1] += f" {p}"
            p.kill()

    def _down(self, how):
        h = self.one()
        if h is None:
            return None
        self.busy.add(h)
        getattr(h, how)()

        def mend():
            h.start()
            self.busy.discard(h)
        return mend

    def crash(self):
        return self._down("crash")

    def power(self):
        return self._down("lose_power")

    def stop(self):
        return self._down("end")

    def kill_kvd(self):
        return self._down("crash_kvd")

    def _freeze(self, h, found):
        self.busy.add(h)
        for p in found:
            p.kill(signal.SIGSTOP)

        def mend():
            for p in found:
                p.kill(signal.SIGCONT)
            self.busy.discard(h)
        return mend

    def freeze_syncd(self):
        h = self.one()
        return h and self._freeze(h, h.children("kv-syncd"))

    def freeze(self):
        h = self.one()
        return h and self._freeze(h, h.children())

    # -- of what lies below

    def full(self):
        h = self.one()
        if h is None:
            return None
        self.busy.add(h)
        h.disk.fill()

        def mend():
            h.disk.empty()
            self.busy.discard(h)
        return mend

    def backup(self):
        """A copy of the store of a host that was stopped."""
        h = self.one()
        if h is None:
            return None
        h.end()
        h.backup("backup")
        self.load[h.host - 1].mark()
        self.saved.add(h)
        h.start()

    def restore(self):
        free = [h for h in self.net.hosts
                if h in self.saved and h not in self.busy]
        if not free or self.one() is None:
            return None
        h = self.rng.choice(free)
        h.end()
        h.restore("backup")
        self.load[h.host - 1].go_back()
        h.start()

    def wipe(self):
        h = self.one()
        if h is None:
            return None
        h.end()
        h.wipe()
        self.load[h.host - 1].lose_all()
        self.saved.discard(h)
        h.start()

    def clock(self):
        """Slow ones: a fast clock needs repair-clock (test_hosts.py), and
        after a restore its lost writes come back above newer ones."""
        h = self.one()
        if h is None or not kvclock.LIBRARY:
            return None
        self.busy.add(h)
        h.end()
        h.offset = self.rng.choice(("-1h", "-3m", "@1970-01-02 00:00:00"))
        h.start()

        def mend():
            h.end()
            h.offset = None
            h.start()
            self.busy.discard(h)
        return mend

    def jump(self):
        """The same while it runs; the second jump is the one forward."""
        h = self.one()
        if h is None or h.jumps is None:
            return None
        self.busy.add(h)
        h.jump(self.rng.choice(("-3600", "-40", "-7200")))

        def mend():
            h.jump("+0")
            self.busy.discard(h)
        return mend

    FAULTS = ("noise", "cut", "one_way", "ring", "line", "kill_role",
              "kill_role", "crash", "power", "stop", "kill_kvd",
              "freeze_syncd", "freeze", "full", "backup", "restore", "wipe", "clock",
              "jump")

    def rage(self, seconds):
        end = time.monotonic() + seconds
        mends = []
        while time.monotonic() < end:
            name = self.rng.choice(ONLY or self.FAULTS)
            self.said.append(name)
            mend = getattr(self, name)()
            if mend:
                mends.append(mend)
            time.sleep(self.rng.random() * 0.6)
            while mends and (len(mends) > 3 or self.rng.random() < 0.4):
                mends.pop(self.rng.randrange(len(mends)))()
        for mend in mends:
            mend()


class Storms(kvtest.Case):
    def setUp(self):
        if WHY_NOT:
            self.skipTest(f"no network namespaces: {WHY_NOT}")

    def network(self, n, *args):
        net = Network(n, seed=SEED, args=("--sync-timeout", "2s", *args),
                      env={"KV_SEGMENT_SIZE": str(4 * MIB),
                           "KV_VALUE_MAX": str(MIB)})
        self.addCleanup(net.close)
        for h in net.hosts:
            h.disk = Disk(h)
            self.addCleanup(h.disk.close)
        self.addCleanup(lambda: [h.close_processes() for h in net.hosts])
        if kvclock.LIBRARY:
            net.hosts[-1].jump("+0")
        net.start()
        return net

    def storm(self, n, seconds, *args):
        net = self.network(n, *args)
        load = writers.begin(net, SEED)
        churn = writers.churn(net, SEED)
        for w in load + churn:
            self.addCleanup(w.end)
        storm = Storm(net, load, random.Random(SEED))
        try:
            storm.rage(seconds)
            for w in load + churn:
                w.end()
            net.heal()
            began = time.monotonic()
            net.wait_in_step(90)
            took = time.monotonic() - began
            self.sound(net, load)
        except BaseException:
            print(f"KV_SEED={SEED}: {', '.join(storm.said)}", flush=True)
            raise
        self.note(f"{len(storm.said)} faults, "
                  f"{sum(w.count for w in load + churn)} writes, "
                  f"{sum(w.errors for w in load + churn)} refused, in step "
                  f"{took:.1f} s after the end, {net.order('count')}")

    def sound(self, net, load):
        wrong = writers.wrong(load, net.hosts[0].contents())
        self.assertIsNone(wrong, wrong)
        net.wait_agreed()
        for h in net.hosts:
            self.assertIsNone(h.verify(), h.node)
            for word in MISTAKES:
                said = [x for x in h.all_logs().splitlines() if word in x]
                self.assertEqual(said, [], h.node)

    @kvtest.limit(240 + 2 * SECONDS)
    def test_three_hosts_agree_after_a_storm(self):
        self.storm(3, SECONDS)

    @kvtest.limit(240 + 2 * SECONDS)
    def test_three_hosts_that_forget_deletions_agree_after_a_storm(self):
        """Whoever was away for a second reads ranges again."""
        self.storm(3, SECONDS, "--retention", "1s")

    @kvtest.limit(240 + 2 * SECONDS)
    def test_five_hosts_agree_after_a_storm(self):
        self.storm(5, SECONDS)


if __name__ == "__main__":
    print(f"KV_SEED={SEED}")
    kvtest.main()
