# SPDX-License-Identifier: ISC
"""A kvd of one's own: store folder, ports, environment, log, roles, end.

    with Kvd() as kv, kv.line() as c:
        c.create("shopping")

The programs come from KV_BIN (default <root>/build); a store folder is made
under KV_TMP (default /var/tmp) and goes, with its shared memory, when the
server is closed.  Only processes that were started here are ever killed.
"""

import glob
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import kvclock
from kvproc import (Process, children_of, die_with_parent, free_ports,
                    process_of, server_inode, wait_for)
from kvrun import Case, limit, main
from kvwire import (NULL_ARRAY, SLOW, Closed, Conn, Error, LineClient, Map,
                    Push, Refused, RespClient, Set, Simple, resp_encode, same,
                    to_bytes)

__all__ = [
    "BIN", "Case", "Closed", "Conn", "Error", "Kvd", "LineClient", "Map",
    "NULL_ARRAY", "Process", "Push", "Refused", "RespClient", "SLOW", "Set",
    "Served", "Simple", "Store", "ThreePorts", "assert_refused",
    "children_of", "clean_env", "fill_disk", "free_ports", "limit", "main", "process_of", "program", "resp_encode",
    "run_kvd", "same", "server_inode", "to_bytes", "wait_for",
]

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BIN = os.environ.get("KV_BIN", os.path.join(ROOT, "build"))
TMP = os.environ.get("KV_TMP", "/var/tmp")

_numbers = itertools.count(1)
_kept = re.compile(r"(ASAN|UBSAN|TSAN|LSAN|MSAN)_OPTIONS|LLVM_PROFILE_FILE|"
                   r"GCOV_.*|PATH|LD_LIBRARY_PATH|SANITIZER_.*")


def program(name):
    path = os.path.join(BIN, name)
    if not os.access(path, os.X_OK):
        raise AssertionError(f"no {name} in {BIN}: build it first")
    return path


def clean_env(home, extra=None):
    """Nothing of the caller's PORT, NODES, KV_* or configuration files."""
    env = {k: v for k, v in os.environ.items() if _kept.fullmatch(k)}
    env.update(HOME=home, LC_ALL="C.UTF-8")
    for name in ("CONFIG", "STATE", "DATA", "CACHE"):
        env[f"XDG_{name}_HOME"] = os.path.join(home, "." + name.lower())
    env.update(extra or {})
    return {k: v for k, v in env.items() if v is not None}


class Store:
    """A temporary folder: `dir` is the store in it, beside it what a test
    wants to put there.  Removed with the store's shared memory."""

    def __init__(self, dir=None):
        self.base = tempfile.mkdtemp(prefix="kvtest-", dir=TMP)
        os.chmod(self.base, 0o755)
        self.dir = dir or os.path.join(self.base, "store")
        self.name = f"t{os.getpid()}x{next(_numbers)}"
        self.ids = set()

    def note_id(self):
        """Remember the store's id: it names its shared memory folder."""
        try:
            with open(os.path.join(self.dir, "store"), "rb") as f:
                found = re.search(rb"^id\s+([0-9a-fA-F]{16})\s*$", f.read(),
                                  re.M)
        except OSError:
            return None
        if found:
            self.ids.add(found[1].decode())
        return found[1].decode() if found else None

    def shm_folders(self):
        self.note_id()
        return [p for i in self.ids
                if os.path.isdir(p := f"/dev/shm/kv-{i}")]

    def write(self, name, text):
        """A file beside the store, e.g. a configuration; its path."""
        path = os.path.join(self.base, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def remove(self):
        for folder in self.shm_folders() + [
                f for i in self.ids for f in glob.glob(f"/dev/shm/kv-{i}-*")]:
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self.base, ignore_errors=True)


_live = []


def live_logs():
    """The ends of the logs of all servers that have not been closed."""
    out = []
    for kv in _live:
        tail = "\n".join(kv.log_text().splitlines()[-15:])
        out.append(f"\n--- log of {kv}:\n{tail or '(empty)'}\n")
    return "".join(out)


Case.on_failure = staticmethod(live_logs)


