# SPDX-License-Identifier: ISC
"""Processes as /proc shows them, free ports, waiting for a condition."""

import contextlib
import ctypes
import os
import random
import re
import signal
import socket
import time

from kvwire import SLOW


def wait_for(predicate, limit=10, what=None):
    """Poll until predicate() is true and return what it returned.  Of a pause
    that was much too long, because the machine or we stood still, little
    counts: those who are waited for may have stood still, too."""
    left = limit * SLOW
    pause = 0.001
    while True:
        began = time.monotonic()
        if got := predicate():
            return got
        if left <= 0:
            name = what or getattr(predicate, "__name__", "condition")
            raise TimeoutError(f"{name} not true within {limit * SLOW:.1f} s")
        asked = time.monotonic()
        time.sleep(pause)
        left -= asked - began + min(time.monotonic() - asked, 5 * pause)
        pause = min(pause * 1.5, 0.02)


def _is_free(port):
    """Nobody listens there, on any address, and no connection holds it."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("0.0.0.0", port))
            s.listen(1)
        except OSError:
            return False
    return True


def free_ports(count, consecutive=False):
    """Free TCP ports below the range the kernel hands out by itself, so that
    no outgoing connection takes one before the server does."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        top = min(int(f.read().split()[0]), 30000)
    bottom = 10000 if top > 12000 else 1100
    for _ in range(1000):
        if consecutive:
            first = random.randrange(bottom, top - count)
            ports = list(range(first, first + count))
        else:
            ports = random.sample(range(bottom, top), count)
        if all(map(_is_free, ports)):
            return ports
    raise RuntimeError("no free ports")


def _stat(pid):
    """(name, state, ppid, start time) or None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            text = f.read()
    except OSError:
        return None
    name = text[text.index(b"(") + 1:text.rindex(b")")].decode(errors="replace")
    rest = text[text.rindex(b")") + 2:].split()
    return name, rest[0].decode(), int(rest[1]), int(rest[19])


class Process:
    """A process that cannot be mistaken for a later one of the same pid."""

    def __init__(self, pid, name, start):
        self.pid = pid
        self.name = name
        self.start = start

    def __repr__(self):
        return f"{self.name}[{self.pid}]"

    def __eq__(self, other):
        return (self.pid, self.start) == (other.pid, other.start)

    def __hash__(self):
        return hash((self.pid, self.start))

    def is_alive(self):
        s = _stat(self.pid)
        return s is not None and s[3] == self.start and s[1] not in "ZX"

    def kill(self, sig=signal.SIGKILL):
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):  # ended just now
                os.kill(self.pid, sig)

    def kill_and_wait(self, sig=signal.SIGKILL, limit=10):
        self.kill(sig)
        wait_for(lambda: not self.is_alive(), limit, f"end of {self}")

    def anon_bytes(self):
        """Private memory: without files, maps and shared segments."""
        return self._status("RssAnon")

    def private_bytes(self):
        """What it alone has: also of files and maps, where it wrote there."""
        with open(f"/proc/{self.pid}/smaps_rollup") as f:
            found = dict(re.findall(r"(?m)^(\w+):\s+(\d+) kB", f.read()))
        return 1024 * (int(found["Private_Dirty"]) +
                       int(found["Private_Clean"]))

    def anonymous_bytes(self):
        """Memory that is no mapping of a file, as the tree and the log are."""
        with open(f"/proc/{self.pid}/smaps_rollup") as f:
            return 1024 * int(re.search(r"(?m)^Anonymous:\s+(\d+) kB",
                                        f.read())[1])

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self, field):
        with open(f"/proc/{self.pid}/status") as f:
            found = re.search(rf"^{field}:\s+(\d+) kB", f.read(), re.M)
        return int(found[1]) * 1024

    def proc_bytes(self, what):
        """/proc/PID/cmdline or environ."""
        with open(f"/proc/{self.pid}/{what}", "rb") as f:
            return f.read()

    def socket_inodes(self):
        found = set()
        folder = f"/proc/{self.pid}/fd"
        try:
            for fd in os.listdir(folder):
                try:
                    link = os.readlink(f"{folder}/{fd}")
                except OSError:
                    continue
                if link.startswith("socket:["):
                    found.add(int(link[8:-1]))
        except OSError:
            pass
        return found


def _program_name(pid, comm):
    """The program's file name: comm is cut at 15 bytes."""
    try:
        exe = os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
        return os.path.basename(exe) if exe.rsplit("/", 1)[-1].startswith(
            "kv") else comm
    except OSError:
        return comm


def children_of(pid):
    """All living descendants, nearest first."""
    parent = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (s := _stat(int(entry))) and s[1] not in "ZX":
            parent.setdefault(s[2], []).append((int(entry), s[0], s[3]))
    out, todo = [], [pid]
    while todo:
        for child, comm, start in sorted(parent.get(todo.pop(0), [])):
            out.append(Process(child, _program_name(child, comm), start))
            todo.append(child)
    return out


def server_inode(conn):
    """The inode of the server's end of an IPv4 loopback connection."""
    mine = conn.sock.getsockname()[1]
    with open("/proc/net/tcp") as f:
        next(f)
        for line in f:
            w = line.split()
            if int(w[1][9:], 16) == conn.port and int(w[2][9:], 16) == mine:
                return int(w[9])
    return None


def process_of(pid):
    s = _stat(pid)
    return Process(pid, _program_name(pid, s[0]), s[3]) if s else None


_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """For preexec_fn: a test runner that is killed leaves nobody behind."""
    _libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
