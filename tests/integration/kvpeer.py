# SPDX-License-Identifier: ISC
"""A peer that holds the cookie and sends what a test wants (hostile_peer.c),
and the words of the protocol for it (src/sync/frame.h, op.h)."""

import contextlib
import hashlib
import random
import struct
import subprocess
import threading
import time

from kvproc import die_with_parent, wait_for
from kvtest import program

(HELLO, VV, SUB, RESYNC, PULL, OWN, FULL, RANGE, DATA_RANGE, ACK,
 DIGEST, BARRIER, BARRIER_OK) = range(1, 14)
PING, PONG, REDIRECT = 16, 17, 18
CALL, REPLY, PRESENCE, MESSAGE, FLOW = range(32, 37)
BYE, PART, LEFT = 127, 128, 129

PUT, TOMB, BUCKET, VVROW, MARK = range(1, 6)
END = 1
UID, INC = 0x00e711e711e711e7, 0x0bad0bad0bad0bad


def now_ms():
    return time.time_ns() // 1000000


def tick(ms=0):
    """A stamp of now, or so much later; each is another one."""
    tick.last = max(tick.last + 1, now_ms() << 16)
    return tick.last + (ms << 16)


tick.last = 0


def u8(x):
    return struct.pack(">B", x)


def u16(x):
    return struct.pack(">H", x)


def u32(x):
    return struct.pack(">I", x)


def u64(*xs):
    return struct.pack(f">{len(xs)}Q", *xs)


def rows(pairs):
    return b"".join(u64(*p) for p in pairs)


# ---- frames

def hello(name=b"evil@host", dialled=b"", uid=UID, inc=INC, wall=None,
          start=None, head=None, lineage=(), timeout=10000, port=4069):
    start = tick() if start is None else start
    return (u8(HELLO) + u64(now_ms() if wall is None else wall, uid, inc,
                            start, start if head is None else head)
            + u16(port) + u8(len(name)) + name + u8(len(dialled)) + dialled
            + u16(len(lineage)) + rows(lineage) + u32(0) + u32(timeout))


def vv(cursor, pairs, flags=0, kind=VV):
    return u8(kind) + u8(flags) + u64(cursor) + rows(pairs)


def ask_range(id, purpose=2, lo=(0, b""), hi=(0, b"")):
    return (u8(RANGE) + u64(id) + u8(purpose) + u64(lo[0]) + u16(len(lo[1]))
            + lo[1] + u64(hi[0]) + u16(len(hi[1])) + hi[1])


def ack(stream, cursor, credit, flags=0):
    return u8(ACK) + u8(stream) + u8(flags) + u64(cursor) + u32(credit)


def ping(token=1, kind=PING, wall=None):
    return u8(kind) + u64(token, now_ms() if wall is None else wall)


def call(id, *argv, flags=0, deadline=1000):
    args = u16(len(argv)) + b"".join(u32(len(a)) + a for a in argv)
    return u8(CALL) + u64(id) + u8(flags) + u32(deadline) + args


def part(at_tick, size, at, channel, piece, inc=INC):
    return (u8(PART) + u64(inc, at_tick) + u32(size) + u32(at)
            + u16(len(channel)) + channel + piece)


def presence(entries, flags=0):
    return u8(PRESENCE) + u8(flags) + b"".join(
        u8(gone) + u64(id, t) + u8(len(name)) + name
        for gone, id, t, name in entries)


def reply(id, body=b"", flags=0, cls=0):
    return u8(REPLY) + u64(id) + u8(flags) + u8(cls) + body


def flow(id, credit):
    return u8(FLOW) + u64(id) + u32(credit)


def barrier(id, at):
    return u8(BARRIER) + u64(id, at)


def barrier_ok(id, pairs, flags=0):
    return u8(BARRIER_OK) + u64(id) + u8(flags) + rows(pairs)


def digest(hashes, entries, flags=0):
    return u8(DIGEST) + u8(flags) + u64(*hashes) + b"".join(
        u64(*e) for e in entries)


def message(inc, at, channel, payload):
    return u8(MESSAGE) + u64(inc, at) + u16(len(channel)) + channel + \
        payload


# ---- ops

def op(kind, flags, body):
    return u32(len(body) + 2) + u8(kind) + u8(flags) + body


def put(bid, key, value=b"", at=None, inc=INC, kind=PUT, klen=None):
    return op(kind, 0, u64(tick() if at is None else at, inc, bid)
              + u16(len(key) if klen is None else klen) + key + value)


def bucket(name, options=0, created=None, dropped=(0, 0)):
    created = (tick(), INC) if created is None else created
    return op(BUCKET, 0, u64(*created, *dropped) + u32(options) + name)


def bucket_id(name):
    return int.from_bytes(hashlib.blake2b(
        b"bucket" + name, digest_size=8).digest(), "big")


def mark(cursor, head=None, flags=END):
    return op(MARK, flags, u64(cursor, cursor if head is None else head))


def vvrow(inc, at, flags=0):
    return op(VVROW, flags, u64(inc, at))


def data(*ops, kind=OWN):
    return u8(kind) + b"".join(ops)


def stream(*ops, kind=OWN, most=60000):
    """Frames of the ops, cut where they are full."""
    all = b"".join(ops)
    return [data(all[i:i + most], kind=kind)
            for i in range(0, len(all), most)]


class Peer:
    """A link to a node.  Frames that came are in .frames."""

    def __init__(self, node, cookie, cluster="kv", source="127.0.0.9",
                 greet=True):
        self.p = subprocess.Popen(
            [program("tests/hostile_peer"), str(node.sync_port()), cookie,
             cluster, source], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, preexec_fn=die_with_parent)
        self.frames, self.said, self.state = [], [], "shaking"
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        wait_for(lambda: self.state != "shaking", 10, "a handshake")
        if greet and self.state == "linked":
            self.send(hello())
            self.wait_frame(SUB)

    def _listen(self):
        for line in self.p.stdout:
            word, _, rest = line.strip().partition(b" ")
            if word == b"frame":
                self.frames.append(bytes.fromhex(rest.decode()))
            elif word in (b"linked", b"closed", b"failed"):
                self.why = rest.decode()
                self.state = word.decode()
        if self.state == "linked":
            self.state = "closed"

    def tell(self, line):
        try:
            self.p.stdin.write(line.encode() + b"\n")
            self.p.stdin.flush()
        except (BrokenPipeError, ConnectionResetError):
            pass  # closed, as it should be

    def send(self, *frames):
        for f in frames:
            self.tell("frame " + f.hex())

    def repeat(self, n, frame):
        self.tell(f"repeat {n} {frame.hex()}")

    def of(self, kind):
        return [f for f in self.frames if f[0] == kind]

    def wait_frame(self, kind, count=1, limit=10):
        wait_for(lambda: len(self.of(kind)) >= count or self.state != "linked",
                 limit, f"a frame {kind}; came: "
                 f"{sorted({f[0] for f in self.frames})}")
        found = self.of(kind)
        if len(found) < count:
            raise AssertionError(f"{self.state} before a frame {kind}: "
                                 f"{self.why} {self.bye()}")
        return found[count - 1]

    def wait_closed(self, limit=10):
        wait_for(lambda: self.state != "linked", limit, "the link's end")

    def bye(self):
        """Code and text of the leave that was taken, or None."""
        found = self.of(BYE)
        return (found[-1][1], found[-1][2:].decode()) if found else None

    def close(self):
        with contextlib.suppress(OSError):
            self.p.stdin.close()
        self.p.kill()
        self.p.wait()
        self.thread.join(5)
        self.p.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def junk(seed, size):
    return random.Random(seed).randbytes(size)
