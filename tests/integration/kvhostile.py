# SPDX-License-Identifier: ISC
"""A node that is attacked, its good peer, and what must hold after each
attack."""

import time

import kvpeer
import kvtest
from kvnodes import Cluster
from kvpeer import Peer, ping
from kvtest import wait_for

SYNCD = "kv-syncd"
MIB = 1 << 20
# Value buffers, a batch, vectors of one peer: what kv-sync.7 allows it.
MEMORY_MAX = 64 * MIB


def time_to_fill(process):
    """Until kv-syncd has read all it wants and idles."""
    def idle():
        before = process.cpu_seconds()
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            pass
        return process.cpu_seconds() - before < 0.05
    wait_for(idle, 20, "kv-syncd to be idle")


class Hostile(kvtest.Case):
    """foo is attacked; bar is its good peer."""

    env = {}

    def setUp(self):
        self.cluster = Cluster(**self.env)
        self.addCleanup(self.cluster.__exit__)
        self.foo, self.bar = self.cluster.start("foo", "bar")
        self.syncd = self.foo.child(SYNCD)
        self.foo.put("good", "k", "0")
        self.bar.wait_value("good", "k", b"0")
        self.round = 0

    def peer(self, **kw):
        p = Peer(self.foo, self.cluster.cookie, **kw)
        self.addCleanup(p.close)
        return p

    def local_clients(self, text):
        """How long it takes to write and to read."""
        began = time.monotonic()
        self.foo.put("good", "k", text)
        self.assertEqual(self.foo.get("good", "k"), text)
        return time.monotonic() - began

    def unharmed(self, what=""):
        """kv-syncd is the one that it was, small, and bar is in step."""
        self.round += 1
        text = b"%d" % self.round
        took = min(self.local_clients(text) for _ in range(3))
        self.assertLess(took, 0.5 * kvtest.SLOW, f"local clients, {what}")
        self.bar.wait_value("good", "k", text)
        self.bar.put("good", "b", text)
        self.foo.wait_value("good", "b", text)
        self.assertTrue(self.syncd.is_alive(), f"kv-syncd died: {what}")
        held = self.syncd.private_bytes()
        self.assertLess(held, MEMORY_MAX, f"memory after {what}")

    def verified(self):
        self.foo.stop()
        p = self.foo.tool("-d", self.foo.store.dir, "verify", limit=60)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)

    def refused(self, name, frames, words, greet=True, answer=None):
        """These frames end the link; the log says why, and so does kv-syncd
        to who sent them."""
        told = self.foo.count_log("protocol error", words)
        p = self.peer(greet=greet, source=f"127.0.6.{self.round + 1}")
        self.assertEqual(p.state, "linked", name)
        p.send(*frames)
        try:
            p.wait_closed()
        except TimeoutError:
            self.fail(f"{name}: the link goes on")
        wait_for(lambda: self.foo.count_log("protocol error", words) > told,
                 5, f"{name}: {words!r} in the log")
        p.close()
        self.unharmed(name)

    def taken(self, name, frames, wait=()):
        """These do nothing bad; the link stays."""
        p = self.peer()
        p.send(*frames)
        p.send(ping(777))
        self.assertEqual(self.pong(p, 777), 777, name)
        for kind in wait:
            p.wait_frame(kind)
        p.close()
        self.unharmed(name)

    def pong(self, p, token):
        def look():
            return [f for f in p.of(kvpeer.PONG)
                    if int.from_bytes(f[1:9], "big") == token] or \
                p.state != "linked"
        wait_for(look, 20, "a PONG")
        self.assertEqual(p.state, "linked", p.bye())
        return token
