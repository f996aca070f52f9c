#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Peers with the cookie that ask for all there is and take nothing, begin all
that can be begun and end nothing, on many links at once: what kv-syncd and the
worker hold stays bounded, a client of the host and the good peer go on."""

import kvpeer
import kvtest
from kvhostile import MIB
from kvpeer import (INC, UID, ack, ask_range, barrier, call, data, hello, part,
                    tick, u8, u16, u32, u64, vv)
from kvtest import limit, wait_for
from test_hostile_floods import Client, Floods

LINKS = 4
VALUE = 15 * MIB
# Three values that are sent, the beginnings of two in parts and of two that are
# received; each link asks for six.
SYNCD_MAX = 5 * VALUE + LINKS * 2 * MIB
# Half of output_limit and one answer; 256 of them are asked for.
WORKER_MAX = 32 * MIB + 2 * VALUE + LINKS * 2 * MIB


class Together(Floods):
    def begin_all(self, i):
        p = self.peer(greet=False, source=f"127.0.8.{i + 1}")
        inc = INC + i
        p.send(hello(name=b"all%d@host" % i, uid=UID + i, inc=inc))
        p.wait_frame(kvpeer.SUB)
        p.send(vv(0, (), kind=kvpeer.SUB), vv(0, (), kind=kvpeer.PULL),
               ask_range(i + 1, 2))
        p.send(*[call(n, b"2", b"HGET", b"big", b"0", deadline=60000)
                 for n in range(64)])
        p.send(*[barrier(n, 2 ** 63) for n in range(200)])
        at = tick()
        p.send(*[part(at, VALUE, n * 60000, b"c" if n == 0 else b"",
                      b"v" * 60000, inc) for n in range(40)])
        p.send(data(u32(2 + 24 + 2 + 1 + VALUE) + u8(kvpeer.PUT) + u8(0)
                    + u64(tick(), inc, 5) + u16(1) + b"k" + b"v" * 60000),
               *[data(b"v" * 60000) for _ in range(15)])
        if i % 2 == 0:
            p.send(*[ack(s, 0, 2 ** 24) for s in (1, 2, 3)])
            p.tell("deaf")
        return p

    @limit(120)
    def test_many_links_that_take_nothing_and_end_nothing(self):
        with self.foo.resp() as c:
            for i in range(2):
                c.must("HSET", "big", str(i), b"x" * VALUE)
            c.must("SAVE")  # ranges are read from the tree
        self.bar.wait_value("big", "1", b"x" * VALUE)
        worker = self.foo.child("kv-worker")
        client = Client(self.foo)
        client.start()
        wait_for(lambda: client.count > 3 or client.error, 10, "a client")
        peers = [self.begin_all(i) for i in range(LINKS)]
        wait_for(lambda: worker.anonymous_bytes() > 2 * VALUE, 20,
                 "answers that wait")
        for p in peers[1::2]:  # all that they sent has been read
            self.answers(p)
        held = [p.anonymous_bytes() for p in (self.syncd, worker)]
        self.assertTrue(all(p.state == "linked" for p in peers),
                        [p.bye() for p in peers])
        self.assertLess(held[0], SYNCD_MAX)
        self.assertLess(held[1], WORKER_MAX)
        self.bar.put("good", "there", "1")
        self.foo.wait_value("good", "there", b"1")
        self.foo.put("good", "here", "1")
        self.bar.wait_value("good", "here", b"1")
        client.ending.set()
        client.join(30)
        self.assertIsNone(client.error)
        self.assertLess(client.worst, 1 * kvtest.SLOW)
        self.note(f"{client.worst * 1000:.0f} ms, kv-syncd "
                  f"{held[0] / MIB:.0f} MiB, worker {held[1] / MIB:.0f} MiB")
        for p in peers:
            p.close()
        wait_for(lambda: self.syncd.private_bytes() < 64 * MIB, 20,
                 "kv-syncd to give back what it held")
        self.unharmed("all at once")


if __name__ == "__main__":
    kvtest.main()
