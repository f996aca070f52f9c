# SPDX-License-Identifier: ISC
"""Hosts of our own: a network namespace each, joined by tests/net/wire.py,
with a kvd in it that knows all others.

    with Network(3) as net:
        net.start()
        net.hosts[0].line().put("b", "k", "v")

Clients reach a kvd over its unix socket, so that the network between the
hosts may be as bad as it likes.  Needs root (ip netns, AF_PACKET)."""

import ctypes
import fcntl
import glob
import itertools
import os
import shutil
import socket
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import kvclock  # noqa: E402
import kvtest  # noqa: E402
from kvtest import Kvd, Store, clean_env, die_with_parent, wait_for  # noqa: E402

_nets = itertools.count(1)
NETWORK = "10.77.0."

# What a network card would do; read by AF_PACKET before it is done, a frame
# has no checksum yet, or is 64 KiB long.  ethtool's numbers (linux/ethtool.h).
_SIOCETHTOOL = 0x8946
_OFFLOADS = (0x17, 0x19, 0x1f, 0x22, 0x24, 0x2c)  # tx, sg, tso, ufo, gso, gro


def why_not():
    """None, or why this machine cannot have hosts of our own."""
    if os.geteuid() != 0:
        return "not root"
    for tool in ("ip",):
        if shutil.which(tool) is None:
            return f"no {tool} (package iproute2)"
    name = f"kvtry{os.getpid()}"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True,
                          text=True)
    if done.returncode != 0:
        return f"ip netns add: {done.stderr.strip()}"
    # In a chroot namespaces can be made, but not entered.
    done = subprocess.run(["ip", "netns", "exec", name, "true"],
                          capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", name], check=True)
    return f"ip netns exec: {done.stderr.strip()}" if done.returncode else None


def ip(*words, ns=None):
    command = ["ip"] + (["-n", ns] if ns else []) + list(words)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}")


