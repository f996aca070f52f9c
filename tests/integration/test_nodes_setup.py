#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Nodes that are told of each other, by lists, names and reloads, and who is
let in: cookies, refusals, strangers."""

import json
import os
import signal
import time

import kvdns
import kvnodes
import kvtest
from kvnodes import HOST, Nodes
from kvtest import limit, wait_for

SYNCD = "kv-syncd"


class Reloads(Nodes):
    def test_nodes_may_be_added_and_removed_by_a_reload(self):
        c = self.cluster()
        bar = c.add("bar", None, env={"KV_SYNC_BIND": "127.0.0.1"})
        conf = c.file("kvd.conf", "")
        foo = c.add("foo", None, args=["-c", conf],
                    env={"KV_SYNC_BIND": None})
        self.assertEqual(foo.children(SYNCD), [])
        with foo.resp() as r:
            worker = foo.worker_of(r)
            c.file("kvd.conf", f"nodes = bar@{HOST}\n"
                   "sync_bind = 127.0.0.1\n")
            os.kill(foo.proc.pid, signal.SIGHUP)
            foo.child(SYNCD)
            foo.in_step()
            r.must("HSET", "r", "k", "v")
            bar.wait_value("r", "k", b"v")
            c.file("kvd.conf", "")
            os.kill(foo.proc.pid, signal.SIGHUP)
            wait_for(lambda: foo.children(SYNCD) == [], 10,
                     "the end of kv-syncd")
            bar.wait_state(foo.node, "down")
            self.assertEqual(foo.worker_of(r), worker)
            r.must("PING")
        with foo.resp() as r:
            (name, how, *_), = r.call("KV.NODES")
            self.assertEqual((name.decode(), how), (foo.node, b"self"))

    @limit(120)
    def test_a_cookie_is_rotated_on_a_live_cluster(self):
        c = self.cluster()
        old, new = "o" * 43, "N" * 43
        nodes = []
        for name in ("foo", "bar"):
            path = c.file(name, f"1 {old}\n")
            nodes.append(c.add(name, f"foo@{HOST},bar@{HOST}",
                               env={"KV_COOKIE_FILE": path}))
        foo, bar = nodes
        foo.in_step()
        steps = (f"1 {old}\n2 {new}\n", f"2 {new}\n1 {old}\n", f"2 {new}\n")
        for step, text in enumerate(steps):
            for node in nodes:
                c.file(node.short, text)
                before = node.count_log("cookie read")
                downs = node.count_log("node down")
                os.kill(node.proc.pid, signal.SIGHUP)
                wait_for(lambda: node.count_log("cookie read") > before, 10,
                         "the cookie to be read")
                # Live links are untouched, half way through a step too.
                foo.put("c", f"{step}{node.short}", "v")
                bar.wait_value("c", f"{step}{node.short}", b"v")
                self.assertEqual(node.count_log("node down"), downs)
            # And links made now use what is first now.
            nodes[step % 2].child(SYNCD).kill_and_wait()
            for node in nodes:
                node.in_step()
        # Nor is there one left that was made with the old secret, after this.
        def anew(node, other, since):
            row = node.nodes()[other.node]
            return row["state"] == "up" and row["since_ms"] > since
        since = foo.nodes()[bar.node]["since_ms"]
        self.assertEqual(foo.tool("kick", "nobody", code=1).stderr,
                         "kv: no link to nobody\n")
        self.assertEqual(foo.tool("kick", "bar", code=0).stdout,
                         "1 link closed\n")
        for node, other in (foo, bar), (bar, foo):
            node.wait_log("node down", "connection lost: kicked")
            wait_for(lambda: anew(node, other, since), 10, "a new link")
        foo.put("c", "after", "v")
        bar.wait_value("c", "after", b"v")
        since = bar.nodes()[foo.node]["since_ms"]
        self.assertEqual(json.loads(bar.tool("--json", "kick", "--all",
                                             code=0).stdout), {"closed": 1})
        wait_for(lambda: anew(bar, foo, since), 10, "a new link")
        self.assertIn("name a node", bar.tool("kick", code=2).stderr)
        bar.tool("kick", "foo", "--all", code=2)
        with bar.resp() as r:
            self.assertEqual(r.call("KV.KICK", "baz"), 0)
            self.assertIn("DENIED", str(r.call("KV.CALL", "foo", "KV.KICK")))
        for node in nodes:
            self.assertEqual(node.count_log("cookie rejected"), 0)
            self.assertEqual(node.count_log("generation unknown"), 0)


class Names(Nodes):
    """Nodes out of DNS; needs a mount namespace, so root."""

    def setUp(self):
        if why := kvnodes.why_no_resolver():
            self.skipTest(why)
        self.zone = {}
        self.dns = kvdns.Dns(self.zone)
        self.addCleanup(self.dns.close)

    def dns_cluster(self, **env):
        c = self.cluster(**env)
        self.resolver = c.file(
            "resolv.conf", f"nameserver {self.dns.address}\n", 0o644)
        return c

    def test_all_addresses_of_a_name_are_nodes(self):
        c = self.dns_cluster(KV_DNS="app.internal")
        ports = kvtest.free_ports(2)
        self.zone["app.internal", kvdns.A] = []
        self.zone["_kv._tcp.app.internal", kvdns.SRV] = [
            (0, 0, p, "h.internal") for p in ports]
        self.zone["h.internal", kvdns.A] = ["127.0.0.1"]
        foo, bar = [c.add(n, None, resolver=self.resolver,
                          env={"KV_SYNC_PORT": str(p)})
                    for n, p in zip(("foo", "bar"), ports)]
        for node, other in ((foo, bar), (bar, foo)):
            node.wait_state(other.node, "up")
            # Its own address is none of the others.
            wait_for(lambda: set(node.nodes()) == {other.node}, 10,
                     "no other rows")
        foo.put("n", "k", "v")
        bar.wait_value("n", "k", b"v")
        # No answer: the last one counts.
        self.dns.silent = True
        bar.child(SYNCD).kill_and_wait()
        foo.wait_state(bar.node, "up", limit=30)

    def test_a_node_of_the_list_is_looked_up(self):
        c = self.dns_cluster()
        bar = c.add("bar", None)
        self.zone["b.example", kvdns.A] = ["127.0.0.1"]
        foo = c.add("foo", "bar@b.example", resolver=self.resolver)
        foo.in_step()
        self.assertIn(bar.node, foo.nodes())
        self.assertIn(("b.example", kvdns.AAAA), self.dns.asked)
        self.assertIn(("_kv._tcp.b.example", kvdns.SRV), self.dns.asked)

    def test_a_service_record_tells_the_port(self):
        c = self.dns_cluster()
        bar = c.add("bar", None)
        self.zone["_kv._tcp.b.example", kvdns.SRV] = [
            (0, 0, bar.sync_port(), "h.example")]
        self.zone["h.example", kvdns.A] = ["127.0.0.1"]
        foo = c.add("foo", "bar@b.example", resolver=self.resolver,
                    env={"KV_SYNC_PORT": str(kvtest.free_ports(1)[0])})
        foo.in_step()
        self.assertIn(bar.node, foo.nodes())

    def test_a_name_is_asked_for_again_at_each_try(self):
        c = self.dns_cluster()
        bar = c.add("bar", None)
        foo = c.add("foo", "bar@b.example", resolver=self.resolver)
        foo.wait_state("bar@b.example", "down", "no such host")
        self.zone["b.example", kvdns.A] = ["127.0.0.1"]
        foo.in_step(30)
        self.assertEqual(foo.count_log("node unreachable", "no such host"), 1)


class Secrets(Nodes):
    def test_the_cookie_is_made_once_and_private(self):
        c, foo, bar = self.two()
        st = os.stat(c.cookie)
        self.assertEqual(st.st_mode & 0o7777, 0o600)
        with open(c.cookie) as f:
            text = f.read()
        self.assertRegex(text, r"(?m)^1 [A-Za-z0-9_-]{43}$")
        made = foo.count_log("cookie made") + bar.count_log("cookie made")
        self.assertEqual(made, 1)
        foo.stop()
        foo.start()
        foo.in_step()
        with open(c.cookie) as f:
            self.assertEqual(f.read(), text)

    def test_a_reload_without_the_file_keeps_the_cookie_and_makes_none(self):
        c, foo, bar = self.two()
        os.rename(c.cookie, c.cookie + ".away")
        os.kill(foo.proc.pid, signal.SIGHUP)
        line = foo.wait_log("cookie stays as it was")
        self.assertIn("no such file", line)
        self.assertFalse(os.path.exists(c.cookie))
        foo.tool("kick", "--all", code=0)
        foo.wait_log("node down", "kicked")
        foo.in_step()
        bar.in_step()

    def test_the_secret_is_nowhere_to_be_seen(self):
        c, foo, bar = self.two()
        with open(c.cookie) as f:
            secret = f.read().split()[-1].encode()
        for node in (foo, bar):
            for p in [node.me] + node.children():
                for what in ("cmdline", "environ"):
                    if what == "environ" and p.name == SYNCD and \
                            os.geteuid() != 0:
                        continue  # nobody else can look, see below
                    with open(f"/proc/{p.pid}/{what}", "rb") as f:
                        self.assertNotIn(secret, f.read())
            self.assertNotIn(secret.decode(), node.log_text())
            out = node.tool("--json", "nodes").stdout
            self.assertNotIn(secret.decode(), out)
            with open(f"/proc/{node.child(SYNCD).pid}/limits") as f:
                core, = [x for x in f if x.startswith("Max core")]
            self.assertEqual(core.split()[4:6], ["0", "0"])

    def test_not_even_its_user_can_look_into_kv_syncd(self):
        """Not dumpable: its files in /proc are root's."""
        c = self.cluster()
        user = os.geteuid()
        if user == 0:
            user = 65534
            c.be_user(user)
        foo = c.add("foo", f"bar@{HOST}")
        owner = {p.name: os.stat(f"/proc/{p.pid}/mem").st_uid
                 for p in foo.children()}
        self.assertEqual(owner[SYNCD], 0)
        self.assertEqual(owner["kv-worker"], user)
        wait_for(lambda: os.path.exists(c.cookie), 10, "the cookie")
        self.assertEqual(os.stat(c.cookie).st_uid, user)


