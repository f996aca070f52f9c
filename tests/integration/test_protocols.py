#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Two protocols on every port: which one a client gets, how the things of the
one look in the other, and the tools that come with redis."""

import re
import subprocess
import time
import unittest

import kvredis
import kvtest
from kvtest import Error, Map, limit


class Alone(kvtest.Served):
    """One kvd for a class; RESP on one port, lines on the other."""

    def setUp(self):
        self.resp = self.server().resp(0)
        self.line = self.server().line(1)
        for c in (self.resp, self.line):
            self.addCleanup(c.close)
        self.resp.must("FLUSHDB")


class Clients(Alone):
    def test_hello_tells_who_answers_in_both_versions(self):
        flat = self.resp.must("HELLO", 2)
        two = dict(zip(flat[::2], flat[1::2]))
        three = dict(self.resp.must("HELLO", 3))
        self.assertIsInstance(self.resp.must("HELLO"), Map)
        for answer, version in ((two, 2), (three, 3)):
            self.assertEqual(answer[b"proto"], version)
            self.assertEqual(answer[b"role"], b"master")
            self.assertEqual(answer[b"mode"], b"standalone")
            self.assertEqual(
                set(answer), {b"server", b"version", b"proto", b"id",
                              b"mode", b"role", b"modules"})

    def test_info_has_what_clients_and_exporters_look_for(self):
        self.resp.must("SET", "k", "v", "EX", 100)
        self.resp.must("HSET", "h", "f", "v")
        info = self.resp.must("INFO").decode()
        fields = dict(x.split(":", 1) for x in info.split("\r\n") if ":" in x)
        self.assertEqual(fields["redis_version"], "7.2.4")
        self.assertEqual(fields["server_name"], "kv")
        self.assertEqual(fields["redis_mode"], "standalone")
        self.assertEqual(fields["role"], "master")
        self.assertEqual(fields["loading"], "0")
        self.assertIn("kv_version", fields)
        self.assertGreaterEqual(int(fields["connected_clients"]), 1)
        self.assertRegex(fields["db0"], r"^keys=2,expires=1,avg_ttl=\d+")

    def test_quit_says_ok_and_closes(self):
        self.assertEqual(self.resp.call("QUIT"), b"OK")
        self.assertEqual(self.resp.read_to_eof(), b"")

    def test_what_follows_quit_is_not_done(self):
        self.resp.send(kvtest.resp_encode("SET", "q", "1") +
                       kvtest.resp_encode("QUIT") +
                       kvtest.resp_encode("SET", "q", "2"))
        self.assertEqual(self.resp.read_to_eof(), b"+OK\r\n+OK\r\n")
        with self.kv.resp() as c:
            self.assertEqual(c.call("GET", "q"), b"1")

    def test_client_setinfo_is_ok(self):
        self.assertEqual(
            self.resp.call("CLIENT", "SETINFO", "LIB-NAME", "x"), b"OK")

    def test_concurrent_increments_over_two_ports_lose_none(self):
        conns = [self.kv.resp(n % 2) for n in range(8)]
        for c in conns:
            self.addCleanup(c.close)
            c.send(kvtest.resp_encode("INCR", "n") * 500)
        for c in conns:
            replies = [c.read_reply() for _ in range(500)]
            self.assertEqual(replies, sorted(set(replies)))
        self.assertEqual(self.resp.call("GET", "n"), b"4000")


class TwoProtocols(Alone):
    def test_hset_is_put_and_hget_is_get(self):
        self.line.create("shopping")
        self.assertEqual(self.resp.call("HSET", "shopping", "milk", 1), 1)
        self.assertEqual(self.line.get("shopping", "milk"), b"1")
        self.line.put("shopping", "milk", 2)
        self.line.put("shopping", "eggs", 3)
        self.assertEqual(self.resp.call("HGET", "shopping", "milk"), b"2")
        self.assertEqual(self.resp.call("HLEN", "shopping"), 2)
        self.line.ok("DELETE", "shopping", "milk")
        self.assertEqual(self.resp.call("HGETALL", "shopping"),
                         [b"eggs", b"3"])
        self.assertEqual(self.resp.call("HDEL", "shopping", "eggs"), 1)
        self.assertEqual(self.line.get("shopping", "eggs"), b"")

    def test_a_bucket_that_was_created_stays_when_empty(self):
        self.line.create("made")
        self.assertEqual(self.resp.call("EXISTS", "made"), 1)
        self.resp.must("HSET", "made", "f", "v")
        self.resp.must("HDEL", "made", "f")
        self.assertEqual(self.resp.call("EXISTS", "made"), 1)
        self.assertEqual(self.line.get("made", "f"), b"")

    def test_a_bucket_that_hset_made_goes_with_its_last_field(self):
        self.resp.must("HSET", "brief", "f", "v")
        self.assertEqual(self.line.get("brief", "f"), b"v")
        self.resp.must("HDEL", "brief", "f")
        self.assertEqual(self.resp.call("EXISTS", "brief"), 0)
        self.assertEqual(self.line.line("GET brief f"), b"NOT FOUND")

    def test_create_makes_a_bucket_of_hset_one_that_stays(self):
        self.resp.must("HSET", "both", "f", "v")
        self.line.create("both")
        self.resp.must("HDEL", "both", "f")
        self.assertEqual(self.line.get("both", "f"), b"")

    def test_wrongtype_both_ways(self):
        self.resp.must("SET", "s", "v")
        reply = self.resp.call("HSET", "s", "f", "v")
        self.assertTrue(reply.text.startswith(b"WRONGTYPE "), reply)
        self.line.create("made")
        for command in (("GET", "made"), ("INCR", "made"),
                        ("SET", "made", "v", "GET")):
            reply = self.resp.call(*command)
            self.assertIsInstance(reply, Error, command)
            self.assertTrue(reply.text.startswith(b"WRONGTYPE "), reply)

    def test_set_replaces_what_hset_made_but_not_what_create_made(self):
        self.resp.must("HSET", "h", "f", "v")
        self.assertEqual(self.resp.call("SET", "h", "v"), b"OK")
        self.line.create("made")
        self.line.put("made", "k", "v")
        self.assertIsInstance(self.resp.call("SET", "made", "v"), Error)
        self.assertEqual(self.line.get("made", "k"), b"v")

    def test_select_of_a_bucket_makes_it_the_target(self):
        self.line.create("shop2")
        self.line.put("shop2", "milk", 1)
        self.assertEqual(self.resp.call("SELECT", "shop2"), b"OK")
        self.assertEqual(self.resp.call("GET", "milk"), b"1")
        self.assertEqual(self.resp.call("SET", "milk", 5), b"OK")
        self.assertEqual(self.line.get("shop2", "milk"), b"5")
        self.assertEqual(self.resp.call("SELECT", 0), b"OK")
        self.assertIsNone(self.resp.call("GET", "milk"))

    def test_hashes_of_database_3_are_buckets_named_after_it(self):
        self.resp.must("SELECT", 3)
        self.resp.must("HSET", "h", "f", "v")
        self.assertEqual(self.line.get("3/h", "f"), b"v")

    def test_line_subscribers_see_what_resp_clients_change(self):
        self.line.create("seen")
        self.line.send(b"SUBSCRIBE seen\r\n")
        self.assertEqual(self.line.read_quiet(first=0.1), b"")
        self.resp.must("HSET", "seen", "a", 1, "b", 2)
        self.resp.must("HDEL", "seen", "a", "b")
        self.assertEqual([self.line.read_line() for _ in range(4)],
                         [b"a SET TO 1", b"b SET TO 2", b"a DELETED",
                          b"b DELETED"])

    def test_what_one_port_answered_the_other_knows_at_once(self):
        with self.kv.resp(1) as other:
            for n in range(300):
                self.resp.must("SET", "k", n)
                self.assertEqual(other.call("GET", "k"), b"%d" % n)
                other.must("HSET", "h", "f", n)
                self.assertEqual(self.resp.call("HGET", "h", "f"),
                                 b"%d" % n)


class WhichProtocol(Alone):
    """man kv-protocol.7: the first line decides."""

    def first(self, text, wanted):
        with kvtest.Conn(self.kv.ports[0]) as c:
            c.send(text)
            self.assertEqual(c.read_exact(len(wanted)), wanted)
            self.assertEqual(c.read_quiet(), b"")

    def test_a_first_word_of_redis_in_any_case_is_inline_resp(self):
        for text, wanted in ((b"PING\r\n", b"+PONG\r\n"),
                             (b"ping\r\n", b"+PONG\r\n"),
                             (b"set k 'a b'\r\n", b"+OK\r\n"),
                             (b"get k\r\n", b"$3\r\na b\r\n"),
                             (b"EXISTS k none\r\n", b":1\r\n")):
            with self.subTest(text):
                self.first(text, wanted)

    def test_a_first_word_of_the_line_protocol_is_line_mode_for_good(self):
        self.first(b"GET\r\nPING\r\nset k v\r\n",
                   b"UNKNOWN COMMAND\r\nPONG\r\nUNKNOWN COMMAND\r\n")
        self.first(b"PUT a b c d\r\n", b"UNKNOWN COMMAND\r\n")
        self.first(b"WHATEVER\r\nPING\r\n",
                   b"UNKNOWN COMMAND\r\nPONG\r\n")

    def test_a_blank_first_line_is_silent_before_resp_only(self):
        self.first(b"\r\n*1\r\n$4\r\nPING\r\n", b"+PONG\r\n")
        self.first(b"\r\n", b"UNKNOWN COMMAND\r\n")
        with kvtest.Conn(self.kv.ports[0]) as c:
            began = time.monotonic()
            c.send(b"\r\nCREATE blank\r\n")
            self.assertEqual(c.read_exact(21), b"UNKNOWN COMMAND\r\nOK\r\n")
            self.note(f"{(time.monotonic() - began) * 1000:.0f} ms")

    def test_a_line_of_star_and_digits_turns_a_line_client_to_resp(self):
        self.first(b"CREATE turn\r\n*3\r\n$4\r\nHGET\r\n$4\r\nturn\r\n"
                   b"$1\r\nk\r\n*1\r\n$4\r\nPING\r\n",
                   b"OK\r\n$-1\r\n+PONG\r\n")


@unittest.skipUnless(kvredis.tool("redis-cli"), "no redis-tools")
class RedisTools(Alone):
    def cli(self, *args, input=None):
        p = subprocess.run(
            ["redis-cli", "-p", str(self.kv.ports[0]), *args],
            input=input, capture_output=True, timeout=30)
        self.assertEqual(p.returncode, 0, p)
        return p.stdout.decode()

    def test_redis_cli_works_in_both_versions(self):
        for version, between in (("-2", "\n"), ("-3", " ")):
            self.assertEqual(self.cli(version, "SET", "k", "v"), "OK\n")
            self.assertEqual(self.cli(version, "GET", "k"), "v\n")
            self.cli(version, "HSET", "h", "f", "v")
            self.assertEqual(self.cli(version, "HGETALL", "h"),
                             f"f{between}v\n")
            self.assertEqual(self.cli(version, "-n", "5", "GET", "k"), "\n")

    def test_redis_cli_runs_a_session_from_its_input(self):
        self.assertEqual(
            self.cli(input=b"SET a 1\nINCR a\nGET a\nMGET a b\nDBSIZE\n"),
            "OK\n2\n2\n2\n\n1\n")

    def test_redis_cli_pipe_loads_both_kinds_of_commands(self):
        loads = b"".join(b"SET k%d v%d\r\n" % (n, n) for n in range(1000)) + \
            b"".join(kvtest.resp_encode("SET", f"r{n}", n)
                     for n in range(1000))
        self.assertIn("errors: 0, replies: 2000",
                      self.cli("--pipe", input=loads))
        self.assertEqual(self.resp.call("DBSIZE"), 2000)

    def test_redis_cli_scan_lists_every_key(self):
        self.resp.pipeline([("SET", f"k{n}", n) for n in range(500)])
        self.assertEqual(set(self.cli("--scan").split()),
                         {f"k{n}" for n in range(500)})

    @limit(180)
    def test_redis_benchmark_runs_without_an_error(self):
        for more in ([], ["-P", "16"], ["-c", "200"], ["-3"], ["-r", "1000"],
                     ["-d", "10000"], ["-k", "0", "-n", "500"]):
            with self.subTest(more):
                p = subprocess.run(
                    ["redis-benchmark", "-p", str(self.kv.ports[1]), "-q",
                     "-t", "set,get,incr,hset,mset,ping", "-n", "2000",
                     *more], capture_output=True, timeout=60)
                said = (p.stdout + p.stderr).decode()
                self.assertEqual(p.returncode, 0, said)
                lines = said.replace("\r", "\n").split("\n")
                self.assertEqual([x for x in lines if re.search(
                    r"(?i)\berr|could not|WARNING: (?!Keepalive)", x)], [])
                self.assertEqual(said.count("requests per second"), 7, said)


if __name__ == "__main__":
    kvtest.main()
