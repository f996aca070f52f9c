#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Whatever a client sends: a clear error, and nobody else notices."""

import random
import unittest

import kvredis
import kvtest
from kvtest import (Closed, Conn, Error, LineClient, RespClient, limit,
                    resp_encode)

KEY, BUCKET, VALUE = 500, 255, 16 << 20

MULTIBULK = b"-ERR Protocol error: invalid multibulk length\r\n"
BULK = b"-ERR Protocol error: invalid bulk length\r\n"
INLINE = b"-ERR Protocol error: too big inline request\r\n"
QUOTES = b"-ERR Protocol error: unbalanced quotes in request\r\n"

# What is sent on a new connection -> the last thing that comes before the end.
# test_redis_answers_the_same holds this list against a redis-server.
PROTOCOL_ERRORS = [
    (b"*abc\r\n", MULTIBULK),
    (b"*\r\n", MULTIBULK),
    (b"*+1\r\n", MULTIBULK),
    (b"*01\r\n$4\r\nPING\r\n", MULTIBULK),
    (b"* 1\r\n", MULTIBULK),
    (b"*1x\r\n", MULTIBULK),
    (b"*2147483648\r\n", MULTIBULK),
    (b"*99999999999999999999999\r\n", MULTIBULK),
    (b"*1\r\n$-5\r\n", BULK),
    (b"*1\r\n$-1\r\n", BULK),
    (b"*1\r\n$999999999999\r\n", BULK),
    (b"*1\r\n$99999999999999999999999\r\n", BULK),
    (b"*1\r\n$abc\r\n", BULK),
    (b"*1\r\n$\r\n", BULK),
    (b"*1\r\n$+4\r\nPING\r\n", BULK),
    (b"*2\r\n$4\r\nECHO\r\n$x\r\n", BULK),
    (b"*1\r\nx3\r\n", b"-ERR Protocol error: expected '$', got 'x'\r\n"),
    (b"*1\r\n:3\r\n", b"-ERR Protocol error: expected '$', got ':'\r\n"),
    (b"*2\r\n$4\r\nECHO\r\n*1\r\n",
     b"-ERR Protocol error: expected '$', got '*'\r\n"),
    (b"*1\r\n\x01\r\n", b"-ERR Protocol error: expected '$', got '\x01'\r\n"),
    (b"*1\r\n\r\n", b"-ERR Protocol error: expected '$', got ' '\r\n"),
    (b"*" + b"1" * 70000,
     b"-ERR Protocol error: too big mbulk count string\r\n"),
    (b"*1\r\n$" + b"1" * 70000,
     b"-ERR Protocol error: too big bulk count string\r\n"),
    (b"PING\r\n" + b"A" * 70000, INLINE),
    (b'SET a "b\r\n', QUOTES),
    (b"SET a 'b\\'\r\n", QUOTES),
    (b'SET a "b"c\r\n', QUOTES),
    (b'PING\r\nSET a "b\\"\r\n', QUOTES),
]

# kv refuses at once what redis would wait for: nothing so long can follow.
STRICTER = [
    (b"*1000000000\r\n", MULTIBULK),
    (b"*2\r\n$3\r\nGET\r\n$536870912\r\n", BULK),
]