class Kvd:
    """A running kvd.

    ports   a number of free ports, or a list of ports, or None: then no -p is
            given and the ports are those the log tells
    args    more arguments; env: more environment (None as value: unset)
    store   a Store to share with others; else one of its own is made
    """

    def __init__(self, ports=2, args=(), env=None, store=None, wait=True):
        self.store = store or Store()
        self.own_store = store is None
        self.args = list(args)
        self.extra = dict(env or {})
        self.ports = free_ports(ports) if isinstance(ports, int) else ports
        self.by_log = ports is None
        self.proc = None
        self.seen = set()
        self.number = next(_numbers)
        _live.append(self)
        try:
            self.start(wait)
        except BaseException:
            self.close()
            raise

    def __repr__(self):
        pid = self.proc.pid if self.proc else "-"
        return f"kvd[{pid}] ports {self.ports} in {self.store.dir}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- start

    def command(self):
        cmd = [program("kvd"), "-d", self.store.dir,
               "--sname", self.store.name]
        if not self.by_log:
            cmd += ["-p", ",".join(map(str, self.ports))]
        if "-c" not in self.args:  # root's default is one for the machine
            cmd += ["-c", self.store.write("empty.conf", "")]
        return cmd + self.args

    def start(self, wait=True):
        """Start it (again); the log of each start is a file of its own."""
        self.log_path = os.path.join(
            self.store.base, f"log.{self.number}.{next(_numbers)}")
        with open(self.log_path, "wb") as log:
            self.began = time.monotonic()
            self.proc = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=clean_env(self.store.base, self.extra),
                preexec_fn=die_with_parent)
        self.me = process_of(self.proc.pid)
        if wait:
            self.wait_ready()

    def wait_ready(self, limit=15):
        if self.by_log:
            self.ports = wait_for(self._logged_ports, limit,
                                  "`listen port=` in the log")
        for port in self.ports:
            wait_for(lambda: self.answers(port), limit,
                     f"answer on port {port}")
        self.ready_after = time.monotonic() - self.began
        self.store.note_id()
        self.children()

    def _logged_ports(self):
        self._check_running()
        found = re.findall(r"\blisten port=(\d+)", self.log_text())
        return [int(p) for p in found]

    def _check_running(self):
        if self.proc.poll() is not None:
            raise AssertionError(
                f"kvd ended at start with {self.proc.returncode}:\n"
                + self.log_text())

    def answers(self, port):
        """A worker answers there, not just the kernel for its listener."""
        self._check_running()
        try:
            with RespClient(port, limit=2) as c:
                return c.call("PING") is not None
        except (OSError, Closed):
            return False

    # -- look

    def line(self, which=0, **kw):
        return LineClient(self.ports[which], **kw)

    def resp(self, which=0, **kw):
        return RespClient(self.ports[which], **kw)

    def log_text(self):
        with open(self.log_path, "rb") as f:
            return f.read().decode(errors="replace")

    def children(self, role=None):
        """Living child processes, of one role (kv-worker, ...) or all."""
        found = children_of(self.proc.pid)
        self.seen.update(found)
        return [p for p in found if role is None or p.name == role]

    def child(self, role, limit=5):
        """The (first) child of that role, waiting until there is one."""
        return wait_for(lambda: self.children(role), limit, f"a {role}")[0]

    def worker_of(self, conn):
        """The worker that holds the server's end of a connection."""
        def find():
            inode = server_inode(conn)
            for p in self.children("kv-worker"):
                if inode in p.socket_inodes():
                    return p
            return None
        return wait_for(find, 5, "the worker of a connection")

    # -- end

    def stop(self, sig=signal.SIGTERM, limit=10, code=0):
        """Orderly end: the exit code is checked, and that nobody is left."""
        left = self.children()
        os.kill(self.proc.pid, sig)
        began = time.monotonic()
        try:
            got = self.proc.wait(limit * SLOW)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"kvd runs {limit * SLOW:.0f} s after signal {sig}") from None
        if got != code:
            raise AssertionError(f"exit code {got}, not {code}:\n"
                                 + self.log_text()[-2000:])
        for p in left:
            wait_for(lambda: not p.is_alive(), 5, f"end of {p} after kvd's")
        return time.monotonic() - began

    def kill9(self):
        """kill -9 of the supervisor alone; its children die with it."""
        left = self.children()
        self.proc.kill()
        self.proc.wait()
        for p in left:
            wait_for(lambda: not p.is_alive(), 5, f"end of {p} after kvd's")

    def kill9_all(self):
        """kill -9 of all of its processes, as close together as can be."""
        everyone = [self.me] + self.children()
        for p in everyone:
            p.kill()
        self.proc.wait()
        for p in everyone:
            wait_for(lambda: not p.is_alive(), 5, f"end of {p}")

    def close(self):
        """Whatever state it is in: nothing is left of it afterwards."""
        if self in _live:
            _live.remove(self)
        if self.proc is not None and self.proc.poll() is None:
            self.children()
            self.proc.kill()
            self.proc.wait()
        for p in self.seen:
            p.kill()
        kvclock.forget_the_dead()
        if self.own_store:
            self.store.remove()