class Refusals(Nodes):
    def refused(self, c, *words, **env):
        extra = dict(c.env, NODES=f"foo@{HOST},bar@{HOST}", **env)
        got = kvtest.run_kvd(["-d", os.path.join(c.home, "s"), "-p", "0",
                              "--sname", "foo"], env=extra)
        self.assertEqual(got.code, 1, got)
        lines = [x for x in got.err.splitlines() if x.startswith("kvd: ")]
        self.assertEqual(len(lines), 1, got)
        for w in words:
            self.assertIn(w, lines[0])
        return lines[0]

    def test_a_cookie_file_that_others_may_read_is_refused(self):
        c = self.cluster()
        c.file(".kv.cookie", "1 " + "x" * 43 + "\n", 0o644)
        self.refused(c, c.cookie, "cookie_file")

    def test_a_link_is_refused(self):
        c = self.cluster()
        os.symlink(c.file("real", "1 " + "x" * 43 + "\n"), c.cookie)
        self.refused(c, c.cookie, "symbolic link")

    def test_a_weak_cookie_needs_an_option(self):
        c = self.cluster()
        c.file(".kv.cookie", "1 short\n")
        line = self.refused(c, c.cookie, "weak_cookie")
        self.assertNotIn("short\n", line)
        c.env["KV_WEAK_COOKIE"] = "yes"
        foo, bar = c.start("foo", "bar")
        self.assertEqual(foo.count_log("cookie weak", "guessed_within_s"), 1)

    def test_a_missing_file_that_was_named_is_not_made(self):
        c = self.cluster()
        path = os.path.join(c.home, "nowhere")
        self.refused(c, path, KV_COOKIE_FILE=path)
        self.assertFalse(os.path.exists(path))

    def test_an_address_of_another_host_is_refused(self):
        c = self.cluster(KV_SYNC_BIND="192.0.2.1")
        self.refused(c, "sync_bind", "192.0.2.1")


