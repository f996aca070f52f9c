# SPDX-License-Identifier: ISC
"""All that is large, long or slow at once on one worker: commands of 40,002
arguments, pipelines of 26,667 replies, values of 16 MiB, senders of one byte a
segment, clients that never read.  Everybody who reads gets the right bytes, the
worker's own memory is bounded and goes back, nobody is disconnected."""

import hashlib
import os
import random
import threading
import time

import kvtest
from kvtest import SLOW, Kvd, limit, resp_encode, wait_for

SEED = int(os.environ.get("KV_SEED") or random.randrange(1 << 32))

MIB = 1 << 20
BIG = 16 * MIB          # value_max
FIELDS = 20_000         # HSET h f v ... has 40,002 arguments
REPLIES = 26_667
NEVER_READ = 6
OUTPUT_LIMIT = 64 * MIB  # the default, and four times the largest value

# What one client may cost: one that does not read is not read either from half
# the output limit on, and one reply may stand on top of that; one that sends
# has its request in a buffer that doubles.  Beside them the batch being made
# and the arena of replies, each with the largest value, doubled.
BOUND = NEVER_READ * (OUTPUT_LIMIT // 2 + BIG + MIB) + 12 * 2 * BIG
REST = 32 * MIB         # what may stay afterwards: tables, buffers, caches


# A sanitizer's own memory is not the worker's.
INSTRUMENTED = "_OPTIONS" in " ".join(os.environ)


def value_of(seed, size):
    """The same random bytes for the same seed, quickly."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


def bulk(data):
    return b"$%d\r\n%s\r\n" % (len(data), data)


class Exact:
    """A client that knows every byte of its answers beforehand."""

    def __init__(self, conn):
        self.conn = conn

    def ask(self, request, answer, limit=60):
        """Send while reading, then compare."""
        self.conn.send(request, limit)
        got = self.conn.read_exact(len(answer), limit)
        if got != answer:
            at = next(i for i, (x, y) in enumerate(zip(got, answer)) if x != y)
            raise AssertionError(
                f"byte {at} of {len(answer)}: {got[at:at + 60]!r}, "
                f"not {answer[at:at + 60]!r}")

    def end(self):
        """Nothing is left over, and the connection is there."""
        self.ask(resp_encode("PING"), b"+PONG\r\n")
        assert not self.conn.buf, bytes(self.conn.buf[:80])
        assert self.conn.is_open()


def many_arguments(conn, me, rounds):
    """Whole pipelines of commands with about 40,002 arguments."""
    c = Exact(conn)
    for r in range(rounds):
        names = [b"%d:%d:%d" % (me, r, i) for i in range(FIELDS)]
        values = [b"v%d" % (i * 7919) for i in range(FIELDS)]
        pairs = [x for p in zip(names, values) for x in p]
        hash_name = b"wide%d" % me
        twice = names + names
        c.ask(b"".join([
            resp_encode("MSET", *pairs),
            resp_encode("MGET", *twice),
            resp_encode("HSET", hash_name, *pairs),
            resp_encode("HMGET", hash_name, *twice),
            resp_encode("DEL", *twice, b"nothing"),
            resp_encode("EXISTS", *twice),
            resp_encode("HDEL", hash_name, *twice),
            resp_encode("EXISTS", hash_name),
        ]), b"".join([
            b"+OK\r\n",
            b"*%d\r\n" % len(twice), *map(bulk, values + values),
            b":%d\r\n" % FIELDS,
            b"*%d\r\n" % len(twice), *map(bulk, values + values),
            b":%d\r\n:0\r\n:%d\r\n:0\r\n" % (FIELDS, FIELDS),
        ]))
    c.end()


def many_replies(conn, me, rounds):
    """Pipelines of 26,667 commands sent in one go."""
    c = Exact(conn)
    rng = random.Random(SEED + me)
    for r in range(rounds):
        asked, answers, count, now = [], [], 0, {}
        for i in range(REPLIES):
            what = rng.randrange(4)
            key = b"p%d:%d:%d" % (me, r, rng.randrange(500))
            if what == 0:
                now[key] = b"x%d" % i * rng.randrange(1, 30)
                asked.append(resp_encode("SET", key, now[key]))
                answers.append(b"+OK\r\n")
            elif what == 1:
                asked.append(resp_encode("GET", key))
                answers.append(bulk(now[key]) if key in now else b"$-1\r\n")
            elif what == 2:
                count += 1
                asked.append(resp_encode("INCR", b"n%d:%d" % (me, r)))
                answers.append(b":%d\r\n" % count)
            else:
                asked.append(b"PING\r\n")
                answers.append(b"+PONG\r\n")
        c.ask(b"".join(asked), b"".join(answers))
    c.end()


def big_values(conn, me, rounds):
    """16 MiB in, 16 MiB out, and twice out in one pipeline."""
    c = Exact(conn)
    key = b"big%d" % me
    for r in range(rounds):
        value = value_of((SEED, me, r), BIG)
        c.ask(resp_encode("SET", key, value), b"+OK\r\n")
        get = resp_encode("GET", key)
        c.ask(get + resp_encode("STRLEN", key) + get,
              bulk(value) + b":%d\r\n" % BIG + bulk(value))
        at = BIG // 2 - 7
        c.ask(resp_encode("GETRANGE", key, at, at + 9),
              bulk(value[at:at + 10]))
    c.ask(resp_encode("DEL", key), b":1\r\n")
    c.end()


def byte_by_byte(conn, me, rounds):
    """One byte a segment: Conn has TCP_NODELAY, and each byte is a send."""
    c = Exact(conn)
    for r in range(rounds):
        key, value = b"slow%d" % me, b"v%d" % r * 3
        whole = (resp_encode("SET", key, value) + resp_encode("GET", key) +
                 b"GET %s\r\n" % key + resp_encode("DEL", key, key))
        for i in range(len(whole) - 1):
            conn.send(whole[i:i + 1])
        c.ask(whole[-1:], b"+OK\r\n" + bulk(value) * 2 + b":1\r\n")
    c.end()


def byte_by_byte_lines(conn, me, rounds):
    for r in range(rounds):
        whole = b"PUT lines k%d v%d\r\nGET lines k%d\r\n" % (me, r, me)
        for i in range(len(whole)):
            conn.send(whole[i:i + 1])
        want = b"OK\r\nv%d\r\nOK\r\n" % r
        got = conn.read_exact(len(want), 60)
        assert got == want, got


class Together:
    """Threads that all run at once; the first failure of any is the test's."""

    def __init__(self):
        self.threads = []
        self.errors = []
        self.over = threading.Event()

    def add(self, f, *args):
        self.threads.append(threading.Thread(
            target=self._run, args=(f, *args), name=f.__name__, daemon=True))

    def _run(self, f, *args):
        try:
            f(*args)
        except BaseException as e:  # noqa: BLE001  it is the test's
            self.errors.append((threading.current_thread().name, e))

    def run(self, others, limit):
        """The threads to their end, `others` (f(over)) until then."""
        beside = [threading.Thread(target=self._run, args=(f, self.over),
                                   name=f.__name__, daemon=True)
                  for f in others]
        end = time.monotonic() + limit * SLOW
        for t in beside + self.threads:
            t.start()
        for t in self.threads:
            t.join(max(0, end - time.monotonic()))
        left = [t.name for t in self.threads if t.is_alive()]
        self.over.set()
        for t in beside:
            t.join(10 * SLOW)
        if self.errors:
            name, e = self.errors[0]
            raise AssertionError(f"{name}: {e!r}") from e
        if left:
            raise TimeoutError(f"still running: {left}")


class Pressure(kvtest.Case):
    def setUp(self):
        self.note(f"seed {SEED}")
        self.kvd = self.enterContext(Kvd(2))
        with self.kvd.line() as c:
            c.create("lines")
            self.worker = self.kvd.worker_of(c)

    def anon(self):
        return self.worker.anon_bytes()

    def watch_memory(self, over):
        while not over.is_set():
            self.peak = max(self.peak, self.anon())
            over.wait(0.02)

    def pinger(self, port, slowest):
        """Asks and asks; how long the slowest answer took."""
        def ping(over):
            with self.kvd.resp(port, limit=60) as c:
                while not over.is_set():
                    began = time.monotonic()
                    assert c.call("ECHO", "here") == b"here"
                    slowest.append(time.monotonic() - began)
                    over.wait(0.01)
        return ping

    def never_readers(self):
        """Clients that ask for 16 MiB again and again and read nothing."""
        value = value_of("unread", BIG)
        with self.kvd.resp() as c:
            self.assertEqual(c.call("SET", "unread", value, limit=60), b"OK")
        out = []
        for i in range(NEVER_READ):
            c = self.kvd.resp(rcvbuf=4096)
            self.addCleanup(c.close)
            c.send(resp_encode("GET", "unread") * 50)
            out.append(c)
        return out, value

    def start_all(self, together):
        for me in range(2):
            for f, rounds in ((many_arguments, 3), (many_replies, 4),
                              (big_values, 4), (byte_by_byte, 25)):
                c = self.kvd.resp(limit=60)
                self.addCleanup(c.close)
                together.add(f, c, me, rounds)
            c = self.kvd.line(limit=60)
            self.addCleanup(c.close)
            together.add(byte_by_byte_lines, c, me, 40)

    def follow(self):
        """A line subscriber on the other port, of the wide hash."""
        with self.kvd.line() as c:
            c.create("watched")
        sub = self.kvd.line(1, limit=60)
        self.addCleanup(sub.close)
        sub.send(b"SUBSCRIBE watched\r\n")
        with self.kvd.line() as c:  # it stands once it is told something
            def told():
                c.put("watched", "ready", "1")
                return sub.read_quiet(0.05)
            wait_for(told, 10, "a subscription")
            c.put("watched", "begin", "1")
        sub.read_until(b"begin SET TO 1\r\n")
        return sub

    def feed(self, conn, count):
        """What the watcher sees: wide HSETs on the other port."""
        c = Exact(conn)
        for r in range(count):
            pairs = [x for i in range(FIELDS) for x in (b"%d" % i, b"%d" % r)]
            c.ask(resp_encode("HSET", "watched", *pairs),
                  b":%d\r\n" % (FIELDS if r == 0 else 0))

    def check_watcher(self, sub, count):
        for r in range(count):
            want = b"".join(b"%d SET TO %d\r\n" % (i, r)
                            for i in range(FIELDS))
            self.assertEqual(sub.read_exact(len(want), 60), want)

    @limit(240)
    def test_all_at_once_is_answered_right_in_bounded_memory(self):
        before = self.peak = self.anon()
        sub = self.follow()
        unread, value = self.never_readers()
        together = Together()
        self.start_all(together)
        feeder = self.kvd.resp(limit=60)
        self.addCleanup(feeder.close)
        together.add(self.feed, feeder, 3)
        together.add(self.check_watcher, sub, 3)
        pings = ([], [])
        together.run([self.watch_memory, self.pinger(0, pings[0]),
                      self.pinger(1, pings[1])], 200)
        self.note(f"private memory {before >> 20} MiB, at most "
                  f"{self.peak >> 20} of {BOUND >> 20} MiB; slowest ping "
                  f"{max(pings[0]):.2f} s there, {max(pings[1]):.2f} s beside")
        if not INSTRUMENTED:
            self.assertLess(self.peak - before, BOUND)
        self.assertLess(max(pings[0]), 10 * SLOW)
        self.assertLess(max(pings[1]), 10 * SLOW)
        self.check_unread(unread, value)
        self.check_after(before, unread)

    def check_unread(self, unread, value):
        """They were held back, not closed: whoever begins to read gets it
        all."""
        self.assertTrue(all(len(c.buf) == 0 for c in unread))
        first = unread[0]
        want = bulk(value)
        for _ in range(50):
            self.assertEqual(first.read_exact(len(want), 60), want)
        self.assertEqual(first.call("PING"), b"PONG")

    def check_after(self, before, unread):
        log = self.kvd.log_text()
        self.assertNotIn("level=error", log)
        self.assertNotIn(" close ", log)
        for c in unread:
            c.close()

        def is_back():
            return INSTRUMENTED or self.anon() - before < REST
        try:
            wait_for(is_back, 20)
        finally:
            self.note(f"{self.anon() >> 20} MiB afterwards")

    @limit(120)
    def test_no_reply_takes_more_memory_than_the_output_limit(self):
        """One request can name a large value thousands of times."""
        value, many = value_of("many", MIB), 3000
        with self.kvd.resp(limit=60) as c:
            c.must("SET", "k", value)
            c.must("HSET", "h", "f", value, "n", "1")
            self.peak = before = self.anon()
            together = Together()
            together.add(self.ask_too_much, c, many)
            together.run([self.watch_memory], 100)
            self.assertEqual(c.call("PING"), b"PONG")
            self.assertEqual(c.call("HGET", "h", "n"), b"1")
        grown = self.peak - before
        self.note(f"{grown >> 20} MiB for {many} MiB asked for")
        if not INSTRUMENTED:
            self.assertLess(grown, 3 * OUTPUT_LIMIT)

    def ask_too_much(self, c, many):
        asked = [["MGET"] + ["k"] * many, ["HMGET", "h"] + ["f"] * many,
                 ["HRANDFIELD", "h", -2 * many, "WITHVALUES"]]
        for args in asked:
            self.assert_too_large(c.call(*args))
        self.assertEqual(c.call("MULTI"), b"OK")
        queue = [["HINCRBY", "h", "n", "1"]] + [["GET", "k"]] * many
        self.assertEqual(set(c.pipeline(queue)), {b"QUEUED"})
        self.assert_too_large(c.call("EXEC"))

    def assert_too_large(self, answer):
        self.assertIsInstance(answer, kvtest.Error)
        self.assertIn("reply is too large", str(answer))


if __name__ == "__main__":
    kvtest.main()
