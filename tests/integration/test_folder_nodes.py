#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What kv tells of other nodes, and of what was lost to them, on a store's
folder: with its daemon, and without."""

import json
import os

import kvtest
from kvnodes import HOST, Cluster
from kvtest import wait_for

BAR = f"bar@{HOST}"
SAME = ("name", "state", "was", "address", "uid", "incarnation", "reason")


class OnFolder(kvtest.Case):
    def two(self, **env):
        c = Cluster(**env)
        self.addCleanup(c.__exit__)
        return c.start("foo", "bar")

    def rows(self, node, *way, code=0):
        out = node.tool(*way, "--json", "nodes", code=code).stdout
        return [json.loads(x) for x in out.splitlines()]

    def on_folder(self, node):
        return self.rows(node, "-d", node.store.dir)


class NodesOnFolder(OnFolder):
    def test_it_agrees_with_the_port_while_kv_syncd_runs(self):
        foo, bar = self.two()

        def both():
            return [[{k: r[k] for k in SAME} for r in rows] for rows in
                    (self.rows(foo), self.on_folder(foo))]

        def agree(state):
            port, folder = both()  # a link may be made anew meanwhile
            return port == folder and port[1]["state"] == state and port
        port = wait_for(lambda: agree("up"), 10, "both to say the same")
        ids = {r["uid"] for r in port} | {r["incarnation"] for r in port}
        self.assertEqual({len(x) for x in ids}, {16})
        self.assertEqual(len(ids), 4)
        self.assertEqual(self.rows(bar)[0]["uid"], port[1]["uid"])
        self.assertEqual(self.rows(bar)[0]["incarnation"],
                         port[1]["incarnation"])
        foo.tool("-d", foo.store.dir, "nodes", "--wait", code=0)
        bar.stop()
        foo.wait_state(BAR, "down", "not running")
        wait_for(lambda: agree("down"), 10, "both to say the same")
        self.assertGreater(self.rows(foo)[1]["seen_ms"], 0)

    def test_without_one_it_tells_what_was_known_last(self):
        foo, bar = self.two()
        told = self.rows(foo)
        foo.stop()
        bar.stop()
        own, other = self.on_folder(foo)
        self.assertEqual((own["state"], own["reason"], own["uid"],
                          own["incarnation"], own["name"]),
                         ("self", "no kv-syncd runs", told[0]["uid"],
                          told[0]["incarnation"], told[0]["name"]))
        self.assertEqual((other["name"], other["state"], other["was"],
                          other["uid"]),
                         (BAR, "unknown", "up", told[1]["uid"]))
        self.assertIn("127.0.0.1:", other["address"])
        self.assertGreaterEqual(other["seen_ms"], told[1]["seen_ms"])
        text = foo.tool("-d", foo.store.dir, "nodes", code=0).stdout
        self.assertIn("unknown (was up)", text)
        self.assertIn("last seen 20", text)
        foo.tool("-t", "1ms", "-d", foo.store.dir, "nodes", "--wait", code=1)
        # Another life, that looks for nobody, and one that looks elsewhere.
        foo.set_env(NODES=None)
        foo.start()
        self.assertEqual([r["name"] for r in self.rows(foo)],
                         [told[0]["name"]])
        self.assertEqual([r["name"] for r in self.on_folder(foo)],
                         [told[0]["name"], BAR])
        foo.stop()
        foo.set_env(NODES=f"typo@{HOST}")
        foo.start()
        foo.wait_state(f"typo@{HOST}", "down")
        foo.stop()
        self.assertEqual([r["name"] for r in self.on_folder(foo)],
                         [told[0]["name"], f"typo@{HOST}", BAR])

    def test_a_store_that_never_had_any_has_itself(self):
        foo = self.two()[0]
        foo.stop()
        os.unlink(os.path.join(foo.store.dir, "nodes"))
        (own,) = self.on_folder(foo)
        self.assertEqual((own["state"], own["name"], len(own["uid"])),
                         ("self", None, 16))


if __name__ == "__main__":
    kvtest.main()
