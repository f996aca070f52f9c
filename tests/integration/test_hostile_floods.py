#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Floods, with the cookie and without, while a client of the node that is
attacked goes on: how long it waits and what kv-syncd holds stay bounded, and
the good peer stays in step."""

import contextlib
import json
import os
import signal
import socket
import threading
import time

import kvpeer
import kvtest
from kvhostile import MIB, SYNCD, Hostile, time_to_fill
from kvpeer import (INC, UID, ack, ask_range, barrier, barrier_ok, bucket,
                    call, data, digest, flow, hello, mark, message, part, ping,
                    presence, put, reply, tick, u8, u16, u32, u64, vv)
from kvtest import limit, wait_for

M1_HEAD = b"KVS1" + bytes((1, 1, 1, 1))
POINT = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a6594"
                      "5e08d2d76")


class Client(threading.Thread):
    """Writes and reads one key, one after the other, and remembers the longest
    that it took."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node = node
        self.ending = threading.Event()
        self.worst = 0
        self.count = 0
        self.error = None

    def run(self):
        try:
            with self.node.resp(limit=30) as c:
                while not self.ending.wait(0.002):
                    text = b"%d" % self.count
                    began = time.monotonic()
                    c.must("HSET", "mine", "k", text)
                    if c.call("HGET", "mine", "k") != text:
                        raise AssertionError("another value came back")
                    self.worst = max(self.worst, time.monotonic() - began)
                    self.count += 1
        except BaseException as e:  # told by the test
            self.error = e


class Floods(Hostile):
    @contextlib.contextmanager
    def calm(self, what, seconds=1, memory=64 * MIB):
        """No client of foo waits for longer, whatever is done in here, and
        kv-syncd takes no more memory for it."""
        client = Client(self.foo)
        client.start()
        wait_for(lambda: client.count > 3 or client.error, 10, "a client")
        cpu = self.syncd.cpu_seconds()
        before = self.syncd.private_bytes()
        yield
        held = self.syncd.private_bytes() - before
        cpu = self.syncd.cpu_seconds() - cpu
        client.ending.set()
        client.join(30)
        self.assertIsNone(client.error)
        self.assertLess(client.worst, seconds * kvtest.SLOW, what)
        self.assertLess(held, memory, what)
        self.note(f"{what}: {client.worst * 1000:.0f} ms, "
                  f"{held / MIB:.0f} MiB more, {cpu:.1f} s of CPU")
        self.unharmed(what)

    def answers(self, p, token=4242, limit=30):
        p.send(ping(token))
        self.pong(p, token)


class Strangers(Floods):
    def dial(self, n):
        """From another address each."""
        s = socket.create_connection(
            ("127.0.0.1", self.foo.sync_port()), timeout=10,
            source_address=(f"127.{n >> 14 & 127 | 128}.{n >> 7 & 127}."
                            f"{n & 127 | 1}", 0))
        self.addCleanup(s.close)
        return s

    @limit(120)
    def test_a_flood_of_everything_before_authentication(self):
        """Half open, random, half a message, a whole one with and without a
        point, a late second one; in it bar comes back, and a third node is a
        peer."""
        guest = self.peer(source="127.0.9.9")
        with self.calm("strangers"):
            held = []
            self.bar.child(SYNCD).kill()
            for n in range(1500):
                s = self.dial(n)
                with contextlib.suppress(OSError):
                    s.sendall((b"", kvpeer.junk(n, 1 + n % 200),
                               M1_HEAD + kvpeer.junk(n, n % 56),
                               M1_HEAD + bytes(24) + POINT,
                               M1_HEAD + kvpeer.junk(n, 56),
                               M1_HEAD + bytes(24) + POINT + kvpeer.junk(n, 56)
                               )[n % 6])
                held.append(s)
                if len(held) > 150:
                    held.pop(0).close()
                if n % 100 == 0:
                    guest.send(ping())  # or it would be silent
            self.bar.in_step(20)
            self.answers(guest)
        guest.close()

    def test_who_hung_up_before_we_came_to_it_is_not_accused(self):
        """As who dialled a node that hung, and waited no longer: it has seen
        no proof, so nothing is known of its cookie."""
        os.kill(self.syncd.pid, signal.SIGSTOP)
        for n in range(3):
            s = self.dial(n)
            s.sendall(M1_HEAD + bytes(24) + POINT)
            s.close()
        os.kill(self.syncd.pid, signal.SIGCONT)
        late = self.dial(9)  # who stays, and then leaves, is
        late.sendall(M1_HEAD + bytes(24) + POINT)
        self.assertEqual(len(late.recv(200)), 96)
        late.close()
        self.foo.wait_log("peer refused", "cookie rejected")
        self.assertEqual(self.foo.count_log("cookie rejected"), 1)
        self.unharmed("gone")

    @limit(120)
    def test_who_answers_a_byte_a_second_is_let_go(self):
        """In the middle of M1, and after M2, where 56 bytes are to come."""
        with self.calm("slow"):
            first, second = self.dial(1), self.dial(2)
            began = time.monotonic()
            second.sendall(M1_HEAD + bytes(24) + POINT)
            gone = {}
            for byte in M1_HEAD * 8:
                for s in (first, second):
                    if s not in gone and self.ended(s, bytes((byte,))):
                        gone[s] = time.monotonic() - began
                if len(gone) == 2:
                    break
            self.assertEqual(len(gone), 2)
            self.assertLess(gone[first], 4 * kvtest.SLOW)
            self.assertLess(gone[second], 7 * kvtest.SLOW)

    def ended(self, s, byte):
        s.settimeout(0.25)
        try:
            s.send(byte)
            while s.recv(200):
                pass
            return True
        except socket.timeout:
            return False
        except OSError:
            return True


