#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Several nodes on loopback: what is written on one is on all, through deaths,
restarts and reloads."""

import json
import os
import shutil
import signal
import time

import kvdns
import kvnodes
import kvtest
import test_transcripts as transcripts
from kvnodes import HOST, Cluster
from kvtest import limit, wait_for

SYNCD = "kv-syncd"


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


class Sharing(Nodes):
    def test_buckets_made_on_one_are_on_the_other(self):
        """The guide's two terminals."""
        _, foo, bar = self.two()
        with foo.line() as a:
            a.create("shopping")
            a.put("shopping", "milk", "1")
            a.put("shopping", "eggs", "3")
        bar.wait_value("shopping", "eggs", b"3")
        with bar.line() as b:
            self.assertEqual(b.get("shopping", "milk"), b"1")
            b.put("shopping", "milk", "2")
            b.ok("DELETE", "shopping", "eggs")
        foo.wait_value("shopping", "milk", b"2")
        foo.wait_value("shopping", "eggs", None)
        with foo.line() as a:
            a.ok("DROP", "shopping")
        with bar.line() as b:
            wait_for(lambda: b.line("GET", "shopping", "milk") ==
                     b"NOT FOUND", 10, "the drop")

    def test_subscribers_see_what_other_nodes_write(self):
        _, foo, bar = self.two()
        with foo.line() as a, bar.line() as b:
            a.create("s")
            wait_for(lambda: bar.digest("s"), 10, "the bucket")
            b.send(b"SUBSCRIBE s\r\n")
            self.assertEqual(b.read_quiet(0.1), b"")
            a.put("s", "k", "v1")
            self.assertEqual(b.read_line(), b"k SET TO v1")
            a.ok("DELETE", "s", "k")
            self.assertEqual(b.read_line(), b"k DELETED")

    def test_replication_lets_clients_of_its_host_go_first(self):
        _, foo, _ = self.two()
        nice = {p.name: os.getpriority(os.PRIO_PROCESS, p.pid)
                for p in foo.children()}
        for name in ("kv-worker", "kv-walwriter", "kv-checkpointer"):
            self.assertLess(nice[name], nice[SYNCD], nice)

    def test_a_change_is_there_within_milliseconds(self):
        _, foo, bar = self.two()
        with foo.line() as a, bar.line() as b:
            a.create("t")
            wait_for(lambda: bar.digest("t"), 10, "the bucket")
            b.send(b"SUBSCRIBE t\r\n")
            b.read_quiet(0.1)
            took = []
            for i in range(100):
                began = time.monotonic()
                a.put("t", "k", str(i))
                self.assertEqual(b.read_line(), b"k SET TO %d" % i)
                took.append(time.monotonic() - began)
        took.sort()
        self.note(f"p50 {took[50] * 1000:.1f} ms, p99 {took[99] * 1000:.1f}")
        self.assertLess(took[50], 0.1 * kvtest.SLOW)

    def test_local_buckets_stay(self):
        _, foo, bar = self.two()
        with foo.line() as a:
            a.ok("CREATE", "here", "LOCAL")
            a.put("here", "k", "v")
            a.create("there")
            a.put("there", "k", "v")
        bar.wait_value("there", "k", b"v")
        with bar.line() as b:
            self.assertEqual(b.line("GET", "here", "k"), b"NOT FOUND")

    def test_the_later_write_of_a_key_wins_on_both(self):
        _, foo, bar = self.two()
        foo.put("w", "seen", "0")
        bar.wait_value("w", "seen", b"0")
        for i in range(200):
            (foo if i % 2 else bar).put("w", f"k{i % 7}", str(i))
        self.alike("w", foo, bar)
        for i in range(7):
            self.assertEqual(foo.get("w", f"k{i}"), bar.get("w", f"k{i}"))

    @limit(120)
    def test_three_nodes_and_one_that_comes_later(self):
        c = self.cluster()
        foo, bar = c.start("foo", "bar")
        with foo.resp() as r:
            r.pipeline([("HSET", "h", f"k{i}", f"v{i}")
                        for i in range(5000)])
        baz = c.add("baz", f"foo@{HOST},bar@{HOST}")
        baz.in_step()
        self.alike("h", foo, bar, baz)
        baz.put("h", "late", "1")
        foo.wait_value("h", "late", b"1")
        bar.wait_value("h", "late", b"1")
        self.assertEqual(set(foo.nodes()), {f"bar@{HOST}", f"baz@{HOST}"})

    @limit(120)
    def test_two_stores_with_nothing_in_them_fall_silent(self):
        """One has had a run before, of which nothing is in its tree: filling
        the other one did not tell it of that run, and so went on for ever."""
        c = self.cluster()
        nodes = f"foo@{HOST},bar@{HOST}"
        bar = c.add("bar", nodes)
        bar.stop()
        bar.start()
        foo = c.add("foo", nodes)
        foo.in_step()
        bar.in_step()
        bar.put("late", "k", "1")
        foo.wait_value("late", "k", b"1")
        self.assertLessEqual(foo.count_log("resync begins"), 1)
        self.assertLessEqual(bar.count_log("resync begins"), 1)

    @limit(120)
    def test_a_link_at_rest_wakes_nobody_but_to_see_whether_it_stands(self):
        """A PING each way every 2.5 s, its answer, and a report every 5 s."""
        _, foo, bar = self.two()

        def wakes():
            with open(f"/proc/{foo.child(SYNCD).pid}/status") as f:
                text = f.read()
            return int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0])

        last = [time.monotonic(), wakes()]

        def rests():
            """Of each five seconds on end."""
            now = time.monotonic()
            if now < last[0] + 5:
                return False
            before, last[:] = last[1], (now, wakes())
            return last[1] - before <= 10
        # What a start brings is over after ten seconds.
        wait_for(rests, 60, "kv-syncd to rest")

    def test_a_large_value_crosses(self):
        _, foo, bar = self.two()
        big = os.urandom(5 << 20)
        foo.put("big", "k", big)
        wait_for(lambda: bar.get("big", "k") == big, 30, "5 MiB")