class Outcome:
    """How a program that ends by itself ended."""

    def __init__(self, code, out, err, seconds):
        self.code = code
        self.out = out
        self.err = err
        self.seconds = seconds

    def __repr__(self):
        return (f"exit {self.code} after {self.seconds * 1000:.0f} ms\n"
                f"stdout: {self.out!r}\nstderr: {self.err!r}")


def program_for_all(name):
    """A program where every user can run it, its siblings beside it: the tree
    may lie below a home that is closed to others."""
    folder = tempfile.mkdtemp(prefix="kvtest-bin-", dir=TMP)
    os.chmod(folder, 0o755)
    for file in os.listdir(os.path.dirname(program(name))):
        path = os.path.join(os.path.dirname(program(name)), file)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            shutil.copy(path, folder)
    return os.path.join(folder, name)


def run_kvd(args, env=None, store=None, limit=10, user=None):
    """Run a kvd that is to end by itself, e.g. because it is refused."""
    own = store is None
    store = store or Store()
    kvd = program("kvd") if user is None else program_for_all("kvd")
    began = time.monotonic()
    p = subprocess.Popen(
        [kvd, *args], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=clean_env(store.base, env), preexec_fn=die_with_parent, user=user,
        group=user, extra_groups=None if user is None else [])
    seen = set()
    try:
        out, err = p.communicate(timeout=limit * SLOW)
        seconds = time.monotonic() - began
    except subprocess.TimeoutExpired:
        seen.update(children_of(p.pid))
        p.kill()
        out, err = p.communicate()
        raise AssertionError(
            f"kvd {' '.join(args)} did not end by itself within "
            f"{limit * SLOW:.0f} s; stderr: {err!r}") from None
    finally:
        if user is not None:
            shutil.rmtree(os.path.dirname(kvd))
        for child in seen:
            child.kill()
        store.note_id()
        if own:
            store.remove()
    return Outcome(p.returncode, out.decode(errors="replace"),
                   err.decode(errors="replace"), seconds)


def fill_disk(folder):
    """Take all the room that is left there; returns the file that has it."""
    path = os.path.join(folder, "ballast")
    with open(path, "wb", buffering=0) as f:
        for size in (1 << 20, 4096):
            try:
                while True:
                    f.write(bytes(size))
            except OSError:
                pass
    return path


class Served(Case):
    """One kvd for all tests of a class, started by the first of them."""

    kv = None
    ports = 2

    @classmethod
    def server(cls):
        if cls.kv is None:
            cls.kv = Kvd(ports=cls.ports)
        return cls.kv

    @classmethod
    def tearDownClass(cls):
        if cls.kv is not None:
            cls.kv.close()
            cls.kv = None


class ThreePorts(Case):
    """Two ports, and a third of another kvd on the store."""

    @classmethod
    def setUpClass(cls):
        cls.kv = Kvd()
        cls.addClassCleanup(cls.kv.close)
        cls.other = Kvd(ports=1, store=cls.kv.store)
        cls.addClassCleanup(cls.other.close)

    def client(self, which=0):
        c = self.other.resp() if which == 2 else self.kv.resp(which)
        self.addCleanup(c.close)
        return c


def assert_refused(case, outcome, *words, seconds=2):
    """Exit 1, soon, with one line on stderr that holds all the words."""
    lines = [x for x in outcome.err.splitlines() if x.strip()]
    case.assertEqual(outcome.code, 1, outcome)
    case.assertEqual(len(lines), 1, f"not one line: {outcome}")
    for w in words:
        case.assertIn(w, lines[0])
    case.assertLess(outcome.seconds, seconds * SLOW, outcome)
    case.note(f"refused after {outcome.seconds * 1000:.0f} ms")
    return lines[0]