class Calls(Floods):
    def test_calls_with_any_deadline_and_without_room_for_answers(self):
        self.foo.put("big", "k", b"x" * (15 * MIB))
        p = self.peer()
        with self.calm("64 calls of 15 MiB that nobody reads"):
            p.tell("deaf")
            p.send(*[call(i, b"2", b"HGET", b"big", b"k",
                          deadline=(0, 1, 2 ** 31, 2 ** 32 - 1)[i % 4])
                     for i in range(64)])
            time_to_fill(self.syncd)
        p.close()
        for args in ((), (b"",), (b"9", b"PING"), (b"2",), (b"L",),
                     (b"L", b"GET big k\r\nDROP big"), (b"2", b""),
                     (b"2", b"\xff\xfe"), (b"2", b"PING") + (b"",) * 1022,
                     (b"3", b"SUBSCRIBE", b"c"), (b"2", b"MONITOR"),
                     (b"2", b"SHUTDOWN"), (b"2", b"KV.CALL", b"bar", b"PING"),
                     (b"2", b"DEBUG", b"SLEEP", b"9"), (b"2", b"CLIENT",
                                                        b"KILL")):
            p = self.peer()
            p.send(call(1, *args), ping(9))
            wait_for(lambda: p.of(kvpeer.PONG) or p.state != "linked", 10,
                     f"an answer to {args[:3]}")
            p.close()
        self.assertEqual(len(self.foo.get("big", "k")), 15 * MIB)
        self.unharmed("calls")

    def test_answers_that_were_taken_before_they_were_sent(self):
        self.foo.put("big", "k", b"x" * (15 * MIB))
        p = self.peer()
        p.send(call(1, b"2", b"HGET", b"big", b"k"))
        p.send(*[flow(1, 65536)] * 200)
        p.wait_closed()
        self.foo.wait_log("protocol error", "not what a service takes")
        p.close()
        self.unharmed("FLOW")

    def test_answers_that_nobody_asked_for(self):
        self.taken("REPLY", [reply(i, b"-ERR\r\n" * 1000, i % 2, i % 5)
                             for i in range(500)])
        self.taken("FLOW", [flow(i, c) for i in range(100)
                            for c in (0, 1, 2 ** 32 - 1)])
        self.refused("a class of none", [reply(1, cls=9)], "not a frame")

    def test_a_peer_that_answers_with_anything(self):
        """A local client asks it; what it gets is one answer or one error."""
        p = self.peer()
        cases = ((3, b"no\r\n+OK\r\n\x1b[2J"), (1, b"x" * 60000), (2, b""),
                 (4, b"\xff\xfe\n"))
        for n, (cls, body) in enumerate(cases, 1):
            with self.foo.line() as c, self.foo.resp() as after:
                c.send(b"CALL evil@host GET b k\r\n")
                wanted = p.wait_frame(kvpeer.CALL, n)
                p.send(reply(int.from_bytes(wanted[1:9], "big"), body, 0,
                             cls))
                got = c.read_line()
                self.assertTrue(got.startswith(b"ERROR "), got[:80])
                self.assertLess(len(got), 400)
                self.assertFalse(any(b < 32 for b in got), got)
                self.assertEqual(c.line("GET", "good", "k"),
                                 after.call("HGET", "good", "k"))
        p.close()
        self.unharmed("answers")


