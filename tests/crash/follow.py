# SPDX-License-Identifier: ISC
"""Subscribers that come back where they were, and the one order they must
all have seen."""

import socket
import threading
import time


class Follower(threading.Thread):
    """SUBSCRIBE bucket FROM ..., again and again, on one port."""

    def __init__(self, port, bucket):
        super().__init__(daemon=True)
        self.port = port
        self.bucket = bucket
        self.pieces = [[]]  # of (seq, text); a new one after each gap
        self.odd = []
        self.ready = threading.Event()
        self.ending = threading.Event()
        self.last = None
        self.resumed = []  # places at which it came back
        self.end_mark = None
        self.saw_end = threading.Event()

    def run(self):
        while not self.ending.is_set():
            try:
                self._session()
            except OSError:
                self.ending.wait(0.01)

    def _session(self):
        with socket.create_connection(("127.0.0.1", self.port), 2) as s:
            place = "NOW" if self.last is None else str(self.last)
            if self.last is not None:
                self.resumed.append(self.last)
            s.sendall(f"SUBSCRIBE {self.bucket} FROM {place}\r\n".encode())
            s.settimeout(0.2)
            rest = b""
            began = time.monotonic()
            while not self.ending.is_set():
                if time.monotonic() - began > 0.1:
                    self.ready.set()
                try:
                    data = s.recv(1 << 18)
                except socket.timeout:
                    self.ready.set()
                    continue
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\r\n")
                for line in lines:
                    self._take(line)

    def _take(self, line):
        number, _, text = line.partition(b" ")
        if line == b"GAP":
            self.pieces.append([])
        elif not number.isdigit():
            self.odd.append(line)
        else:
            self.last = int(number)
            self.pieces[-1].append((self.last, text))
            if self.end_mark and text == self.end_mark:
                self.saw_end.set()

    @property
    def first_resumed(self):
        return self.resumed[0] if self.resumed else 1 << 64

    def end(self):
        self.ending.set()
        self.join(5)


def _merge(followers):
    """All changes by seq; what is wrong with one of them, or None."""
    merged = {}
    for f in followers:
        if f.odd:
            return f"port {f.port}: unexpected line {f.odd[0]!r}", merged
        for piece in f.pieces:
            before = 0
            for seq, text in piece:
                if seq <= before:
                    return f"port {f.port}: {seq} after {before}", merged
                before = seq
                if merged.setdefault(seq, text) != text:
                    return (f"seq {seq}: {text[:60]!r} and "
                            f"{merged[seq][:60]!r}"), merged
    return None, merged


def _missed(piece, resumed, merged, order, before_gap):
    """The first change that should have been told and was not.  Who comes
    back where the log no longer reaches is told each key's newest change
    only; that one may lie in the gap that follows the piece."""
    seen = dict(piece)
    told_later = set()
    for seq in reversed(order):
        key = merged[seq].partition(b" ")[0]
        if before_gap and seq > piece[-1][0]:
            told_later.add(key)
        if not piece[0][0] <= seq <= piece[-1][0]:
            continue
        if seq in seen:
            told_later.add(key)
        elif seq <= resumed or key not in told_later:
            return seq
    return None


def check_order(followers):
    """What is wrong, as text, or None; and the merged changes in order."""
    wrong, merged = _merge(followers)
    if wrong:
        return wrong, []
    order = sorted(merged)
    for f in followers:
        for n, piece in enumerate(f.pieces):
            # Before it first came back a follower has heard everything.
            resumed = f.first_resumed if n == 0 else 0
            missed = _missed(piece, resumed, merged, order,
                             n + 1 < len(f.pieces)) if piece else None
            if missed is not None:
                return (f"port {f.port}: missed {missed} "
                        f"{merged[missed][:60]!r}; heard {piece[0][0]} to "
                        f"{piece[-1][0]}, came back behind {f.resumed}"), []
    return None, [merged[s] for s in order]


def last_values(changes):
    """Key -> number of the operation that wrote it last, 0 when deleted."""
    last = {}
    for text in changes:
        key, _, rest = text.partition(b" ")
        if rest == b"DELETED":
            last[key] = 0
        else:
            last[key] = rest.removeprefix(b"SET TO ").partition(b".")[0]
    return last