# Strange, but neither protocol error nor end; redis answers the same.
TOLERATED = [
    (b"*0\r\n*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
    (b"*-5\r\n*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
    (b"*1\r\n$4\r\nPING\r\n\r\n\r\n*1\r\n$4\r\nPING\r\n",
     b"+PONG\r\n+PONG\r\n"),
    (b"\r\n*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
    (b"PING\nPING\r\n", b"+PONG\r\n+PONG\r\n"),
    (b"  ping   hi  \r\n", b"$2\r\nhi\r\n"),
    (b'ECHO "\\x41\\n\\"" \r\n', b'$3\r\nA\n"\r\n'),
    (b"ECHO 'a\\'b\\n'\r\n", b"$5\r\na'b\\n\r\n"),
    (b'ECHO ""\r\n', b"$0\r\n\r\n"),
]


class WithWitnesses(kvtest.Served):
    """Two connections to the same worker look on; afterwards they, and all
    the processes, must be as before."""

    ports = 1

    @classmethod
    def server(cls):
        if cls.kv is None:
            cls.before = super().server().children()
        return cls.kv

    def setUp(self):
        self.port = self.server().ports[0]
        self.line = LineClient(self.port)
        self.resp = RespClient(self.port)
        for c in (self.line, self.resp):
            self.addCleanup(c.close)
        self.line.create("b")
        self.line.put("b", "k", "witness")

    def tearDown(self):
        self.assertEqual(self.line.get("b", "k"), b"witness")
        self.assertEqual(self.resp.call("HGET", "b", "k"), b"witness")
        self.assertEqual(self.kv.children(), self.before)

    def assert_error(self, answer, *words):
        """ERROR <why> of the line protocol."""
        self.assertTrue(answer.startswith(b"ERROR "), answer[:100])
        self.assertLess(len(answer), 200)
        for w in words:
            self.assertIn(w, answer.lower())

    def exchange(self, data):
        """Everything that comes until the server closes."""
        with Conn(self.port) as c:
            c.send(data)
            return c.read_to_eof()


class Limits(WithWitnesses):
    def test_an_empty_key_or_field_is_kept_like_any_other(self):
        with RespClient(self.port) as c:
            c.must("SET", "", "v")
            c.must("HSET", "h", "", "w", "f", "x")
            c.must("SAVE")  # through the tree as well
            self.assertEqual(c.call("GET", ""), b"v")
            self.assertEqual(c.call("HGET", "h", ""), b"w")
            self.assertEqual(c.call("HGETALL", "h"), [b"", b"w", b"f", b"x"])
            self.assertIn(b"", c.call("KEYS", "*"))
            self.assertEqual(c.call("DEL", ""), 1)
            self.assertEqual(c.call("HDEL", "h", ""), 1)
            self.assertIsNone(c.call("GET", ""))
            self.assertEqual(c.call("HKEYS", "h"), [b"f"])
            c.must("DEL", "h")

    def test_a_hash_needs_a_name(self):
        with RespClient(self.port) as c:
            reply = c.call("HSET", "", "f", "v")
            self.assertIsInstance(reply, kvtest.Error)
            self.assertEqual(reply.text, b"ERR bucket name is empty")
            self.assertEqual(c.call("HGETALL", ""), [])
            self.assertEqual(c.call("PING"), b"PONG")

    def test_a_key_of_500_bytes_is_kept_and_one_of_501_is_an_error(self):
        longest = "k" * KEY
        self.line.put("b", longest, "v")
        self.assertEqual(self.line.get("b", longest), b"v")
        for verb in ("PUT b {} v", "GET b {}", "DELETE b {}"):
            self.assert_error(self.line.line(verb.format("k" * (KEY + 1))),
                              b"key")

    def test_the_same_limit_holds_for_resp_keys_and_fields(self):
        self.resp.must("SET", "k" * KEY, "v")
        self.resp.must("HSET", "b", "f" * KEY, "v")
        for bad in (("SET", "k" * (KEY + 1), "v"),
                    ("HSET", "b", "f" * (KEY + 1), "v"),
                    ("MSET", "fine", "v", "k" * (KEY + 1), "v")):
            reply = self.resp.call(*bad)
            self.assertIsInstance(reply, Error, bad[0])
            self.assertRegex(reply.text, rb"(?i)^[A-Z]+ .*key|field")
        self.assertIsNone(self.resp.call("GET", "fine"),
                          "half of an MSET that was refused")

    def test_a_bucket_name_of_255_bytes_is_kept_and_one_of_256_is_an_error(
            self):
        self.line.create("n" * BUCKET)
        self.line.put("n" * BUCKET, "k", "v")
        self.assertEqual(self.line.get("n" * BUCKET, "k"), b"v")
        self.assert_error(self.line.line("CREATE", "n" * (BUCKET + 1)),
                          b"bucket", b"name")
        reply = self.resp.call("HSET", "n" * (BUCKET + 1), "f", "v")
        self.assertIsInstance(reply, Error)

    def test_names_are_counted_in_bytes_not_characters(self):
        self.assert_error(self.line.line("CREATE", "ü" * 128))
        self.assert_error(self.line.line("PUT", "b", "ü" * 251, "v"))

    @limit(120)
    def test_a_value_of_16_mib_is_kept_over_both_protocols(self):
        rng = random.Random(1)
        value = bytes(rng.choices(range(33, 127), k=1 << 16)) * 256
        self.assertEqual(len(value), VALUE)
        self.line.put("b", "big", value)
        self.assertEqual(self.resp.must("HGET", "b", "big"), value)
        self.resp.must("SET", "big", value[::-1])
        self.assertEqual(self.resp.must("GET", "big"), value[::-1])
        self.line.ok("DELETE", "b", "big")
        self.resp.must("DEL", "big")

    def test_a_value_over_16_mib_is_an_error_and_the_old_one_stays(self):
        self.line.put("b", "v", "old")
        self.assert_error(self.line.line("PUT", "b", "v", "x" * (VALUE + 1)))
        self.assertEqual(self.line.get("b", "v"), b"old")

    def test_a_resp_value_over_16_mib_is_an_error_and_the_old_one_stays(
            self):
        """Refused by its length or by the command: either is fine, and so is
        a close after it, as redis does it for a bulk over its limit."""
        self.resp.must("SET", "v", "old")
        with RespClient(self.port) as c:
            try:
                c.send(resp_encode("SET", "v", "x" * (VALUE + 1)))
            except ConnectionError:
                pass
            try:
                self.assertIsInstance(c.read_reply(), Error)
            except ConnectionResetError:
                pass  # closed before it was read to the end
        self.assertEqual(self.resp.must("GET", "v"), b"old")

    def test_an_oversize_line_is_one_error_however_it_is_cut(self):
        line = b"PUT b k " + b"x" * (VALUE + (1 << 20)) + b"\r\n"
        with LineClient(self.port) as c:
            for start in range(0, len(line), 1 << 20):
                c.send(line[start:start + (1 << 20)])
            self.assertEqual(c.read_line(limit=30), b"ERROR line too long")
            self.assertEqual(c.get("b", "k"), b"witness")

    def test_a_command_of_50000_words_is_one_answer(self):
        self.assertEqual(self.line.line("PUT b" + " w" * 50000),
                         b"UNKNOWN COMMAND")
        args = [x for n in range(20001) for x in (f"m{n}", n)]
        self.assertEqual(self.resp.must("MSET", *args), b"OK")
        got = self.resp.must("MGET", *args[::2])
        self.assertEqual(got, [b"%d" % n for n in range(20001)])
        self.assertEqual(self.resp.must("DEL", *args[::2]), 20001)


class Protocol(WithWitnesses):
    def test_every_protocol_error_is_answered_in_redis_words_then_closed(
            self):
        for sent, wanted in PROTOCOL_ERRORS + STRICTER:
            with self.subTest(sent=sent[:40]):
                got = self.exchange(sent)
                self.assertEqual(got.removeprefix(b"+PONG\r\n"), wanted)

    def test_what_redis_tolerates_is_tolerated(self):
        for sent, wanted in TOLERATED:
            with self.subTest(sent=sent[:40]), Conn(self.port) as c:
                c.send(sent)
                self.assertEqual(c.read_exact(len(wanted)), wanted)
                self.assertEqual(c.read_quiet(), b"")
                self.assertTrue(c.is_open())

    @unittest.skipUnless(kvredis.tool("redis-server"), "no redis-server")
    def test_redis_answers_the_same(self):
        redis = kvredis.Redis()
        self.addCleanup(redis.close)
        for sent, wanted in PROTOCOL_ERRORS + TOLERATED:
            with self.subTest(sent=sent[:40]), Conn(redis.port) as c:
                c.send(sent)
                got = c.read_quiet(quiet=0.05, first=2)
                self.assertTrue(got.endswith(wanted), (got, wanted))
                self.assertEqual(c.eof, (sent, wanted) in PROTOCOL_ERRORS)

    def test_what_came_before_a_protocol_error_is_answered_and_done(self):
        got = self.exchange(resp_encode("SET", "before", "1") +
                            resp_encode("GET", "before") + b"*x\r\n" +
                            resp_encode("SET", "after", "1"))
        self.assertEqual(got, b"+OK\r\n$1\r\n1\r\n" + MULTIBULK)
        self.assertEqual(self.resp.call("MGET", "before", "after"),
                         [b"1", None])

    def test_a_promised_billion_elements_costs_no_memory(self):
        worker = self.kv.worker_of(self.line)
        before = worker.anon_bytes()
        conns = [Conn(self.port) for _ in range(50)]
        for c in conns:
            c.send(b"*1000000\r\n$4\r\nMGET\r\n$16000000\r\nstart")
        self.line.put("b", "x", "y")
        grown = worker.anon_bytes() - before
        for c in conns:
            c.close()
        self.note(f"{grown >> 10} KiB for 50 promises")
        self.assertLess(grown, 64 << 20)


class Fragments(WithWitnesses):
    def send_bytewise(self, c, data):
        for n in range(len(data)):
            c.send(data[n:n + 1])

    def test_a_line_client_may_send_byte_by_byte(self):
        with LineClient(self.port) as c:
            self.send_bytewise(c, b"CREATE bw\r\nPUT bw key value\r\n"
                                  b"GET bw key\r\nBOGUS\r\n\r\n")
            self.assertEqual(
                c.read_exact(53),
                b"OK\r\nOK\r\nvalue\r\nOK\r\n"
                b"UNKNOWN COMMAND\r\nUNKNOWN COMMAND\r\n")

    def test_a_resp_client_may_send_byte_by_byte(self):
        with RespClient(self.port) as c:
            self.send_bytewise(c, resp_encode("SET", "bytes", "a\r\nb") +
                               resp_encode("GET", "bytes") + b"PING\r\n")
            self.assertEqual([c.read_reply() for _ in range(3)],
                             [b"OK", b"a\r\nb", b"PONG"])

    def test_a_request_cut_anywhere_is_the_same_request(self):
        request = resp_encode("SET", "cut", "value") + \
            resp_encode("GET", "cut") + resp_encode("DEL", "cut")
        answer = b"+OK\r\n$5\r\nvalue\r\n:1\r\n"
        for at in range(1, len(request)):
            with Conn(self.port) as c:
                c.send(request[:at])
                early = c.read_quiet(quiet=0.002)
                c.send(request[at:])
                got = early + c.read_exact(len(answer) - len(early))
                self.assertEqual(got, answer, f"cut at {at}")

    def test_half_a_request_and_then_the_end_is_nothing(self):
        for half in (b"PUT b k hal", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nha",
                     b"*", b"*3", b"*3\r", b"*3\r\n$", b"P", b"\r",
                     b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r"):
            with self.subTest(half):
                with Conn(self.port) as c:
                    c.send(half)
                    c.shut()
                    self.assertEqual(c.read_to_eof(), b"")
                with Conn(self.port) as c:
                    c.send(half)
                    c.abort()
        self.assertEqual(self.line.get("b", "k"), b"witness")
        self.assertEqual(self.resp.call("GET", "k"), None)

    def test_half_requests_that_stay_open_stop_nobody(self):
        waiting = [Conn(self.port) for _ in range(100)]
        for n, c in enumerate(waiting):
            c.send((b"PUT b k h", b"*2\r\n$3\r\nGE", b"*1\r\n$90")[n % 3])
        self.assertEqual(self.line.get("b", "k"), b"witness")
        self.assertTrue(all(c.is_open() for c in waiting))
        for c in waiting:
            c.close()


class Strangers(WithWitnesses):
    def test_a_browser_is_closed_at_once_and_its_body_is_not_executed(self):
        for head in (b"POST / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n",
                     b"Host: localhost\r\n", b"PUT /b HTTP/1.0\r\n",
                     b"POST x\r\n", b"OPTIONS * HTTP/1.1\r\n"):
            with self.subTest(head):
                with Conn(self.port) as c:
                    c.send(head + b"\r\nPUT b k evil\r\n")
                    try:
                        self.assertEqual(c.read_to_eof(), b"")
                    except ConnectionResetError:
                        pass  # closed with bytes of ours unread
                self.assertEqual(self.line.get("b", "k"), b"witness")

    def test_a_tls_hello_is_an_answer_or_a_close_never_a_crash(self):
        hello = bytes.fromhex("16030100c8010000c40303") + bytes(190)
        with Conn(self.port) as c:
            c.send(hello + b"\r\n")
            try:
                c.read_quiet(first=1)
            except ConnectionError:
                pass

    @limit(120)
    def test_random_bytes_end_nobody_else(self):
        seed = random.randrange(1 << 32)
        self.note(f"seed {seed}")
        rng = random.Random(seed)
        pieces = [b"*", b"$", b"\r\n", b"\n", b"\r", b"GET ", b"HSET ", b"3",
                  b"-1", b"99999", b"SUBSCRIBE b", b"\"", b"'", b" ", b"\0",
                  b"*3\r\n$3\r\nSET\r\n", b"$3\r\nfoo\r\n", b"HELLO 3\r\n",
                  b"CREATE x\r\n", b"\xff\xfe", b"SCAN 0 MATCH *[^", b"\xc2"]
        for _ in range(400):
            with Conn(self.port) as c:
                try:
                    for _ in range(rng.randrange(1, 40)):
                        c.send(rng.choice(pieces) if rng.random() < 0.9 else
                               rng.randbytes(rng.randrange(1, 3000)))
                    c.read_quiet(quiet=0.001)
                except (ConnectionError, Closed):
                    pass


if __name__ == "__main__":
    kvtest.main()