class Strangers(Nodes):
    """Nodes that are not to be linked: both logs say it once, `kv nodes` why,
    and its exit code that."""

    def not_linked(self, foo, reason, name=f"bar@{HOST}"):
        row = foo.wait_state(name, "down", reason)
        p = foo.tool("-t", "100ms", "nodes", "--wait", code=1)
        self.assertIn(reason, p.stdout)
        return row

    def test_a_wrong_cookie(self):
        c = self.cluster()
        bar = c.add("bar", f"foo@{HOST}")
        other = c.file("other", "1 " + "y" * 43 + "\n")
        foo = c.add("foo", f"bar@{HOST}", env={"KV_COOKIE_FILE": other})
        self.not_linked(foo, "cookie rejected")
        self.not_linked(bar, "cookie rejected", foo.node)
        for node in (foo, bar):
            node.wait_log("peer refused", "cookie rejected")
            node.wait_log("node unreachable", "cookie rejected")
        # Some more tries: each is no news.
        wait_for(lambda: foo.nodes()[bar.node]["state"] == "down", 5)
        time_of_many_tries(8, foo, bar)
        for node in (foo, bar):
            self.assertLessEqual(node.count_log("peer refused",
                                                "cookie rejected"), 1)
            self.assertEqual(node.count_log("node unreachable",
                                            "cookie rejected"), 1)
        # And it heals without a restart of anybody but the one.
        foo.stop()
        foo.set_env(KV_COOKIE_FILE=None)
        foo.start()
        foo.in_step()

    def test_a_generation_that_the_other_does_not_know(self):
        c = self.cluster()
        secret = "g" * 43
        c.file(".kv.cookie", f"1 {secret}\n")
        bar = c.add("bar", None)
        foo = c.add("foo", f"bar@{HOST}", env={
            "KV_COOKIE_FILE": c.file("gen", f"7 {secret}\n")})
        self.not_linked(foo, "generation")
        bar.wait_log("peer refused", "generation 7")

    def test_a_wrong_cluster(self):
        c = self.cluster()
        bar = c.add("bar", f"foo@{HOST}")
        foo = c.add("foo", f"bar@{HOST}", env={"KV_CLUSTER": "other"})
        self.not_linked(foo, "cookie rejected")
        self.not_linked(bar, "cookie rejected", foo.node)

    def test_a_wrong_name(self):
        c = self.cluster()
        bar = c.add("bar", None)
        foo = c.add("foo", f"baz@127.0.0.1:{bar.sync_port()}")
        self.not_linked(foo, "another name answered", "baz@127.0.0.1")
        self.assertEqual(foo.count_log("node unreachable"), 1)

    def test_nobody_there_and_no_such_host(self):
        c = self.cluster()
        gone = kvtest.free_ports(1)[0]
        foo = c.add("foo", f"a@127.0.0.1:{gone},b@{HOST},"
                    "c@nowhere.invalid")
        self.not_linked(foo, "refused", "a@127.0.0.1")
        self.not_linked(foo, "not running on that host", f"b@{HOST}")
        self.not_linked(foo, "no such host", "c@nowhere.invalid")
        for reason in ("refused", "not running", "no such host"):
            self.assertEqual(foo.count_log("node unreachable", reason), 1)

    def test_one_name_twice_is_told(self):
        c = self.cluster()
        foo, bar = c.start("foo", "bar")
        again = c.add("bar", f"foo@{HOST}")
        again.wait_log("name is taken")
        again.wait_state(foo.node, "down", "duplicate")
        foo.wait_log("duplicate")
        time_of_many_tries(6, again)
        self.assertEqual(foo.count_log("duplicate"), 1)
        self.assertEqual(again.count_log("duplicate"), 1)
        self.assertEqual(foo.nodes()[bar.node]["state"], "up")

    def test_bytes_that_are_no_handshake_close_the_connection(self):
        c = self.cluster()
        foo = c.add("foo", None)
        port = foo.sync_port()
        for junk in (b"GET / HTTP/1.1\r\n\r\n" + 64 * b"x", 64 * b"\0",
                     os.urandom(64)):
            with kvtest.Conn(port) as conn:
                conn.send(junk)
                self.assertEqual(conn.read_to_eof(5), b"")
        foo.wait_log("peer refused", "not a kv node")

    def test_a_silent_stranger_is_closed_after_two_seconds(self):
        c = self.cluster()
        foo = c.add("foo", None)
        began = time.monotonic()
        with kvtest.Conn(foo.sync_port()) as conn:
            conn.send(b"KVS1")
            self.assertEqual(conn.read_to_eof(10), b"")
        self.assertGreater(time.monotonic() - began, 1.5)

    def test_five_connections_of_one_stranger_are_one_too_many(self):
        c = self.cluster()
        foo = c.add("foo", None)
        port = foo.sync_port()
        conns = [kvtest.Conn(port) for _ in range(5)]
        for x in conns:
            self.addCleanup(x.close)
        wait_for(lambda: any(not x.is_open() for x in conns), 1.5,
                 "one to be closed at once")


def time_of_many_tries(count, *nodes):
    """Until they have dialled in vain so often, together: the pauses are
    random and double, so each node counts its own."""
    def tries():
        return sum(row["tries"] for n in nodes for row in n.nodes().values())
    wait_for(lambda: tries() >= count, 45, f"{count} tries")


if __name__ == "__main__":
    kvtest.main()
