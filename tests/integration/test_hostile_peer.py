#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Peers that do what no peer may do, before and in their HELLO: the reason
is in the log, the link ends, kv-syncd lives on, nobody else is slowed."""

import os
import socket
import time

import kvpeer
import kvtest
from kvhostile import SYNCD, Hostile
from kvpeer import UID, Peer, data, hello, mark, ping, u8, vv
from kvtest import limit, wait_for


class Strangers(Hostile):
    """Without the cookie."""

    def dial(self, source):
        s = socket.create_connection(("127.0.0.1", self.foo.sync_port()),
                                     timeout=10, source_address=(source, 0))
        self.addCleanup(s.close)
        return s

    def ended(self, s, limit=10):
        s.settimeout(limit * kvtest.SLOW)
        try:
            return s.recv(1) == b""
        except ConnectionResetError:
            return True

    def test_random_bytes_before_the_handshake_close_the_connection(self):
        for i in range(40):
            s = self.dial(f"127.0.1.{i + 1}")
            s.sendall(kvpeer.junk(i, 1 + i * 7))
            if i * 7 + 1 < 64:
                s.shutdown(socket.SHUT_WR)
            self.assertTrue(self.ended(s), i)
        self.foo.wait_log("peer refused", "not a kv node")
        self.unharmed("random bytes")

    def test_every_header_that_is_not_ours_is_named(self):
        header = b"KVS1" + bytes((1, 1, 1, 1))
        cases = ((b"KVS2" + header[4:], "not a kv node"),
                 (b"KVS1" + bytes((2, 1, 1, 1)), "cipher suite"),
                 (b"KVS1" + bytes((1, 99, 1, 1)), "generation 99"),
                 (b"KVS1" + bytes((1, 1, 7, 9)), "version"))
        for i, (head, words) in enumerate(cases):
            s = self.dial(f"127.0.2.{i + 1}")
            s.sendall(head + kvpeer.junk(i, 56))
            self.assertTrue(self.ended(s), words)
            self.foo.wait_log("peer refused", words)
        # A point that is none: the curve says so.
        s = self.dial("127.0.2.9")
        s.sendall(header + kvpeer.junk(1, 24) + b"\xff" * 32)
        self.assertTrue(self.ended(s))
        self.foo.wait_log("peer refused", "invalid curve point")
        self.unharmed("headers")

    def test_a_byte_a_second_is_too_slow(self):
        s = self.dial("127.0.3.1")
        began = time.monotonic()
        s.settimeout(1)
        for c in b"KVS1" * 16:
            try:
                s.send(bytes((c,)))
                if s.recv(1) == b"":
                    break
            except socket.timeout:
                continue
            except OSError:
                break
        else:
            self.fail("64 bytes in a minute were waited for")
        self.assertLess(time.monotonic() - began, 4 * kvtest.SLOW)
        self.foo.wait_log("peer refused", "too slow")
        self.unharmed("a slow one")

    def test_200_half_open_connections_do_not_keep_a_peer_out(self):
        held = [self.dial(f"127.0.4.{i // 4 + 1}") for i in range(200)]
        self.foo.wait_log("peer refused", "too many handshakes")
        fds = os.listdir(f"/proc/{self.syncd.pid}/fd")
        self.assertLess(len(fds), 64 + 40)
        # bar comes back in the middle of it: it is known.
        self.bar.child(SYNCD).kill_and_wait()
        self.bar.in_step(10)
        self.unharmed("half open")
        for s in held:
            self.assertTrue(self.ended(s))
        wait_for(lambda: len(os.listdir(f"/proc/{self.syncd.pid}/fd")) < 40,
                 5, "the descriptors to be closed")

    @limit(120)
    def test_a_flood_of_first_messages_does_not_keep_a_peer_out(self):
        """Each is a whole M1 with a point that is one."""
        good = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8"
                             "db6a65945e08d2d76")
        m1 = b"KVS1" + bytes((1, 1, 1, 1)) + bytes(24) + good
        sent = 0
        cpu = self.syncd.cpu_seconds()
        began = time.monotonic()
        self.bar.child(SYNCD).kill()
        while time.monotonic() - began < 4:
            socks = []
            for i in range(30):
                sent += 1
                s = self.dial(f"127.{sent // 4 % 200 + 5}.0.{sent % 4 + 1}")
                s.sendall(m1)
                socks.append(s)
            for s in socks:
                s.close()
        cpu = self.syncd.cpu_seconds() - cpu
        self.bar.in_step(15)
        self.unharmed("M1 flood")
        self.note(f"{sent} in 4 s cost {cpu:.2f} s of kv-syncd")
        self.assertLess(cpu, 2 * kvtest.SLOW)

    def test_a_wrong_cookie_and_a_wrong_cluster_are_told(self):
        other = self.cluster.file("other", "1 " + "z" * 43 + "\n")
        p = Peer(self.foo, other, source="127.0.5.1", greet=False)
        self.addCleanup(p.close)
        self.assertEqual(p.state, "failed")
        self.foo.wait_log("peer refused", "127.0.5.1", "cookie rejected")
        p = self.peer(cluster="another", source="127.0.5.2", greet=False)
        self.assertEqual(p.state, "failed")
        self.foo.wait_log("peer refused", "127.0.5.2", "cookie rejected")
        self.unharmed("wrong cookies")


class Greetings(Hostile):
    """With the cookie, but a HELLO that cannot be."""

    def test_a_first_frame_that_is_no_HELLO(self):
        for name, frame in (("PING", ping()), ("an extension", u8(0x90)),
                            ("SUB", vv(0, (), kind=kvpeer.SUB)),
                            ("data", data(mark(1)))):
            self.refused(name, [frame], "HELLO was to come", greet=False)
        for name, frame in (("unknown", u8(0x7e)), ("nothing", u8(0)),
                            ("short", hello()[:-1]),
                            ("long", hello() + b"x")):
            self.refused(name, [frame], "not a frame", greet=False)

    def test_names_and_ids_that_cannot_be(self):
        self.refused("no name", [hello(name=b"")], "not a frame",
                     greet=False)
        self.refused("a long name", [hello(name=b"n" * 64)], "not a frame",
                     greet=False)
        self.refused("a name with an escape", [hello(name=b"a\x1b[2J")],
                     "not a frame", greet=False)
        self.refused("no ids", [hello(uid=0)], "HELLO without ids",
                     greet=False)
        self.refused("65 rows of lineage",
                     [hello(lineage=[(i + 1, 1) for i in range(65)])],
                     "not a frame", greet=False)

    def test_the_same_mistake_again_and_again_is_told_once(self):
        before = self.foo.count_log("protocol error")
        for i in range(6):
            p = self.peer(greet=False)
            p.send(u8(0x7e))
            p.wait_closed()
            p.close()
        p = self.peer(greet=False)
        p.send(ping())
        p.wait_closed()
        self.foo.wait_log("protocol error", "127.0.0.9", "HELLO was to come")
        self.assertEqual(self.foo.count_log("protocol error"), before + 2)

    def test_a_second_HELLO(self):
        self.refused("twice", [hello()], "a second HELLO")

    def test_somebody_else(self):
        own = self.peer()
        theirs = own.of(kvpeer.HELLO)[0]
        uid, inc = (int.from_bytes(theirs[i:i + 8], "big") for i in (9, 17))
        own.close()
        foo = self.foo.node.encode()
        for name, frame, code in (
                ("itself", hello(uid=uid, inc=inc, name=foo), 2),
                ("its name", hello(name=foo), 4),
                ("its store", hello(uid=uid), 4),
                ("bar's name", hello(name=self.bar.node.encode(), uid=5,
                                     inc=6), 4),
                ("for another node", hello(dialled=b"nobody@host"), 3)):
            p = self.peer(greet=False)
            p.send(frame)
            p.wait_closed()
            self.assertEqual(p.bye()[0], code, (name, p.bye()))
            p.close()
            self.unharmed(name)
        self.foo.wait_log("node refused", "duplicate")

    def test_clocks_that_are_off_are_told(self):
        hour = 3600 * 1000
        for i, wall in enumerate((kvpeer.now_ms() - hour,
                                  kvpeer.now_ms() + hour, 0, 2 ** 64 - 1)):
            p = self.peer(greet=False)
            p.send(hello(wall=wall, name=b"c%d@host" % i, uid=UID + i))
            self.foo.wait_log("clock off", f"c{i}@host", limit=5)
            p.close()
            self.unharmed(f"clock {wall}")

    def test_who_says_nothing_after_the_handshake_is_let_go(self):
        p = self.peer(greet=False)
        p.wait_closed(limit=15)
        self.foo.wait_log("protocol error", "127.0.0.9", "no HELLO")
        self.unharmed("silence")

    @limit(120)
    def test_a_hundred_links_of_one_peer_leave_no_descriptors(self):
        before = len(os.listdir(f"/proc/{self.syncd.pid}/fd"))
        for i in range(100):
            p = self.peer(greet=False)
            p.send(hello() if i % 2 else u8(0x7e))
            p.wait_frame(kvpeer.HELLO)
            p.close()
        wait_for(lambda: len(os.listdir(f"/proc/{self.syncd.pid}/fd"))
                 <= before, 5, "the descriptors to be closed")
        self.unharmed("many links")


if __name__ == "__main__":
    kvtest.main()
