#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The line protocol, byte for byte, as the original was observed to speak it.

transcripts.txt (format at its top) is replayed against one kvd: once with all
connections on one port, once with the connections of a case on alternating
ports, so that what one worker changes is seen by the other at once.
"""

import os
import re
import time

import kvtest

HERE = os.path.dirname(os.path.abspath(__file__))
QUIET = 0.015  # nothing more comes: this long after the expected bytes
NONE = 0.06  # nothing comes at all: looked at for this long

LONG_LINE = "a line is one command, however it was cut into segments; " \
    "the limit is that of the value (16 MiB) plus names"


def _long_line(size, name_length=6):
    """The long-line-SIZE cases differ only in their numbers."""
    value = size - len("PUT ") - name_length - len(" k ") - len("\r\n")
    bucket = f"ll{size}"
    return f'''
open A foo
send A "CREATE {bucket}\\r\\n"
recv A "OK\\r\\n"
send A "PUT {bucket} k " + "A"*{value} + "\\r\\n"
recv A "OK\\r\\n"
send A "GET {bucket} k\\r\\n"
recv A "A"*{value} + "\\r\\nOK\\r\\n"
'''


# THE table: case -> (why kv answers otherwise, the case as kv answers it).
DEVIATIONS = {
    "long-line-1461": (LONG_LINE, _long_line(1461)),
    "long-line-1462": (LONG_LINE, _long_line(1462)),
    "long-line-2000": (LONG_LINE, _long_line(2000)),
    "long-line-2920": (LONG_LINE, _long_line(2920)),
    "long-line-2921": (LONG_LINE, _long_line(2921)),
    "long-line-4000": (LONG_LINE, _long_line(4000)),
    "long-line-8000": (LONG_LINE, _long_line(8000)),
    "long-line-20000": (LONG_LINE, _long_line(20000, 7)),
    "long-line-spaces": (LONG_LINE, r'''
open A foo
send A "w "*2000 + "\r\n"
recv A "UNKNOWN COMMAND\r\n"
'''),
    "long-line-no-newline": (LONG_LINE, r'''
open A foo
send A "B"*5000
none A
send A "\r\n"
recv A "UNKNOWN COMMAND\r\n"
'''),
    "long-line-hidden-command": (
        "nothing inside a line is ever executed as another line", r'''
open A foo
send A "CREATE lh\r\n"
recv A "OK\r\n"
send A "C"*1461 + "REATE hidden\r\n"
recv A "UNKNOWN COMMAND\r\n"
send A "PUT hidden k v\r\n"
recv A "NOT FOUND\r\n"
'''),
    "long-line-two-sends": (LONG_LINE, r'''
open A foo
send A "CREATE l2\r\n"
recv A "OK\r\n"
send A "PUT l2 k " + "D"*1000
wait 100
none A
send A "D"*1000 + "\r\n"
recv A "OK\r\n"
send A "GET l2 k\r\n"
recv A "D"*2000 + "\r\nOK\r\n"
'''),
    "long-line-after-short": (LONG_LINE, r'''
open A foo
send A "CREATE l3\r\n"
recv A "OK\r\n"
send A "PUT l3 s v\r\nPUT l3 k " + "E"*1600 + "\r\nGET l3 s\r\n"
recv A "OK\r\nOK\r\nv\r\nOK\r\n"
send A "GET l3 k\r\n"
recv A "E"*1600 + "\r\nOK\r\n"
'''),
    "long-line-1MB": (LONG_LINE, r'''
open A foo
send A "CREATE mb\r\n"
recv A "OK\r\n"
send A "PUT mb k " + "F"*1048576 + "\r\n"
recv A "OK\r\n"
send A "GET mb k\r\n"
recv A "F"*1048576 + "\r\nOK\r\n"
'''),
    "unknown-command": (
        "PING and QUIT are line verbs of ours; the words after QUIT are asked "
        "on a second connection that is in line mode, too", r'''
open A foo
send A "WHATEVER\r\n"
recv A "UNKNOWN COMMAND\r\n"
send A "HELLO world\r\n"
recv A "UNKNOWN COMMAND\r\n"
send A "PING\r\n"
recv A "PONG\r\n"
send A "QUIT\r\n"
recv A "OK\r\n"
eof A
open B foo
send B "WHATEVER\r\n"
recv B "UNKNOWN COMMAND\r\n"
send B "HELP\r\n"
recv B "UNKNOWN COMMAND\r\n"
send B "COUNT SUBSCRIPTIONS\r\n"
recv B "UNKNOWN COMMAND\r\n"
send B "LIST\r\n"
recv B "UNKNOWN COMMAND\r\n"
send B "CREATE,x\r\n"
recv B "UNKNOWN COMMAND\r\n"
send B "GETx y z\r\n"
recv B "UNKNOWN COMMAND\r\n"
'''),
}

# Several nodes there; three ports of one host must look the same here.
THREE_PORTS = ("nodes-create-here-use-there", "nodes-unknown-bucket",
               "nodes-subscribe", "nodes-same-name-race")

_TERM = re.compile(r'\s*"((?:[^"\\]|\\.)*)"(?:\*(\d+))?\s*(\+)?')
_ESCAPE = re.compile(r'\\(x[0-9a-fA-F]{2}|.)')
_PLAIN = {"r": "\r", "n": "\n", "t": "\t", '"': '"', "\\": "\\"}


def unescape(text):
    def one(m):
        return chr(int(m[1][1:], 16)) if m[1][0] == "x" else _PLAIN[m[1]]
    return _ESCAPE.sub(one, text).encode("latin-1")


def payload(text):
    """"A"*3 + "\\r\\n" as bytes."""
    out, at, more = [], 0, True
    while more:
        m = _TERM.match(text, at)
        if m is None:
            raise ValueError(f"not a payload at {text[at:at + 40]!r}")
        out.append(unescape(m[1]) * int(m[2] or 1))
        at, more = m.end(), m[3] is not None
    if text[at:].strip():
        raise ValueError(f"after the payload: {text[at:]!r}")
    return b"".join(out)


def parse_steps(lines):
    """(verb, name, rest) of each line, payloads as bytes."""
    steps = []
    for line in lines:
        verb, _, rest = line.partition(" ")
        name, _, arg = rest.partition(" ")
        if verb in ("send", "recv"):
            arg = payload(arg)
        if verb != "note":
            steps.append((verb, name, arg))
    return steps


def parse_cases(text):
    cases, lines = {}, None
    for line in text.splitlines():
        if line.startswith("@case "):
            lines = cases.setdefault(line.split()[1], [])
        elif lines is not None and line.strip() and line[0] != "#":
            lines.append(line)
    return {name: parse_steps(lines) for name, lines in cases.items()}


with open(os.path.join(HERE, "transcripts.txt"), encoding="ascii") as f:
    REFERENCE = parse_cases(f.read())


def nodes_of(steps):
    return {arg for verb, _, arg in steps if verb == "open"}


def is_single_node(steps):
    return nodes_of(steps) <= {"foo"} and \
        not any(verb == "kill9" for verb, _, _ in steps)


SINGLE = [name for name, steps in REFERENCE.items() if is_single_node(steps)]
SEVERAL = [name for name in REFERENCE if name not in SINGLE]


def deviation(name):
    return parse_steps(DEVIATIONS[name][1].strip().splitlines())


def expectation(name):
    return deviation(name) if name in DEVIATIONS else REFERENCE[name]


def short(data):
    text = repr(data)
    return text if len(text) < 300 else \
        f"{text[:140]} ... {text[-140:]} ({len(data)} bytes)"


class Player:
    """Plays one case; port_of(number of the open, node) tells the port."""

    def __init__(self, port_of):
        self.port_of = port_of
        self.conns = {}

    def play(self, steps):
        try:
            for number, (verb, name, arg) in enumerate(steps, 1):
                try:
                    getattr(self, verb)(name, arg)
                except AssertionError as e:
                    raise AssertionError(
                        f"step {number}, {verb} {name}: {e}") from None
        finally:
            for c in self.conns.values():
                c.close()

    def open(self, name, node):
        port = self.port_of(len(self.conns), node)
        self.conns[name] = kvtest.Conn(port)

    def send(self, name, data):
        self.conns[name].send(data)

    def recv(self, name, wanted):
        c, got = self.conns[name], b""
        try:
            got = c.read_exact(len(wanted))
        except (TimeoutError, kvtest.Closed):
            got = bytes(c.buf)
        else:
            got += c.read_quiet(QUIET)
        if got != wanted:
            raise AssertionError(f"\n  wanted {short(wanted)}"
                                 f"\n  got    {short(got)}")

    def none(self, name, _):
        c = self.conns[name]
        if got := c.read_quiet(QUIET, first=NONE):
            raise AssertionError(f"nothing was to come, but {short(got)}")
        if not c.is_open():
            raise AssertionError("the server closed the connection")

    def eof(self, name, _):
        try:
            got = self.conns[name].read_to_eof()
        except (TimeoutError, ConnectionError) as e:
            raise AssertionError(f"no orderly close: {e!r}") from None
        if got:
            raise AssertionError(f"before the end came {short(got)}")

    def shut(self, name, _):
        self.conns[name].shut()

    def close(self, name, _):
        self.conns[name].close()

    def abort(self, name, _):
        self.conns[name].abort()

    def wait(self, ms, _):
        """Only the client's own timing between two segments matters here;
        the reference's longer waits were for its supervisors."""
        time.sleep(min(int(ms), 100) / 1000)