def without_offloads(interface):
    """To be run inside the namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for command in _OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sP", interface.encode(),
                                  ctypes.addressof(value))
            try:
                fcntl.ioctl(s, _SIOCETHTOOL, request)
            except OSError:
                pass  # it has none of these


class Network:
    """n hosts; numbers count from 1, as in the wire's orders."""

    def __init__(self, n, seed=1, **options):
        self.id = f"kv{os.getpid()}n{next(_nets)}"
        self.hub = f"{self.id}hub"
        self.spaces = []
        self.hosts = []
        self.wire = None
        try:
            self._make(n, seed)
            self.hosts = [Host(self, i, **options) for i in range(1, n + 1)]
        except BaseException:
            self.close()
            raise

    def _make(self, n, seed):
        ip("netns", "add", self.hub)
        self.spaces.append(self.hub)
        ends = []
        for i in range(1, n + 1):
            space = f"{self.id}h{i}"
            ip("netns", "add", space)
            self.spaces.append(space)
            end = f"v{i}"
            ip("link", "add", "eth0", "netns", space, "type", "veth", "peer",
               "name", end, "netns", self.hub)
            ends.append(end)
            ip("addr", "add", f"{NETWORK}{i}/24", "dev", "eth0", ns=space)
            for device, ns in (("eth0", space), ("lo", space),
                               (end, self.hub)):
                ip("link", "set", device, "up", ns=ns)
            self.inside(space, [sys.executable, "-c",
                                f"import sys; sys.path.insert(0, {HERE!r}); "
                                "import hosts; "
                                "hosts.without_offloads('eth0')"], check=True)
        self.wire = subprocess.Popen(
            ["ip", "netns", "exec", self.hub, sys.executable,
             os.path.join(HERE, "wire.py"), str(seed), *ends],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=die_with_parent)

    @staticmethod
    def inside(space, command, **kw):
        return subprocess.run(["ip", "netns", "exec", space, *command],
                              capture_output=True, text=True, **kw)

    def order(self, *words):
        """Tell the wire; its counts."""
        self.wire.stdin.write(" ".join(map(str, words)) + "\n")
        self.wire.stdin.flush()
        answer = self.wire.stdout.readline().split()
        if not answer or answer[0] != "ok":
            raise AssertionError(f"wire: {words}: {answer}")
        return dict(zip(("carried", "lost", "cut"), map(int, answer[1:])))

    def cut(self, *sides, one_way=False):
        """No frame between hosts of different sides."""
        for a, b in itertools.permutations(sides, 2):
            for i, j in itertools.product(a, b):
                self.order("cut", i, j)
            if one_way:
                return

    def heal(self):
        for words in (("mend",), ("loss", 0), ("reorder", 0),
                      ("delay", 0, 0)):
            self.order(*words)

    def start(self):
        for host in self.hosts:
            host.start()

    def names(self):
        return ",".join(h.node for h in self.hosts)

    def wait_in_step(self, limit=60):
        """All hosts are linked as far as they can be and hold the same."""
        def same():
            first, *rest = [h.contents() for h in self.hosts if h.is_up]
            return all(other == first for other in rest)
        wait_for(same, limit, "all hosts hold the same")

    def wait_agreed(self, limit=60):
        """All are linked to all; the digests of all buckets are one."""
        for h in self.hosts:
            done = h.kv("-t", f"{limit}s", "nodes", "--wait", limit=2 * limit)
            if done.returncode != 0:
                raise AssertionError(f"{h.node}: {h.kv('nodes').stdout}")

        def same():
            first, *rest = [h.digests() for h in self.hosts]
            return all(other == first for other in rest)
        try:
            wait_for(same, limit, "equal digests")
        except TimeoutError as e:
            rows = [set(h.digests()) for h in self.hosts]
            odd = sorted(set.union(*rows) - set.intersection(*rows))
            raise AssertionError(f"{e}: " + "; ".join(
                f"{h.node} has {sorted(r & set(odd))}"
                for h, r in zip(self.hosts, rows))) from None
        for h in self.hosts:
            done = h.kv("-t", "30s", "verify", "--peers")
            if done.returncode != 0:
                raise AssertionError(f"{h.node}: {done.stdout}{done.stderr}")

    def close(self):
        for host in self.hosts:
            host.close()
        if self.wire is not None:
            self.wire.kill()
            self.wire.communicate()
        for space in self.spaces:
            subprocess.run(["ip", "netns", "del", space],
                           capture_output=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Host(Kvd):
    """A kvd in a namespace, reached over its unix socket."""

    def __init__(self, net, number, args=(), env=None):
        self.net = net
        self.host = number
        self.space = f"{net.id}h{number}"
        self.node = f"n{number}@{NETWORK}{number}"
        self.offset = None  # of its clock, from the next start on
        self.jumps = None  # a file with the offset, for while it runs
        self.is_up = False
        self.log_path = os.devnull
        store = Store()
        self.cookie = store.write("cookie", "a-cookie-of-many-letters\n")
        os.chmod(self.cookie, 0o600)
        self.socket = os.path.join(store.base, "sock")
        super().__init__(ports=[], args=args, store=store, wait=False,
                         env={"XDG_RUNTIME_DIR": store.base, **(env or {})})

    def command(self):
        wrap = ["ip", "netns", "exec", self.space]
        if self.offset or self.jumps:
            # The command of that name would be one more process.
            wrap += ["env", *(f"{k}={v}" for k, v in kvclock.env(
                self.offset, self.jumps).items())]
        config = self.store.write("kvd.conf", "")
        return wrap + [
            kvtest.program("kvd"), "-c", config, "-d", self.store.dir,
            "--name", self.node, "--nodes", self.net.names(), "-p", "4050",
            "--bind", "127.0.0.1", "--unix-socket", self.socket,
            "--cookie-file", self.cookie, *self.args]

    def start(self, wait=True):
        if not self.net.hosts:  # called by Kvd's own constructor
            self.proc = None
            return
        super().start(False)
        self.is_up = True
        if wait:
            wait_for(lambda: self.answers(None), 15, f"{self.node} answers")
            self.store.note_id()

    def answers(self, _):
        self._check_running()
        try:
            with self.resp() as c:
                return c.call("PING") is not None
        except OSError:
            return False

    def line(self, **kw):
        return kvtest.LineClient(self.socket, **kw)

    def resp(self, **kw):
        return kvtest.RespClient(self.socket, **kw)

    def wait_bucket(self, name, limit=30):
        """The bucket is there, and can be written to."""
        def there():
            with self.line() as c:
                return c.line("PUT", name, "there", "1") == b"OK"
        wait_for(there, limit, f"bucket {name} on {self.node}")

    def kv(self, *words, limit=60, **kw):
        return subprocess.run(
            ["ip", "netns", "exec", self.space, kvtest.program("kv"),
             "-s", self.socket, *words], capture_output=True, text=True,
            env=clean_env(self.store.base), timeout=limit, **kw)

    def verify(self):
        """kv verify, or what it finds wrong."""
        done = subprocess.run(
            [kvtest.program("kv"), "-d", self.store.dir, "verify"],
            capture_output=True, text=True, env=clean_env(self.store.base),
            timeout=60)
        return None if done.returncode == 0 else done.stdout + done.stderr

    def crash(self):
        """kill -9 of everything at once."""
        self.kill9_all()
        self.is_up = False

    def crash_kvd(self):
        """kill -9 of kvd alone: its children end with it."""
        self.kill9()
        self.is_up = False

    def jump(self, offset):
        """Its clock is off by so much from now on, while it runs."""
        self.jumps = self.jumps or os.path.join(self.store.base, "clock")
        kvclock.put(self.jumps, offset)

    def wipe(self):
        """While it is down: another machine takes its name."""
        self._empty()

    def lose_power(self):
        """The memory is gone too: what was not synced is lost."""
        self.crash()
        for folder in self.store.shm_folders():
            shutil.rmtree(folder)

    def end(self):
        self.stop()
        self.is_up = False

    def backup(self, name):
        to = os.path.join(self.store.base, name)
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.store.dir, to)

    def _empty(self):
        for folder in self.store.shm_folders():
            shutil.rmtree(folder)
        for entry in os.scandir(self.store.dir):  # it may be a mount
            (shutil.rmtree if entry.is_dir() else os.unlink)(entry.path)

    def restore(self, name):
        """While it is down: an older state comes back."""
        self._empty()
        shutil.copytree(os.path.join(self.store.base, name), self.store.dir,
                        dirs_exist_ok=True)

    def contents(self):
        """Bucket -> {key: value}, all that a client sees."""
        with self.resp(limit=30) as c:
            found = {}
            for bucket in c.call("KV.BUCKETS"):
                flat = c.call("HGETALL", bucket)
                found[bucket.decode()] = dict(zip(flat[::2], flat[1::2]))
        return found

    def digests(self):
        """Of all shared buckets: name, digest.  Numbers of keys differ for as
        long as expired ones stay, where a clock is doubted."""
        with self.resp(limit=30) as c:
            return sorted((name, sum) for name, sum, _ in c.call("KV.DIGEST"))

    def all_logs(self):
        """Of all its starts."""
        found = []
        for path in sorted(glob.glob(os.path.join(self.store.base, "log.*"))):
            with open(path, errors="replace") as f:
                found.append(f.read())
        return "".join(found)

    def close_processes(self):
        """Before what lies below the store goes."""
        super().close()

    def close(self):
        super().close()
        self.store.remove()

