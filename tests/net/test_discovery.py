#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Hosts that were not told of each other: beacons of the local network."""

import hosts
from hosts import Network, ip, kvtest, wait_for

WHY_NOT = hosts.why_not()


class Lan(Network):
    """Nobody is named in nodes; as on most hosts, there is a way to all of
    the world."""

    def names(self):
        return ""

    def start(self):
        for host in self.hosts:
            ip("route", "add", "default", "dev", "eth0", ns=host.space)
        super().start()


class Beacons(kvtest.Case):
    def setUp(self):
        if WHY_NOT:
            self.skipTest(f"no network namespaces: {WHY_NOT}")

    def network(self, n, *args):
        net = Lan(n, args=args)
        self.addCleanup(net.close)
        net.start()
        return net

    def others(self, host):
        with host.resp() as c:
            return {name.decode(): state.decode()
                    for name, state, *_ in c.call("KV.NODES")
                    if state != b"self"}

    def test_hosts_of_a_network_find_each_other(self):
        net = self.network(3, "--beacon", "yes")
        everyone = {h.node for h in net.hosts}
        for h in net.hosts:
            expected = {n: "up" for n in everyone - {h.node}}
            wait_for(lambda: self.others(h) == expected, 30,
                     f"{h.node} to see the others")
        with net.hosts[0].line() as c:
            c.create("found")
            c.put("found", "k", "v")
        net.wait_in_step()

    def test_without_the_option_nobody_is_found(self):
        net = self.network(2, "--sync-bind", "0.0.0.0")
        self.assertEqual([self.others(h) for h in net.hosts], [{}, {}])
        for h in net.hosts:
            with open(f"/proc/{h.child('kv-syncd').pid}/net/udp") as f:
                self.assertEqual(len(f.read().splitlines()), 1)

    def test_another_cluster_is_not_dialled(self):
        net = Lan(2, args=("--beacon", "yes"))
        self.addCleanup(net.close)
        net.hosts[1].args += ["--cluster", "other"]
        net.start()
        heard = [h.child("kv-syncd").pid for h in net.hosts]
        self.assertTrue(all(heard))
        before = net.order("count")["carried"]
        wait_for(lambda: net.order("count")["carried"] > before + 4, 30,
                 "some beacons")
        self.assertEqual([self.others(h) for h in net.hosts], [{}, {}])
        for h in net.hosts:
            self.assertNotIn("peer refused", h.log_text())


if __name__ == "__main__":
    kvtest.main()
