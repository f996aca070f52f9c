#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Answers of other hosts that nobody reads: what they cost the workers and
kv-syncd at both ends is bounded, whoever reads gets all of his."""

import contextlib

import kvtest
from kvnodes import HOST, Cluster
from kvtest import limit, resp_encode, wait_for

MIB = 1 << 20
CALLS = 60  # of 64 that may be in flight
VALUE = 15 * MIB
OUTPUT_LIMIT = 64 * MIB  # as it is by default


class CallsMemory(kvtest.Case):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.__exit__)
        self.foo, self.bar = self.cluster.start("foo", "bar")
        with self.bar.resp() as c:
            c.must("HSET", "near", "k", "near")
        with self.bar.line() as c:
            c.line("CREATE", "local/big", "LOCAL")
        self.bar.put("local/big", "k", b"v" * VALUE)
        self.processes = {
            f"{node.short} {name}": node.child(name)
            for node in (self.foo, self.bar)
            for name in ("kv-worker", "kv-syncd")}
        self.before = self.held()

    def held(self):
        return {what: p.anonymous_bytes()
                for what, p in self.processes.items()}

    def more(self):
        return {what: n - self.before[what]
                for what, n in self.held().items()}

    def ask(self, stack, ms):
        """Clients of foo that ask bar and read nothing."""
        for _ in range(CALLS):
            c = stack.enter_context(self.foo.resp())
            c.send(resp_encode("KV.CALL", f"bar@{HOST}", "TIMEOUT", str(ms),
                               "HGET", "local/big", "k"))

    def settled(self):
        """All is as full as it gets: what they hold stands still."""
        last = [None, 0]

        def look():
            now = tuple(n // MIB for n in self.held().values())
            last[1] = last[1] + 1 if now == last[0] else 0
            last[0] = now
            return last[1] >= 20
        wait_for(look, 20, "memory that stands still")

    @limit(120)
    def test_answers_that_nobody_reads_are_bounded_in_all(self):
        with contextlib.ExitStack() as stack:
            self.ask(stack, 60000)
            self.settled()
            more = self.more()
            self.note(", ".join(f"{k} {v / MIB:.0f} MiB"
                                for k, v in more.items()))
            # Half of output_limit and one answer; a little for each.
            for node in ("foo", "bar"):
                self.assertLess(more[f"{node} kv-worker"],
                                OUTPUT_LIMIT // 2 + VALUE + CALLS * MIB // 4)
                self.assertLess(more[f"{node} kv-syncd"], CALLS * MIB // 2)
            # Who asks for little waits for none of them at home.
            for node in (self.foo, self.bar):
                self.assertEqual(node.get("near", "k"), b"near")
            # Who reads gets his, though he comes last.
            self.reads_his(60)
        # Those who are gone hold nothing, and nobody.
        self.reads_his(30)

    def reads_his(self, seconds):
        with self.foo.resp(limit=seconds) as c:
            self.assertEqual(c.call("KV.CALL", f"bar@{HOST}", "TIMEOUT",
                                    str(1000 * seconds), "HGET", "local/big",
                                    "k"), b"v" * VALUE)


if __name__ == "__main__":
    kvtest.main()
