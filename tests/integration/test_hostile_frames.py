#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Peers that have the cookie and send what no peer may send: the reason is in
the log, the link ends, kv-syncd lives on, nobody else is slowed."""

import kvpeer
import kvtest
from kvhostile import MIB, SYNCD, Hostile, time_to_fill
from kvpeer import (ACK, INC, OWN, PUT, TOMB, UID, ack, ask_range, bucket,
                    call, data, hello, mark, op, part, ping, presence, put,
                    stream, tick, u8, u16, u32, u64, vv, vvrow)
from kvtest import limit, wait_for

BID = 0x1122334455667788


class Frames(Hostile):
    """With the cookie and a good HELLO."""

    def test_bytes_that_are_no_frames(self):
        for name, command in (
                ("altered", "alter " + ping().hex()),
                ("too short", "bytes 0005" + "00" * 5),
                ("largest", "bytes ffff" + "00" * 65535)):
            told = self.foo.count_log("node down", "evil@host", "protocol")
            p = self.peer()
            p.tell(command)
            p.wait_closed()
            wait_for(lambda: self.foo.count_log(
                "node down", "evil@host", "protocol") > told, 5, name)
            p.close()
            self.unharmed(name)
        p = self.peer(greet=False, source="127.0.7.1")
        p.tell("alter " + hello().hex())
        p.wait_closed()
        self.foo.wait_log("protocol error", "127.0.7.1", "altered on the way")
        p = self.peer()
        p.tell("bytes 00ff0102")  # and no more
        p.close()
        self.foo.wait_log("node down", "closed by the other end")
        self.unharmed("cut")

    def test_unknown_types_end_the_link_and_extensions_do_not(self):
        for t in (0, 14, 19, 37, 0x7e):
            self.refused(f"type {t}", [u8(t) + b"x"], "not a frame")
        self.taken("extensions", [u8(t) + b"x" * t
                                  for t in range(0x90, 0x100)])

    def test_bodies_that_do_not_parse(self):
        for name, frame in (
                ("half a row", vv(1, ()) + b"1234567"),
                ("unknown flags", vv(1, (), flags=0x40)),
                ("a stream of none", ack(4, 0, 0)),
                ("RESYNC of none", u8(kvpeer.RESYNC) + u8(9)),
                ("a long key", ask_range(1, lo=(1, b"k" * 501))),
                ("no ops", u8(OWN)),
                ("BYE with an escape", u8(kvpeer.BYE) + u8(1) + b"\x1b[")):
            self.refused(name, [frame], "not a frame")

    def test_streams_that_nobody_asked_for(self):
        for name, kind in (("FULL", kvpeer.FULL),
                           ("RANGE", kvpeer.DATA_RANGE)):
            self.refused(name, [data(mark(1), kind=kind)],
                         "data I never asked for")
        self.refused("SUB again", [vv(0, (), kind=kvpeer.SUB)] * 2,
                     "a SUB that cannot be")
        self.refused("SUB of the future",
                     [vv(tick(10 ** 9), (), kind=kvpeer.SUB)],
                     "a SUB that cannot be")
        self.refused("RESYNC of RANGE", [u8(kvpeer.RESYNC) + u8(3)],
                     "a RESYNC of nothing")
        self.refused("RESYNC twice", [u8(kvpeer.RESYNC) + u8(2)],
                     "a RESYNC of nothing")

    def test_ACKs_and_credit_that_cannot_be(self):
        self.refused("never sent", [ack(1, tick(), 0)],
                     "ACK of what I never sent")
        p = self.peer()
        p.send(vv(0, (), kind=kvpeer.SUB))
        p.send(ack(1, 0, 2 ** 31), ack(1, 0, 2 ** 31))
        p.wait_closed()
        self.foo.wait_log("protocol error", "too much credit")
        p.close()
        self.unharmed("credit")

    def test_data_beyond_the_credit(self):
        one = data(op(PUT, 0, u64(tick(), INC, BID) + u16(1) + b"k"
                      + b"v" * 60000))
        self.refused("credit", [one] * 20, "data without credit")

    def test_MARKs_that_cannot_be(self):
        t = tick()
        for name, ops in (("back", [mark(t), mark(t - 1)]),
                          ("beyond its head", [mark(t, head=t - 1)])):
            self.refused(name, [data(*ops)], "a MARK that cannot be")
        self.refused("a row in the stream of one's own",
                     [data(vvrow(5, 5), mark(tick()))],
                     "a row that cannot be")
        self.refused("row 0", [vv(tick(), [(0, 1)])], "a row that cannot be")

    def test_ops_that_cannot_be(self):
        t = tick()
        stamp = u64(t, INC, BID)
        for name, bad in (
                ("type 0", op(0, 0, stamp)),
                ("type 6", op(6, 0, stamp)),
                ("unknown flags", op(PUT, 0x80, stamp + u16(1) + b"k")),
                ("no bucket before", op(PUT, 2, u64(t, INC) + u16(1) + b"k")),
                ("tick 0", put(BID, b"k", at=0)),
                ("key of 501", put(BID, b"k" * 501)),
                ("key of 65535", put(BID, b"k", klen=65535)),
                ("a tombstone with a value", put(BID, b"k", b"v", kind=TOMB)),
                ("bucket 0", put(0, b"k", b"v")),
                ("inc 0", put(BID, b"k", b"v", inc=0)),
                ("length 1", u32(1) + b"x"),
                ("a bucket without a name", bucket(b"")),
                ("a long name", bucket(b"b" * 256)),
                ("a local bucket", bucket(b"local", options=2)),
                ("the row of a local bucket", bucket(b"\001local/x")),
                ("the first id of a local bucket",
                 put(0xffffff << 40, b"k", b"v")),
                ("the last one", put(2 ** 64 - 1, b"k", kind=TOMB)),
                ("MARK with a tail", op(5, 1, u64(t, t) + b"x"))):
            self.refused(name, [data(bad, mark(tick()))], "not an op")

    def test_values_over_the_limit_are_named(self):
        size = 17 * MIB
        head = u32(2 + 24 + 2 + 1 + size) + u8(PUT) + u8(0) + \
            u64(tick(), INC, BID) + u16(1) + b"k"
        self.refused("value", [data(head + b"v" * 100)],
                     "larger than value_max")
        self.refused("4 GiB", [data(b"\xff" * 100)], "larger than value_max")

    def test_stamps_of_the_future_and_of_others(self):
        for i, (name, ops) in enumerate((
                ("a record", [put(BID, b"k", b"v", at=tick(3600000))]),
                ("a bucket", [bucket(b"x", created=(tick(3600000), INC))]),
                ("a drop", [bucket(b"x", dropped=(tick(3600000), INC))]))):
            p = self.peer(greet=False)
            p.send(hello(name=b"f%d@host" % i, uid=UID + i))
            p.wait_frame(kvpeer.SUB)
            p.send(data(*ops))
            p.wait_closed()
            self.assertEqual(p.bye()[0], 6, p.bye())
            self.foo.wait_log("warn", f"f{i}@host", "clock", limit=5)
            p.close()
            self.unharmed(name)
        p = self.peer()
        inc = int.from_bytes(p.of(kvpeer.HELLO)[0][17:25], "big")
        p.send(data(put(BID, b"k", b"v", at=tick(1000), inc=inc)))
        p.wait_closed()
        self.foo.wait_log("protocol error", "a write I never made")
        p.close()
        self.unharmed("own writes")

    def test_claims_of_the_future_and_about_this_run(self):
        hour = 3600000
        own = self.peer()
        inc = int.from_bytes(own.of(kvpeer.HELLO)[0][17:25], "big")
        own.close()
        for i, (name, frames) in enumerate((
                ("a vector", [vv(tick(), [(99, tick(hour))])]),
                ("the end of its log", [data(mark(1, head=tick(hour)))]),
                ("a place in its log", [data(mark(tick(hour)))]))):
            p = self.peer(greet=False)
            p.send(hello(name=b"g%d@host" % i, uid=UID + i))
            p.wait_frame(kvpeer.SUB)
            p.send(*frames)
            p.wait_closed()
            self.assertEqual(p.bye(), (6, "claims of the future"), name)
            self.foo.wait_log("warn", f"g{i}@host", "clock", limit=5)
            p.close()
            self.unharmed(name)
        # What was asked for: a whole vector, and what was purged.
        p = self.peer(greet=False)
        p.send(hello(name=b"h0@host"), vv(tick(), [(99, tick())]))
        p.wait_frame(kvpeer.PULL)
        p.send(data(vvrow(99, tick(hour)), mark(1), kind=kvpeer.FULL))
        p.wait_closed()
        self.assertEqual(p.bye(), (6, "claims of the future"))
        p.close()
        p = self.peer(greet=False)
        p.send(hello(name=b"h1@host"))
        p.wait_frame(kvpeer.SUB)
        p.send(u8(kvpeer.RESYNC) + u8(1))
        p.wait_frame(kvpeer.RANGE)
        p.send(data(vvrow(99, tick(hour), flags=1), mark(1),
                    kind=kvpeer.DATA_RANGE))
        p.wait_closed()
        self.assertEqual(p.bye(), (6, "claims of the future"))
        p.close()
        self.unharmed("answers")
        for name, frame in (
                ("a vector", vv(tick(), [(inc, tick(60000))])),
                ("a lineage", hello(lineage=[(inc, tick(60000))]))):
            self.refused(name, [frame], "more of this run than it wrote",
                         greet=frame[0] != kvpeer.HELLO)
        self.verified()

    def test_odd_but_good_data_is_taken(self):
        name = b"b\x01\x02 \xff/../x"
        self.taken("names", [data(
            bucket(name), bucket(b"n" * 64, options=0xfffffff9),
            put(BID, b"\x00\xff" * 250, b"v" * 100, at=tick()),
            put(BID, b"", b"a key of nothing"),
            put(BID, b"gone", at=tick(), kind=TOMB), mark(tick()))],
            wait=[ACK])
        self.foo.tool("ls")
        self.verified()

    def test_junk_in_hidden_buckets_kills_nobody(self):
        """Deadlines of hashes, which the sweeper reads by itself."""
        workers = self.foo.children("kv-worker")
        with self.foo.resp() as c:
            c.must("HSET", "mortal", "f", "v")
            c.must("EXPIRE", "mortal", "1000")
        past = u64(1)
        ops = []
        for name in (b"\001deadlines", b"\001expiring", b"\001fields",
                     b"\001other"):
            bid = kvpeer.bucket_id(name)
            ops += [bucket(name, options=2 ** 32 - 3)]
            for key in (b"x", b"1234567", b"12345678", past, past + b"good2",
                        past + b"n" * 492, past + b"\001deadlines",
                        b"\xff" * 500, b"mortal"):
                for value in (b"", b"1", b"1234567", past, b"v" * 9000):
                    ops.append(put(bid, key, value))
        self.taken("junk", stream(*ops, mark(tick())), wait=[ACK])
        with self.foo.resp() as c:
            c.must("HSET", "good2", "f", "v")
            for words in (("TTL", "mortal"), ("HGETALL", "mortal"),
                          ("KEYS", "*"), ("DBSIZE",), ("HGETALL", "good2"),
                          ("HEXPIRE", "good2", "1000", "FIELDS", "1", "f")):
                c.call(*words)
        self.assertEqual(self.foo.children("kv-worker"), workers)
        self.unharmed("hidden buckets")
        self.verified()

    def test_odd_words_of_how_far_we_are_behind(self):
        left = u8(kvpeer.LEFT)
        for name, body in (("short", u32(1)), ("long", u64(1, 1)),
                           ("nothing", b"")):
            self.refused(name, [left + body], "not a frame")
        p = self.peer()
        p.send(*[left + u64(i % 3 * (2 ** 64 - 1) // 2) for i in range(5000)])
        p.send(left + u64(2 ** 64 - 1), ping(7))
        self.pong(p, 7)
        row = wait_for(lambda: [n for n in self.foo.nodes().values()
                                if n["behind_records"] == 2 ** 63 - 1], 10,
                       "the number to be shown")
        self.assertEqual(len(row), 1)
        p.close()
        self.unharmed("LEFT")

    def test_requests_in_a_flood(self):
        self.refused("RANGE", [ask_range(1)] * 3000, "a second RANGE")
        self.refused("PULL", [vv(0, (), kind=kvpeer.PULL)] * 3000,
                     "a second PULL")
        p = self.peer()
        p.repeat(20000, ping(5))
        self.pong(p, 5)
        p.send(ping(6))
        self.pong(p, 6)
        p.close()
        self.unharmed("PING")

    def test_who_takes_no_answers_is_not_read_either(self):
        p = self.peer()
        p.tell("deaf")
        p.repeat(300000, ping(5))
        time_to_fill(self.syncd)
        self.unharmed("deaf")
        p.close()
        self.unharmed("deaf, gone")

    def test_calls_in_a_flood(self):
        self.refused("65 of them", [call(i, b"nothing", deadline=60000,
                                         flags=1) for i in range(2)],
                     "not what a service takes")
        self.refused("one id twice", [
            u8(kvpeer.CALL) + u64(1) + u8(0) + u32(0) + b"\0"],
            "not what a service takes")
        p = self.peer()
        p.send(*[call(i, b"nothing") for i in range(1000)])
        p.send(ping(9))
        self.pong(p, 9)
        p.close()
        self.unharmed("CALL")
        args = call(1, b"x")[:14]
        self.refused("endless arguments",
                     [args[:9] + u8(1) + args[10:] + b"x" * 60000] * 30,
                     "not what a service takes")

    def test_presence_and_messages_in_a_flood(self):
        p = self.peer()
        id = 0
        for _ in range(200):
            p.send(presence([(0, id + i, 1, b"n" * 64)
                             for i in range(700)]))
            id += 700
        p.send(ping(3))
        self.pong(p, 3)
        self.unharmed("PRESENCE")
        m = u8(kvpeer.MESSAGE)
        for i in range(300):
            p.send(m + u64(INC, tick()) + u16(1) + b"c" + b"m" * 60000)
        p.send(ping(4))
        self.pong(p, 4)
        p.close()
        self.unharmed("MESSAGE")
        p = self.peer()
        big = tick()                        # begun and never ended
        for i in range(300):
            p.send(part(big + i, 16 << 20, 0, b"c", b"m" * 60000))
        for i in range(100):                # of those nothing began
            p.send(part(big + 300, 16 << 20, 60000 * (i + 1), b"",
                        b"m" * 60000))
        p.send(ping(5))
        self.pong(p, 5)
        p.close()
        self.unharmed("PART")
        self.refused("a part past its end",
                     [part(tick(), 100, 0, b"c", b"m" * 101)],
                     "not what a service takes")
        self.refused("a part of nothing", [part(tick(), 0, 0, b"c", b"")],
                     "not a frame")
        self.refused("a part without a channel",
                     [part(tick(), 100, 0, b"", b"m")],
                     "not what a service takes")
        self.refused("a name with an escape",
                     [presence([(0, 1, 1, b"\x1b[2J")])],
                     "not what a service takes")
        self.refused("barriers", [u8(kvpeer.BARRIER) + u64(i, 2 ** 64 - 1)
                                  for i in range(300)],
                     "not what a service takes")

    @limit(120)
    def test_vectors_without_end(self):
        p = self.peer()
        for i in range(30):
            p.send(vv(tick(), [(1 + i * 4000 + j, 1) for j in range(4000)]))
        p.wait_closed(limit=30)
        self.assertEqual(p.bye()[0], 9, p.bye())
        p.close()
        self.unharmed("rows")
        self.verified()

    @limit(180)
    def test_vectors_of_many_links_have_one_bound(self):
        for link in range(3):
            p = self.peer()
            for i in range(15):
                first = 1 + (link * 15 + i) * 4000
                p.send(vv(tick(), [(first + j, 1) for j in range(4000)]))
            p.send(ping(11))
            self.pong(p, 11)
            p.close()
        self.foo.wait_log("many runs", "no more can be known")
        self.assertEqual(self.foo.count_log("many runs"), 2)
        self.unharmed("rows of many")
        # A run that nobody has heard of yet links with us and is taken in.
        self.bar.child(SYNCD).kill_and_wait()
        self.bar.in_step(20)
        self.unharmed("a new run")
        self.verified()

    def test_BYE_and_then_more(self):
        p = self.peer()
        p.send(u8(kvpeer.BYE) + u8(1) + b"so long", ping(1), u8(0x7e))
        p.wait_closed()
        self.foo.wait_log("node down", "evil@host", "so long")
        p.close()
        self.unharmed("BYE")

    def test_random_frames(self):
        for seed in range(60):
            p = self.peer()
            body = kvpeer.junk(seed, 1 + seed * 13)
            p.send(u8(list(range(2, 14))[seed % 12]) + body)
            p.send(data(body))
            p.send(ping(8))
            wait_for(lambda: p.state != "linked" or p.of(kvpeer.PONG), 10,
                     f"an answer to seed {seed}")
            p.close()
        self.unharmed("random frames")
        self.verified()


class SmallLog(Hostile):
    env = {"KV_SEGMENT_SIZE": "1m", "KV_VALUE_MAX": "400k"}

    def test_rows_that_no_segment_holds_are_kept_in_pieces(self):
        p = self.peer()
        p.send(*[vv(tick(), [(1 + i * 4000 + j, 1) for j in range(4000)])
                 for i in range(15)])
        p.send(ping(12))
        self.pong(p, 12)
        p.close()
        self.unharmed("rows")
        self.foo.wait_log("many runs", "known")
        self.verified()


if __name__ == "__main__":
    kvtest.main()