class Deaths(Nodes):
    @limit(120)
    def test_kv_syncd_may_be_killed_and_nobody_notices(self):
        _, foo, bar = self.two()
        with foo.resp() as r:
            r.must("HSET", "d", "k", "0")
            worker = foo.worker_of(r)
            for i in range(1, 4):
                foo.child(SYNCD).kill_and_wait()
                r.must("HSET", "d", "k", str(i))
                bar.wait_value("d", "k", b"%d" % i)
                bar.child(SYNCD).kill_and_wait()
                bar.put("d", "b", str(i))
                foo.wait_value("d", "b", b"%d" % i)
            self.assertTrue(worker.is_alive())
            self.assertEqual(foo.worker_of(r), worker)

    @limit(120)
    def test_a_node_that_was_killed_catches_up(self):
        _, foo, bar = self.two()
        foo.put("d", "k", "0")
        bar.wait_value("d", "k", b"0")
        for i in range(1, 4):
            bar.kill9_all()
            foo.wait_state(bar.node, "down")
            foo.put("d", "k", str(i))
            bar.start()
            bar.wait_value("d", "k", b"%d" % i)
            bar.put("d", "b", str(i))
            foo.wait_value("d", "b", b"%d" % i)
        self.alike("d", foo, bar)

    @limit(120)
    def test_every_child_may_be_killed_while_changes_flow(self):
        _, foo, bar = self.two()
        n = 0
        for role in ("kv-walwriter", "kv-checkpointer", "kv-worker", SYNCD):
            for node in (foo, bar):
                node.child(role).kill_and_wait()
                wait_for(lambda: node.answers(node.ports[0]), 10, "a worker")
                for _ in range(20):
                    n += 1
                    foo.put("e", f"f{n}", "x" * 100)
                    bar.put("e", f"b{n}", "y" * 100)
        bar.wait_value("e", f"f{n}", b"x" * 100)
        foo.wait_value("e", f"b{n}", b"y" * 100)
        self.alike("e", foo, bar)

    @limit(120)
    def test_a_stop_in_order_is_told_and_what_was_missed_comes(self):
        _, foo, bar = self.two()
        bar.stop()
        foo.wait_state(bar.node, "down")
        foo.wait_log("node down", bar.node, "stopped")
        self.assertEqual(bar.count_log("node down"), 0)  # it is not foo
        with foo.resp() as r:
            r.pipeline([("HSET", "g", f"k{i}", "v") for i in range(2000)])
            r.must("HDEL", "g", "k7")
        bar.start()
        bar.in_step()
        self.alike("g", foo, bar)
        self.assertIsNone(bar.get("g", "k7"))

    @staticmethod
    def not_up(at, name):
        row = at.nodes().get(name)
        return row if row is not None and row["state"] != "up" else None

    def test_a_node_that_hangs_is_said_to_be_silent(self):
        """Who is in the list of nodes, and who only came; the connections
        stand, the kernels answer."""
        c, foo, bar = self.two(KV_SYNC_TIMEOUT="1s")
        guest = c.add("guest", f"foo@{HOST}")
        guest.in_step()
        hung = [n.child(SYNCD) for n in (bar, guest)]
        for p in hung:
            os.kill(p.pid, signal.SIGSTOP)
        began = time.time() * 1000
        try:
            for node in (bar, guest):
                line = foo.wait_log("node down", node.node)
                self.assertIn('reason="silent"', line)
                row = wait_for(lambda: self.not_up(foo, node.node), 5)
                self.assertGreater(row["since_ms"], began - 5000)
            foo.wait_state(guest.node, "down", "silent")
        finally:
            for p in hung:
                os.kill(p.pid, signal.SIGCONT)
        foo.put("after", "k", "v")
        bar.wait_value("after", "k", b"v")
        guest.wait_value("after", "k", b"v")

    def test_another_kvd_on_the_store_takes_over(self):
        c, foo, bar = self.two()
        heir = c.add("foo", f"foo@{HOST},bar@{HOST}", store=foo.store)
        self.assertEqual(len(heir.children(SYNCD)), 1)
        self.assertEqual(heir.count_log("listen sync"), 0)
        heir.in_step()  # what the other one's kv-syncd says
        foo.kill9()
        heir.wait_log("listen sync port=")
        heir.in_step()
        heir.put("heir", "k", "v")
        bar.wait_value("heir", "k", b"v")
        bar.wait_state(foo.node, "up")

    def test_a_node_that_joins_says_that_it_catches_up(self):
        c = self.cluster()
        foo, bar = c.start("foo", "bar")
        with foo.resp() as r:
            for at in range(0, 60000, 5000):
                r.pipeline([("HSET", "much", f"k{i}", "v" * 500)
                            for i in range(at, at + 5000)])
        baz = c.add("baz", f"foo@{HOST},bar@{HOST}",
                    env={"KV_SEGMENT_SIZE": "1m", "KV_VALUE_MAX": "64k"})
        seen = wait_for(lambda: [n for n in baz.nodes().values()
                                 if n["state"] == "catching up"
                                 and n["behind_records"] > 0], 20,
                        "baz to say how far it is behind")
        self.assertLessEqual(seen[0]["behind_records"], 60002)
        # It answers meanwhile.
        baz.put("much", "here", "1")
        baz.in_step(60)
        self.alike("much", foo, bar, baz, limit=60)
        wait_for(lambda: {n["behind_records"] for n in baz.nodes().values()}
                 == {0}, 10, "nothing to be behind")

    def test_the_well_known_port_is_taken_over_within_a_second(self):
        c, foo, bar = self.two()
        holder, other = (foo, bar) if foo.sync_port() == c.port else \
            (bar, foo)
        self.assertEqual(holder.sync_port(), c.port)
        self.assertNotEqual(other.sync_port(), c.port)
        holder.stop()
        began = time.monotonic()
        other.wait_log(f"listen sync_port={c.port}", limit=5)
        self.assertLess(time.monotonic() - began, 1.5 * kvtest.SLOW)
        # Whoever comes back finds the way through it.
        holder.start()
        holder.in_step()
        self.assertNotEqual(holder.sync_port(), c.port)

    def test_a_run_time_folder_that_was_taken_away_is_made_again(self):
        """By who logs out, or cleans /tmp: who comes then finds all."""
        c, foo, bar = self.two()
        shutil.rmtree(os.path.join(c.run, "kv"))
        for node in (foo, bar):
            node.wait_log("run-time folder changed")
        guest = c.add("guest", f"foo@{HOST},bar@{HOST}")
        guest.in_step()
        self.assertEqual(set(guest.nodes()), {foo.node, bar.node})

    def test_a_stranger_at_the_well_known_port_is_shown_the_way(self):
        """A node that is not of this user: it knows no run-time folder."""
        c, foo, bar = self.two()
        guest = c.add("guest", f"foo@127.0.0.1,bar@127.0.0.1",
                      env={"XDG_RUNTIME_DIR": c.folder("run2"),
                           "HOME": c.home})
        guest.in_step()
        self.assertEqual(set(guest.nodes()), {foo.node, bar.node})
        foo.put("x", "k", "v")
        guest.wait_value("x", "k", b"v")


