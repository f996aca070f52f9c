# SPDX-License-Identifier: ISC
"""What a client speaks: bytes with time limits, the line protocol, RESP2 and 3.

Nothing here waits without a limit, and nothing here knows about processes.
"""

import os
import select
import socket
import struct
import time

# Everything takes longer under a sanitizer or on a loaded machine.
SLOW = float(os.environ.get("KV_SLOW", "1"))


class Closed(Exception):
    """The server closed the connection in an orderly way, too early."""


class Conn:
    """A TCP connection on loopback, or, for a path, one to a unix socket.
    Sending never blocks on a peer that is itself waiting to be read: what
    comes in meanwhile is kept."""

    def __init__(self, port, host="127.0.0.1", limit=10, rcvbuf=None):
        self.port = port
        self.limit = limit * SLOW
        self.buf = bytearray()
        self.eof = False
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if isinstance(port, str):
            family = socket.AF_UNIX
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if rcvbuf is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(self.limit)
        if family == socket.AF_UNIX:
            self.sock.connect(port)
        else:
            self.sock.connect((host, port))
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _poll(self, events, seconds):
        p = select.poll()
        p.register(self.sock, events)
        return bool(p.poll(max(0, seconds) * 1000))

    def _take(self):
        """Move what has arrived into the buffer; False when nothing had."""
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return False
        if data:
            self.buf += data
        else:
            self.eof = True
        return True

    def send(self, data, limit=None):
        view = memoryview(data)
        end = time.monotonic() + (limit * SLOW if limit else self.limit)
        while view:
            left = end - time.monotonic()
            events = select.POLLOUT | (0 if self.eof else select.POLLIN)
            if left <= 0 or not self._poll(events, left):
                raise TimeoutError(f"{len(view)} bytes could not be sent")
            if not self.eof:
                self._take()
            try:
                view = view[self.sock.send(view):]
            except BlockingIOError:
                pass

    def fill(self, seconds):
        """Wait so long for more; False when nothing came or it ended."""
        if self.eof or not self._poll(select.POLLIN, seconds):
            return False
        return self._take() and not self.eof

    def read_exact(self, count, limit=None):
        end = time.monotonic() + (limit * SLOW if limit else self.limit)
        while len(self.buf) < count:
            if not self.fill(end - time.monotonic()):
                self._short(f"{count} bytes")
        return self._cut(count)

    def read_until(self, mark, limit=None):
        """Everything up to `mark`, which is dropped."""
        end = time.monotonic() + (limit * SLOW if limit else self.limit)
        start = 0
        while (at := self.buf.find(mark, start)) < 0:
            start = max(0, len(self.buf) - len(mark) + 1)
            if not self.fill(end - time.monotonic()):
                self._short(repr(mark))
        out = self._cut(at)
        self._cut(len(mark))
        return out

    def read_quiet(self, quiet=0.015, first=0.0):
        """What comes until nothing came for `quiet` seconds."""
        self.fill(first)
        while self.fill(quiet):
            pass
        return self._cut(len(self.buf))

    def read_to_eof(self, limit=None):
        """Everything up to the server's orderly close; a reset raises."""
        end = time.monotonic() + (limit * SLOW if limit else self.limit)
        while not self.eof:
            if not self.fill(end - time.monotonic()) and not self.eof:
                raise TimeoutError(
                    f"not closed; {len(self.buf)} bytes came: {self._tail()}")
        return self._cut(len(self.buf))

    def is_open(self):
        """No orderly close and no reset has arrived."""
        try:
            while not self.eof and self._take():
                pass
        except OSError:
            return False
        return not self.eof

    def _cut(self, count):
        out = bytes(self.buf[:count])
        del self.buf[:count]
        return out

    def _tail(self):
        return repr(bytes(self.buf[-80:]))

    def _short(self, wanted):
        got = f"{len(self.buf)} bytes came: {self._tail()}"
        if self.eof:
            raise Closed(f"closed while waiting for {wanted}; {got}")
        raise TimeoutError(f"waited for {wanted}; {got}")

    def shut(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def abort(self):
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        self.sock.close()


def to_bytes(x):
    if isinstance(x, (bytes, bytearray)):
        return bytes(x)
    return str(x).encode()


class Refused(Exception):
    """An answer other than the one the call is for; str() is the line."""


class LineClient(Conn):
    """The line protocol.  Words may be str or bytes."""

    def read_line(self, limit=None):
        return self.read_until(b"\r\n", limit)

    def line(self, *words):
        """Send one command, read one line of answer."""
        self.send(b" ".join(map(to_bytes, words)) + b"\r\n")
        return self.read_line()

    def ok(self, *words):
        answer = self.line(*words)
        if answer != b"OK":
            raise Refused(f"{words[:3]!r}: {answer!r}")

    def create(self, bucket):
        self.ok("CREATE", bucket)

    def put(self, bucket, key, value):
        self.ok("PUT", bucket, key, value)

    def get(self, bucket, key):
        """The value; b"" when there is none, as the protocol has it."""
        first = self.line("GET", bucket, key)
        if first in (b"NOT FOUND", b"UNKNOWN COMMAND") or \
                first.startswith(b"ERROR "):
            raise Refused(f"GET {bucket!r} {key!r}: {first!r}")
        if (second := self.read_line()) != b"OK":
            raise Refused(f"no OK after a value: {second!r}")
        return first

    def batch(self, commands, limit=None):
        """Send all lines in one go; one line of answer each (no GET)."""
        commands = list(commands)
        self.send(b"".join(to_bytes(c) + b"\r\n" for c in commands), limit)
        return [self.read_line(limit) for _ in commands]


class Simple(bytes):
    """+TEXT"""


class Error(Exception):
    """-TEXT or !TEXT; .text is bytes."""

    def __init__(self, text):
        super().__init__(text.decode("utf-8", "backslashreplace"))
        self.text = text

    def __eq__(self, other):
        return isinstance(other, Error) and self.text == other.text

    def __hash__(self):
        return hash(self.text)

    def __repr__(self):
        return f"Error({self.text!r})"


class NullArray:
    """*-1, which RESP2 tells from $-1."""

    def __repr__(self):
        return "NULL_ARRAY"

    def __bool__(self):
        return False


NULL_ARRAY = NullArray()


class Set(list):
    """~N"""


class Push(list):
    """>N"""


class Map(list):
    """%N: a list of [key, value]."""

    def __repr__(self):
        return "Map" + super().__repr__()


def resp_encode(*args):
    """One command as an array of bulk strings."""
    out = [b"*%d\r\n" % len(args)]
    for a in map(to_bytes, args):
        out.append(b"$%d\r\n%s\r\n" % (len(a), a))
    return b"".join(out)


class RespClient(Conn):
    """RESP, either version; the reply's own type bytes decide."""

    def call(self, *args, limit=None):
        """One command, one reply; an error comes back as a value."""
        self.send(resp_encode(*args), limit)
        return self.read_reply(limit)

    def must(self, *args, limit=None):
        """The same; an error reply raises."""
        reply = self.call(*args, limit=limit)
        if isinstance(reply, Error):
            raise reply
        return reply

    def pipeline(self, commands, limit=None):
        commands = list(commands)
        self.send(b"".join(resp_encode(*c) for c in commands), limit)
        return [self.read_reply(limit) for _ in commands]

    def inline(self, text, limit=None):
        self.send(to_bytes(text) + b"\r\n", limit)
        return self.read_reply(limit)

    def read_reply(self, limit=None):
        head = self.read_until(b"\r\n", limit)
        kind, rest = head[:1], head[1:]
        if kind in self._AGGREGATE:
            return self._aggregate(kind, int(rest), limit)
        if kind in (b"$", b"=", b"!"):
            return self._bulk(kind, int(rest), limit)
        if kind in self._SCALAR:
            return self._SCALAR[kind](rest)
        raise ValueError(f"not a RESP reply: {head[:80]!r}")

    _SCALAR = {
        b"+": Simple,
        b"-": Error,
        b":": int,
        b"(": int,
        b"_": lambda rest: None,
        b",": float,
        b"#": lambda rest: {b"t": True, b"f": False}[rest],
    }
    _AGGREGATE = {b"*": list, b"~": Set, b">": Push, b"%": Map, b"|": Map}

    def _bulk(self, kind, length, limit):
        if length < 0:
            return None
        data = self.read_exact(length + 2, limit)
        if data[-2:] != b"\r\n":
            raise ValueError(f"bulk does not end in CRLF: {data[-20:]!r}")
        if kind == b"!":
            return Error(data[:-2])
        return data[4:-2] if kind == b"=" else data[:-2]

    def _aggregate(self, kind, count, limit):
        if count < 0:
            return NULL_ARRAY
        if kind in (b"%", b"|"):
            pairs = Map([self.read_reply(limit), self.read_reply(limit)]
                        for _ in range(count))
            # An attribute only announces the reply that follows it.
            return pairs if kind == b"%" else self.read_reply(limit)
        return self._AGGREGATE[kind](
            self.read_reply(limit) for _ in range(count))


def same(a, b):
    """Equal in value and in wire type, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b