class TheTables(kvtest.Case):
    def test_the_copy_holds_all_66_cases_of_the_reference(self):
        self.assertEqual(len(REFERENCE), 66)
        self.assertEqual(len(SINGLE), 60)
        original = os.path.join(kvtest.ROOT, os.pardir, "shared", "reference",
                                "transcripts.txt")
        if os.path.exists(original):
            with open(original) as a, \
                    open(os.path.join(HERE, "transcripts.txt")) as b:
                self.assertEqual(a.read(), b.read())

    def test_every_deviation_is_used_and_really_deviates(self):
        for name, (reason, _) in DEVIATIONS.items():
            with self.subTest(name):
                self.assertIn(name, SINGLE)
                self.assertNotEqual(deviation(name), REFERENCE[name])
                self.assertGreater(len(reason), 20)

    def test_a_deviation_sends_what_the_reference_sends(self):
        """What differs is the answer.  (unknown-command has to open a second
        connection because QUIT ends the first.)"""
        for name in DEVIATIONS:
            if name == "unknown-command":
                continue
            with self.subTest(name):
                def sent(steps):
                    return [s for s in steps if s[0] == "send"]
                self.assertEqual(sent(deviation(name)),
                                 sent(REFERENCE[name]))

    def test_every_step_of_the_reference_is_one_the_player_knows(self):
        for name in SINGLE + list(THREE_PORTS):
            for verb, _, _ in expectation(name):
                self.assertTrue(hasattr(Player, verb), f"{name}: {verb}")

    def test_payloads_are_read_as_the_format_says(self):
        self.assertEqual(payload(r'"a\r\n\t\"\\\xff" + "b"*3 + "+"'),
                         b'a\r\n\t"\\\xffbbb+')
        self.assertRaises(ValueError, payload, '"a" "b"')
        self.assertRaises(ValueError, payload, '"a" + ')