class Services(Floods):
    def test_barriers_of_any_id_and_answers_to_none(self):
        self.taken("one id", [barrier(7, 0)] * 200, [kvpeer.BARRIER_OK])
        self.refused("too many", [barrier(7, 2 ** 64 - 1)] * 300,
                     "not what a service takes")
        self.taken("answers", [barrier_ok(i, [(5, 5)] * 1000, i % 2)
                               for i in range(100)])

    def test_a_barrier_that_is_answered_without_end(self):
        p = self.peer()
        with self.calm("BARRIER_OK"), self.foo.resp(limit=30) as c:
            c.send(kvtest.resp_encode("KV.BARRIER", "5000"))
            # This connection wrote nothing that is to be acknowledged first.
            wanted = p.wait_frame(kvpeer.BARRIER, 1)
            id = int.from_bytes(wanted[1:9], "big")
            for i in range(40):
                p.send(barrier_ok(id, [(10 ** 6 + i * 4000 + j, 2 ** 63)
                                       for j in range(4000)], 1))
            p.wait_closed()
            self.assertIsInstance(c.read_reply(), kvtest.Error)
        p.close()

    def test_presence_and_names_that_are_no_text(self):
        p = self.peer()
        with self.calm("PRESENCE"):
            p.send(presence([(0, i, tick(), b"\xff\xfe%d" % i)
                             for i in range(500)], 2))
            p.send(presence([(1, i, 0, b"") for i in range(10 ** 6,
                                                          10 ** 6 + 2000)]))
            for i in range(100):  # all away, all there, again and again
                p.send(presence([(0, j, tick(), b"n%d" % j)
                                 for j in range(1000)], 2))
            self.answers(p)
            with self.foo.resp() as c, self.foo.line() as line:
                self.assertTrue(c.call("KV.CLIENTS"))
                line.send(b"CLIENTS\r\nGET good k\r\n")
                line.read_quiet(0.1)
            for words in (("nodes",), ("status",), ("raw", "KV.CLIENTS")):
                out = self.foo.tool("--json", *words, code=0).stdout
                for row in out.splitlines():
                    json.loads(row)
        p.close()

    def test_names_of_buckets_that_are_no_text(self):
        names = (b"\xff\xfe", b"\xed\xa0\x80", b"a\0b", b"\r\nDROP good",
                 b"../../etc", b"%n%s", b"\x1b]0;x\x07", b"\xc0\x80" * 100)
        self.taken("names", [data(*[bucket(n) for n in names],
                                  *[put(kvpeer.bucket_id(n), n, n)
                                    for n in names], mark(tick()))],
                   [kvpeer.ACK])
        for args in (("status",), ("--json", "buckets"), ("nodes",)):
            p = self.foo.tool(*args, code=0)
            if args[0] == "--json":
                for row in p.stdout.splitlines():
                    json.loads(row)
            self.assertNotIn("\x1b", p.stdout + p.stderr)
        with self.foo.resp() as c:
            for n in names:
                self.assertEqual(c.call("HGET", n, n), n)
        for n in names:
            wait_for(lambda: self.bar.get(n, n) == n, 10, f"{n!r} on bar")
        self.verified()

    def test_messages_from_ever_new_runs(self):
        with self.foo.resp() as c, self.foo.resp() as out:
            c.send(kvtest.resp_encode("SUBSCRIBE", "c"))
            c.read_reply()
            p = self.peer()
            with self.calm("MESSAGE"):
                for i in range(20000):
                    p.send(message(1000 + i, tick(), b"other", b"m"))
                self.answers(p)
            p.close()
            # Those of good peers still come, once each.
            with self.bar.resp() as b:
                wait_for(lambda: b.call("PUBLISH", "c", "x") >= 0, 5)
            self.assertEqual(c.read_reply()[-1], b"x")
        self.refused("no channel", [message(5, tick(), b"", b"m")],
                     "not what a service takes")

    def test_messages_in_parts_that_never_end(self):
        """What all of them hold is bounded, and those of good peers come."""
        with self.foo.resp() as c, self.bar.resp() as b:
            c.send(kvtest.resp_encode("SUBSCRIBE", "c"))
            c.read_reply()
            peers = []
            with self.calm("PART", memory=40 * MIB):
                for i in range(6):
                    p = self.peer(greet=False, source=f"127.0.8.{i + 1}")
                    p.send(hello(name=b"part%d@host" % i, uid=UID + i,
                                 inc=INC + i))
                    p.wait_frame(kvpeer.SUB)
                    at, size = tick(), 15 * MIB
                    p.send(*[part(at, size, n * 60000,
                                  b"c" if n == 0 else b"", b"v" * 60000,
                                  INC + i) for n in range(260)])
                    p.send(part(tick(), size, 0, b"c", b"x", INC + i))
                    self.answers(p)
                    peers.append(p)
            wait_for(lambda: b.call("PUBLISH", "c", "x") >= 0, 5)
            self.assertEqual(c.read_reply()[-1], b"x")
            for p in peers:
                p.close()
        for name, frame in (
                ("behind its end", part(tick(), 10, 8, b"", b"12345")),
                ("two beginnings", part(tick(), 10, 5, b"c", b"12345")),
                ("no channel", part(tick(), 10, 0, b"", b"12345"))):
            self.refused(name, [frame], "not what a service takes")

    def test_any_number_of_records_that_are_left(self):
        p = self.peer()
        for n in (0, 1, 2 ** 63, 2 ** 64 - 1):
            p.send(u8(kvpeer.LEFT) + u64(n))
            self.answers(p, n & 0xffff)
            for row in self.foo.tool("--json", "nodes",
                                     code=0).stdout.splitlines():
                json.loads(row)
            self.foo.tool("nodes", code=0)
        p.close()
        self.unharmed("LEFT")


