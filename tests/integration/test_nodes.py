#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Several nodes on loopback: what is written on one is on all, through deaths
and restarts."""

import os
import shutil
import signal
import time

import kvtest
import test_transcripts as transcripts
from kvnodes import HOST, Nodes
from kvtest import limit, wait_for

SYNCD = "kv-syncd"


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


if __name__ == "__main__":
    kvtest.main()