class Round(kvtest.Served):
    """One kvd for all cases of a round: cases use their own bucket names."""


class OnOnePort(Round):
    def play(self, name):
        ports = self.server().ports
        Player(lambda number, node: ports[0]).play(expectation(name))


class OnAlternatingPorts(Round):
    def play(self, name):
        ports = self.server().ports
        Player(lambda number, node: ports[number % 2]).play(expectation(name))


class OnThreePorts(Round):
    ports = 3

    def play(self, name):
        port = dict(zip(("foo", "bar", "baz"), self.server().ports))
        Player(lambda number, node: port[node]).play(expectation(name))


def _add(cls, names, suffix, skip=None):
    for name in names:
        def test(self, name=name):
            if skip:
                self.skipTest(skip)
            self.play(name)
        word = re.sub(r"\W", "_", name)
        setattr(cls, f"test_case_{word}_{suffix}", test)


_add(OnOnePort, SINGLE, "answers_as_the_original_on_one_port")
_add(OnOnePort, SEVERAL, "is_not_a_single_node_case",
     "needs several nodes: tests/integration of kv-syncd")
_add(OnAlternatingPorts, SINGLE, "answers_as_the_original_across_ports")
_add(OnThreePorts, THREE_PORTS, "answers_on_three_ports_as_on_three_nodes")

if __name__ == "__main__":
    kvtest.main()