class Settling(transcripts.Player):
    """Plays what the original answered on three nodes, where everybody waited
    for everybody; here what is done on one is first let through to all."""

    def __init__(self, nodes):
        self.nodes = {n.short: n for n in nodes}
        super().__init__(lambda _, name: self.nodes[name].ports[0])

    def state(self, node):
        with node.resp() as c:
            return {b: c.call("KV.DIGEST", b)
                    for b in sorted(c.call("KV.BUCKETS"))}

    def settle(self):
        def same():
            first, *rest = [self.state(n) for n in self.nodes.values()]
            return all(other == first for other in rest)
        wait_for(same, 20, "all nodes to hold the same")

    def recv(self, name, wanted):
        super().recv(name, wanted)
        self.settle()

    def kill9(self, name, _):
        self.nodes.pop(name).kill9_all()

    def wait(self, *_):
        self.settle()


class Original(Nodes):
    """Cases of the original on several nodes.  nodes-kill-owner is none of
    ours: there the data goes with its node."""

    def play(self, case):
        c = self.cluster()
        Settling(c.start("foo", "bar", "baz")).play(
            transcripts.REFERENCE[case])

    def test_a_bucket_made_there_is_used_here(self):
        self.play("nodes-create-here-use-there")

    def test_an_unknown_bucket_is_not_found(self):
        self.play("nodes-unknown-bucket")

    def test_a_subscriber_hears_of_writes_on_any_node(self):
        self.play("nodes-subscribe")

    def test_one_bucket_made_on_three_nodes_at_once_is_one(self):
        self.play("nodes-same-name-race")

    def test_a_killed_node_harms_nobody(self):
        self.play("nodes-kill-other")


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
