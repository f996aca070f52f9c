# SPDX-License-Identifier: ISC
"""Servers to be measured: kvd and redis-server on free loopback ports, with
their data in a folder of their own.  Programs come from KV_BIN (build) and
REDIS_SERVER (redis-server)."""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BIN = os.environ.get("KV_BIN", os.path.join(ROOT, "build"))
REDIS = os.environ.get("REDIS_SERVER", "redis-server")
TMP = os.environ.get("KV_TMP", "/var/tmp")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def clean_env(home):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith("KV_") and k not in ("PORT", "NODES")}
    env["HOME"] = home
    for name in ("CONFIG", "STATE"):
        env.pop(f"XDG_{name}_HOME", None)
    return env


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def descendants(pid):
    """The process and its children, theirs too."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/stat") as f:
                parents[int(name)] = int(f.read().rsplit(")", 1)[1].split()[1])
    found, grown = {pid}, True
    while grown:
        grown = {p for p, parent in parents.items() if parent in found} - found
        found |= grown
    return found


class Server:
    """name: kv or redis; tag tells two of a kind apart; args: more of its own
    options."""

    def __init__(self, name, folder, durability, tag="", args=()):
        self.name = name
        self.folder = os.path.join(folder, f"{name}{tag}-{durability}")
        os.mkdir(self.folder, 0o700)
        self.socket = self.folder + ".sock"
        self.durability = durability
        self.args = list(args)
        self.node = f"bench{os.getpid()}{tag}"
        self.port = free_port()
        self.proc = None
        self.start()

    def command(self):
        if self.name == "kv":
            return [os.path.join(BIN, "kvd"), "-d", self.folder, "-p",
                    str(self.port), "--sname", self.node,
                    "--durability", self.durability,
                    "--unix-socket", self.socket, "--log-level", "warn",
                    *self.args]
        # Rewriting the log in the background is switched off: it would only
        # cost redis.
        return [REDIS, "--bind", "127.0.0.1", "--port", str(self.port),
                "--dir", self.folder, "--unixsocket", self.socket,
                "--appendonly", "yes", "--appendfsync", self.durability,
                "--auto-aof-rewrite-percentage", "0", "--save", "", *self.args]

    def start(self):
        """Returns after how many seconds a GET was answered."""
        self.log = open(self.folder + ".log", "ab")
        began = time.monotonic()
        self.proc = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, env=clean_env(self.folder),
            preexec_fn=die_with_parent)
        while not self.answers():
            if self.proc.poll() is not None or time.monotonic() - began > 300:
                with open(self.folder + ".log", errors="replace") as f:
                    sys.exit(f"bench: {self.name} does not start:\n" + f.read())
            time.sleep(0.001)
        return time.monotonic() - began

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 60) as s:
                s.sendall(b"*2\r\n$3\r\nGET\r\n$12\r\n000000000000\r\n")
                return s.recv(100).startswith(b"$")
        except OSError:
            return False

    def cpu(self):
        """Seconds of processor time of all its processes."""
        ticks = 0
        for pid in descendants(self.proc.pid):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/stat") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def give_way(self):
        """All its processes only get what others leave of the processor."""
        for pid in descendants(self.proc.pid):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))

    def kill9(self):
        """All of its processes at once; returns when they are gone."""
        pids = descendants(self.proc.pid)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.proc.wait()
        for pid in pids:
            while os.path.exists(f"/proc/{pid}"):
                time.sleep(0.0005)

    def stop(self):
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(60)
            except subprocess.TimeoutExpired:
                self.kill9()
        self.log.close()
        # What a killed kvd leaves in memory.
        with contextlib.suppress(OSError):
            with open(os.path.join(self.folder, "store")) as f:
                found = re.search(r"^id ([0-9a-f]{16})$", f.read(), re.M)
            if found:
                shutil.rmtree(f"/dev/shm/kv-{found[1]}", ignore_errors=True)

    def target(self, unix):
        where = self.socket if unix else self.port
        return f"{self.name}={where}:{self.proc.pid}"


def bench(*args):
    done = subprocess.run([os.path.join(BIN, "kv-bench"), *map(str, args)],
                          stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"bench: kv-bench {' '.join(map(str, args))} failed")
    return done.stdout