class Replication(Floods):
    def test_ranges_upside_down_and_beyond(self):
        for n, (lo, hi) in enumerate((
                ((2 ** 64 - 1, b"z"), (1, b"a")), ((5, b"k"), (5, b"a")),
                ((5, b"k"), (5, b"k")), ((2 ** 64 - 1, b"\xff" * 500), (0, b"")),
                ((0, b""), (0, b"\0")), ((1, b""), (0, b"")))):
            p = self.peer()
            p.send(ask_range(n + 1, 2, lo, hi))
            p.wait_frame(kvpeer.DATA_RANGE)
            self.answers(p)
            p.close()
        for purpose in (0, 4, 255):
            self.refused(f"purpose {purpose}", [ask_range(1, purpose)],
                         "not a frame")
        self.unharmed("ranges")

    @limit(120)
    def test_everything_asked_for_again_and_again(self):
        """Each time the whole of it is read and sent."""
        with self.foo.resp() as c:
            for at in range(0, 20000, 1000):
                c.pipeline([("HSET", "much", f"k{i}", "v" * 100)
                            for i in range(at, at + 1000)])
            c.must("SAVE")  # ranges are read from the tree
        with self.calm("RANGE and PULL"):
            for i in range(12):
                p = self.peer(source=f"127.0.8.{i + 1}")
                p.send(ask_range(i + 1, 2), vv(0, (), kind=kvpeer.PULL),
                       vv(0, (), kind=kvpeer.SUB))
                p.send(*[ack(s, 0, 2 ** 21) for s in (1, 2)])
                p.wait_frame(kvpeer.DATA_RANGE, 10)
                p.wait_frame(kvpeer.FULL, 10)
                p.close()

    def test_PULL_and_SUB_with_as_many_rows_as_there_is_room(self):
        for kind in (kvpeer.SUB, kvpeer.PULL, kvpeer.VV):
            p = self.peer()
            with self.calm(f"rows of {kind}"):
                for at in range(0, 65000, 4000):
                    p.send(vv(0, [(10 ** 9 + at + j, tick()) for j in
                                  range(4000)], 1 if at < 64000 else 0, kind))
                p.send(ping(7))
                wait_for(lambda: p.of(kvpeer.PONG) or p.state != "linked", 30,
                         "the end of the rows")
            p.close()
        self.verified()

    def test_digests_of_buckets_that_are_not_there(self):
        p = self.peer()
        with self.calm("DIGEST", memory=12 * MIB):
            for i in range(30):
                p.send(digest((i, i), [(j + 1, j, j, j) for j in range(2000)],
                              1 if i % 10 < 9 else 0))
            self.answers(p)
            p.send(*[digest((0, 0), [])] * 2000)
            self.answers(p, 43)
            p.send(*[digest((1, 1), [(j + 1, 1, 1, 1) for j in range(2000)],
                            1)] * 200)  # 12 MiB of one
            self.answers(p, 44)
        p.close()

    @limit(120)
    def test_hostile_vectors_under_a_digest_of_ours(self):
        """Says it has what we have, and then that it differs: foo reads all of
        it, gets nothing, and stays as it is."""
        self.foo.put("good", "stays", "1")
        p = self.peer()
        rows = self.rows_of(p)
        p.send(vv(tick(), rows))
        for i in range(3):
            p.send(digest(self.hash(rows), [(1, 1, 1, 1)]))
        self.answers(p)
        p.close()
        self.assertEqual(self.foo.get("good", "stays"), b"1")
        self.unharmed("digests")

    def rows_of(self, p):
        found = {}
        for f in p.of(kvpeer.SUB) + p.of(kvpeer.VV):
            for at in range(10, len(f), 16):
                found[int.from_bytes(f[at:at + 8], "big")] = \
                    int.from_bytes(f[at + 8:at + 16], "big")
        return list(found.items())

    @staticmethod
    def mix(x):
        m = 2 ** 64 - 1
        x = (x + 0x9e3779b97f4a7c15) & m
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9 & m
        x = (x ^ x >> 27) * 0x94d049bb133111eb & m
        return x ^ x >> 31

    def hash(self, rows):
        a = b = 0
        for inc, at in rows:
            a += self.mix(self.mix(inc) ^ at)
            b += self.mix((self.mix(inc + 1) + at) % 2 ** 64)
        return a % 2 ** 64, b % 2 ** 64

    def test_REDIRECT_to_who_did_not_dial(self):
        self.refused("REDIRECT", [u8(kvpeer.REDIRECT) + u16(4070)],
                     "a REDIRECT that cannot be")

    def test_large_values_that_never_end_hold_nobody_up(self):
        """Both buffers for such are taken by peers that go on to say that
        they are there; bar's large value waits for them, its small ones and
        foo's clients do not."""
        peers = []
        for i in range(3):
            p = self.peer(greet=False, source=f"127.0.8.{i + 1}")
            p.send(hello(name=b"slow%d@host" % i, uid=UID + i, inc=INC + i))
            p.wait_frame(kvpeer.SUB)
            size = 15 * MIB
            p.send(data(u32(2 + 24 + 2 + 1 + size) + u8(kvpeer.PUT) + u8(0)
                        + u64(tick(), INC + i, 5) + u16(1) + b"k"
                        + b"v" * 60000))
            for _ in range(30):
                p.send(data(b"v" * 60000))
            peers.append(p)
        with self.calm("values without end"):
            for i in range(5):
                self.unharmed("small values")
        for p in peers:
            p.close()
        self.bar.put("good", "large", b"x" * (3 * MIB))
        wait_for(lambda: self.foo.get("good", "large") == b"x" * (3 * MIB),
                 20, "bar's large value")

    def test_a_HELLO_with_numbers_at_their_ends(self):
        most = 2 ** 64 - 1
        for i, (words, frame) in enumerate((
                ("head", hello(head=most)), ("start", hello(start=most)),
                ("no time", hello(timeout=0)),
                ("for ever", hello(timeout=2 ** 32 - 1)),
                ("lineage", hello(lineage=[(most, most)] * 64)),
                ("start above head", hello(start=tick(), head=0)))):
            p = self.peer(greet=False, source=f"127.0.8.{i + 1}")
            p.send(frame, ping(5))
            wait_for(lambda: p.of(kvpeer.PONG) or p.state != "linked", 10,
                     words)
            p.send(vv(0, (), kind=kvpeer.SUB), data(mark(tick())), ping(6))
            wait_for(lambda: len(p.of(kvpeer.PONG)) > 1 or
                     p.state != "linked", 10, words)
            p.close()
            self.unharmed(words)
        self.verified()


if __name__ == "__main__":
    kvtest.main()
