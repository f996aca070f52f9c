# SPDX-License-Identifier: ISC
"""Several kvd of one user on one host, which share buckets.

    with Cluster() as c:
        foo, bar = c.start("foo", "bar")
        foo.resp().call(...)

Each cluster has a home, a run-time folder and a well-known port of its own, so
that nothing of the host's is touched and tests run beside each other.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile

import kvtest
from kvproc import die_with_parent, free_ports, wait_for
from kvtest import Error, Kvd, clean_env, program

HOST = socket.gethostname().split(".")[0]


def with_resolver(command, path):
    """The command, where this file is /etc/resolv.conf and nowhere else."""
    script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    return ["unshare", "-m", "sh", "-c", script, path, *command]


def why_no_resolver():
    """None, or why with_resolver does not work here: not root, a chroot."""
    done = subprocess.run(with_resolver(["true"], os.devnull),
                          capture_output=True, text=True)
    return done.stderr.strip() if done.returncode != 0 else None


class Node(Kvd):
    """A kvd that looks for others.  nodes: NODES, or None for none."""

    def __init__(self, cluster, name, nodes, args=(), env=None, ports=1,
                 wait=True, resolver=None, store=None):
        self.cluster = cluster
        self.resolver = resolver
        self.node = f"{name}@{HOST}"
        self.short = name
        extra = dict(cluster.env, NODES=nodes)
        extra.update(env or {})
        super().__init__(ports=ports, args=args, env=extra, wait=wait,
                         store=store)

    def command(self):
        cmd = super().command()
        cmd[cmd.index("--sname") + 1] = self.short
        if self.cluster.user is not None:
            os.chown(self.store.base, self.cluster.user, self.cluster.user)
            cmd[0] = os.path.join(self.cluster.programs, "kvd")
            cmd[:0] = ["setpriv", f"--reuid={self.cluster.user}",
                       f"--regid={self.cluster.user}", "--clear-groups"]
        return with_resolver(cmd, self.resolver) if self.resolver else cmd

    def set_env(self, **env):
        """From the next start on."""
        self.extra.update(env)

    def tool(self, *args, code=None, limit=30):
        p = subprocess.run(
            [program("kv"), *([] if "-d" in args else
                             ["-p", str(self.ports[0])]), *args],
            env=clean_env(self.cluster.home, self.cluster.env),
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=limit * kvtest.SLOW, preexec_fn=die_with_parent)
        if code is not None and p.returncode != code:
            raise AssertionError(f"kv {args}: exit {p.returncode}, not {code}"
                                 f"\n{p.stdout}{p.stderr}")
        return p

    def nodes(self):
        """What `kv nodes` tells of the others, by name."""
        out = self.tool("--json", "nodes", code=0).stdout
        rows = [json.loads(x) for x in out.splitlines()]
        return {r["name"]: r for r in rows if r["state"] != "self"}

    def in_step(self, limit=20):
        """Wait until all others are up and in step."""
        p = self.tool("-t", f"{int(limit * kvtest.SLOW)}s", "nodes", "--wait",
                      limit=2 * limit)
        if p.returncode != 0:
            raise AssertionError(f"{self.node} is not in step:\n{p.stdout}"
                                 f"{p.stderr}\n{self.log_text()[-3000:]}")

    def wait_state(self, name, state, reason="", limit=20):
        def look():
            row = self.nodes().get(name)
            return row and row["state"] == state and \
                reason in (row["reason"] or "") and row
        try:
            return wait_for(look, limit, f"{name} to be {state} {reason!r}")
        except AssertionError as e:
            raise AssertionError(f"{e}; {self.node} says {self.nodes()}") \
                from None

    def wait_log(self, *words, limit=20):
        def look():
            for x in self.log_text().splitlines():
                if all(w in x for w in words):
                    return x
            return None
        return wait_for(look, limit, f"{words} in the log of {self.node}")

    def count_log(self, *words):
        return sum(all(w in x for w in words)
                   for x in self.log_text().splitlines())

    def sync_port(self):
        """Where its kv-syncd listens, as it said last."""
        line = self.wait_log("listen sync port=")
        return int(line.split("port=")[1].split()[0])

    def get(self, bucket, key):
        with self.resp() as c:
            return c.call("HGET", bucket, key)

    def put(self, bucket, key, value):
        with self.resp() as c:
            c.must("HSET", bucket, key, value)

    def digest(self, bucket):
        with self.resp() as c:
            return c.call("KV.DIGEST", bucket)

    def wait_value(self, bucket, key, value, limit=20):
        wait_for(lambda: self.get(bucket, key) == value, limit,
                 f"{bucket}/{key} = {value!r} on {self.node}")


class Cluster:
    def __init__(self, **env):
        self.home = tempfile.mkdtemp(prefix="kvnodes-", dir=kvtest.TMP)
        self.run = self.folder("run")
        self.port = free_ports(1)[0]
        self.env = {"HOME": self.home, "XDG_RUNTIME_DIR": self.run,
                    "KV_SYNC_PORT": str(self.port),
                    "KV_SYNC_BIND": "127.0.0.1"}
        self.env.update(env)
        self.members = []
        self.user = None
        self.programs = None

    def be_user(self, user):
        """All nodes to come run as this one."""
        self.user = user
        self.programs = os.path.dirname(kvtest.program_for_all("kvd"))
        for path in (self.home, self.run):
            os.chown(path, user, user)

    def folder(self, name):
        path = os.path.join(self.home, name)
        os.mkdir(path, 0o700)
        return path

    def file(self, name, text, mode=0o600):
        path = os.path.join(self.home, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    @property
    def cookie(self):
        return os.path.join(self.home, ".kv.cookie")

    def add(self, name, nodes, **kw):
        node = Node(self, name, nodes, **kw)
        self.members.append(node)
        return node

    def start(self, *names, **kw):
        """One node of each name, which all know each other."""
        nodes = ",".join(f"{n}@{HOST}" for n in names)
        started = [self.add(n, nodes, **kw) for n in names]
        for n in started:
            n.in_step()
        return started

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for n in self.members:
            n.close()
        shutil.rmtree(self.home, ignore_errors=True)
        if self.programs:
            shutil.rmtree(self.programs, ignore_errors=True)


class ClusterCase(kvtest.Case):
    """Nodes of a cluster that a test starts; they end with it."""

    def cluster(self, *names, **env):
        c = Cluster(**env)
        self.addCleanup(c.__exit__)
        return c.start(*names)

    def two(self, **env):
        return self.cluster("foo", "bar", **env)

    def assert_error(self, got, *words):
        self.assertIsInstance(got, Error, got)
        for w in words:
            self.assertIn(w, str(got))


class Nodes(kvtest.Case):
    def cluster(self, **env):
        c = Cluster(**env)
        self.addCleanup(c.__exit__)
        return c

    def two(self, **env):
        c = self.cluster(**env)
        return [c] + c.start("foo", "bar")

    def alike(self, bucket, *nodes, limit=20):
        def same():
            d = [n.digest(bucket) for n in nodes]
            return None not in d and len(set(d)) == 1
        wait_for(same, limit, f"equal digests of {bucket}")
