#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Real hosts: network namespaces, real kvd, a bad network, kill -9, restored
backups, wrong clocks, while clients write on all of them.  After healing all
hold the same, and nothing acknowledged is missing.

KV_SEED    of the network's faults, the clients and the killing
KV_NET_SECONDS  how long the clients write in each test (default 3)
"""

import json
import os
import random
import subprocess
import time

import hosts
import writers
from hosts import Network, kvclock, kvtest, wait_for

SEED = int(os.environ.get("KV_SEED", "0")) or random.randrange(1, 1 << 31)
SECONDS = float(os.environ.get("KV_NET_SECONDS", "3"))
WHY_NOT = hosts.why_not()


class HostsCase(kvtest.Case):
    def setUp(self):
        if WHY_NOT:
            self.skipTest(f"no network namespaces: {WHY_NOT}")

    def network(self, n, **options):
        net = Network(n, seed=SEED, **options)
        self.addCleanup(net.close)
        net.start()
        return net

    def load(self, net, pause=0.001):
        found = writers.begin(net, SEED, pause)
        for w in found:
            self.addCleanup(w.end)
        return found

    def settle(self, net, load, limit=60):
        for w in load:
            w.end()
        net.heal()
        began = time.monotonic()
        net.wait_in_step(limit)
        took = time.monotonic() - began
        wrong = writers.wrong(load, net.hosts[0].contents())
        self.assertIsNone(wrong, f"KV_SEED={SEED}: {wrong}")
        self.note(f"{sum(w.count for w in load)} writes, in step "
                  f"{took:.1f} s after healing, {net.order('count')}")
        for h in net.hosts:
            self.assertIsNone(h.verify())


class Loss(HostsCase):
    @kvtest.limit(120)
    def test_five_hosts_agree_over_a_network_that_loses_and_reorders(self):
        net = self.network(5)
        net.order("delay", 4, 4)
        net.order("loss", 2)
        net.order("reorder", 2)
        load = self.load(net)
        time.sleep(SECONDS)
        self.settle(net, load)


class Splits(HostsCase):
    def split(self, net, *sides, one_way=False):
        load = self.load(net)
        time.sleep(SECONDS / 3)
        net.cut(*sides, one_way=one_way)
        time.sleep(SECONDS)
        self.settle(net, load)

    @kvtest.limit(120)
    def test_both_halves_of_a_split_merge_key_by_key(self):
        self.split(self.network(3), [1], [2, 3])

    @kvtest.limit(120)
    def test_a_link_that_carries_one_way_only_loses_nothing(self):
        self.split(self.network(3), [1], [2], one_way=True)

    @kvtest.limit(120)
    def test_changes_flow_through_the_third_host(self):
        """One cut link among three: all stay in step meanwhile."""
        net = self.network(3)
        load = self.load(net)
        time.sleep(SECONDS / 3)
        net.cut([1], [2])
        time.sleep(SECONDS)
        for w in load:
            w.end()
        net.wait_in_step(60)  # the link is still cut
        self.settle(net, load)

    @kvtest.limit(150)
    def test_five_hosts_in_a_ring_agree(self):
        net = self.network(5)
        load = self.load(net)
        for i in range(1, 6):
            for j in range(i + 1, 6):
                if (j - i) % 5 not in (1, 4):
                    net.cut([i], [j])
        time.sleep(SECONDS)
        for w in load:
            w.end()
        net.wait_in_step(90)
        self.settle(net, load)


class Deaths(HostsCase):
    @kvtest.limit(180)
    def test_hosts_that_are_killed_come_back_and_agree(self):
        net = self.network(3)
        rng = random.Random(SEED)
        load = self.load(net)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(rng.random() * 0.5)
            victim = rng.choice(net.hosts)
            rng.choice((victim.crash, victim.lose_power, victim.end))()
            time.sleep(rng.random() * 0.3)
            victim.start()
        self.settle(net, load)

    @kvtest.limit(180)
    def test_any_process_that_is_killed_is_replaced_without_loss(self):
        net = self.network(3)
        rng = random.Random(SEED)
        load = self.load(net)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(rng.random() * 0.3)
            found = rng.choice(net.hosts).children()
            if found:
                rng.choice(found).kill()
        self.settle(net, load)

    @kvtest.limit(180)
    def test_a_host_restored_from_a_backup_gets_its_lost_writes_back(self):
        net = self.network(3)
        load = self.load(net)
        time.sleep(SECONDS / 2)
        one = net.hosts[0]
        load[0].end()
        one.end()
        one.backup("backup")
        one.start()
        with one.line() as c:
            c.put("data", "after", "backup")
        wait_for(lambda: net.hosts[1].contents()["data"].get(b"after"), 30,
                 "the write on another host")
        one.end()
        one.restore("backup")
        one.start()
        wait_for(lambda: one.contents()["data"].get(b"after") == b"backup",
                 30, "the lost write on the restored host")
        self.settle(net, load)


class Clocks(HostsCase):
    def setUp(self):
        super().setUp()
        if kvclock.WHY_NOT:
            self.skipTest(kvclock.WHY_NOT)

    def wrong_clock(self, offset):
        """The third host's clock goes wrong while all are written to; both
        sides name it; then it is set right."""
        net = self.network(3)
        load = self.load(net)
        bad = net.hosts[2]
        time.sleep(SECONDS / 3)
        bad.end()
        bad.offset = offset
        bad.start()
        for h in (net.hosts[0], bad):
            wait_for(lambda: "clock" in h.kv("nodes").stdout, 30,
                     f"{h.node} to name the clock")
        time.sleep(SECONDS / 3)
        bad.end()
        bad.offset = None
        bad.start()
        self.settle(net, load)

    @kvtest.limit(180)
    def test_a_clock_an_hour_slow_is_named_and_nothing_is_lost(self):
        self.wrong_clock("-1h")

    @kvtest.limit(180)
    def test_a_clock_of_1970_is_named_and_nothing_is_lost(self):
        self.wrong_clock("@1970-01-02 00:00:00")

    def repair_clock(self, host, *words, code=0):
        done = subprocess.run(
            [kvtest.program("kv"), "-d", host.store.dir, "repair-clock",
             "--json", *words], capture_output=True, text=True,
            env=kvtest.clean_env(host.store.base), timeout=60)
        self.assertEqual(done.returncode, code, done)
        return json.loads(done.stdout) if code == 0 else done.stderr

    @kvtest.limit(240)
    def test_what_was_written_an_hour_ahead_arrives_after_repair_clock(self):
        """Meanwhile nobody takes it in, and all say what is wrong."""
        net = self.network(3)
        load = self.load(net)
        good, bad = net.hosts[0], net.hosts[2]
        time.sleep(SECONDS / 3)
        bad.end()
        bad.offset = "+1h"
        bad.start()
        with bad.line() as c:
            for i in range(20):
                c.put("data", f"far{i}", str(i))
            c.ok("DELETE", "data", "far7")
        time.sleep(SECONDS)
        for h in net.hosts[:2]:
            wait_for(lambda: "ahead" in h.kv("nodes").stdout, 30,
                     f"{h.node} to say whose clock is ahead")
            self.assertNotIn(b"far3", h.contents()["data"])
        wait_for(lambda: "repair-clock" in bad.kv("nodes").stdout, 30,
                 "the bad host to know that it is the wrong one")
        self.assertIn("it is open", self.repair_clock(bad, code=4))
        bad.end()
        bad.offset = None
        bad.start()  # without a repair
        wait_for(lambda: "repair-clock" in bad.kv("nodes").stdout, 30,
                 "the bad host to say what to do")
        wait_for(lambda: "repair-clock" in good.kv("nodes").stdout, 30,
                 "the others to say what to do")
        self.assertNotIn(b"far3", good.contents()["data"])
        bad.end()
        told = self.repair_clock(bad, "--dry-run")
        self.assertTrue(told["due"])
        self.assertEqual(self.repair_clock(bad)["records"], told["records"])
        self.assertFalse(self.repair_clock(bad)["due"])
        self.assertIsNone(bad.verify())
        bad.start()
        self.settle(net, load)
        for h in net.hosts:
            found = h.contents()["data"]
            self.assertEqual(found.get(b"far19"), b"19")
            self.assertNotIn(b"far7", found)
        self.assertNotIn("repair-clock", bad.kv("nodes").stdout)


if __name__ == "__main__":
    print(f"KV_SEED={SEED}")
    kvtest.main()
