#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What made the original fail, one host's worth; where the test of each fault
is, test_fault_table.py tells."""

import os
import resource
import select
import signal
import socket
import statistics
import time

import kvtest
from kvtest import (SLOW, Kvd, LineClient, Store, assert_refused,
                    free_ports, limit, resp_encode, run_kvd, wait_for)

STORM = int(os.environ.get("KV_STORM", "2000"))


def more_files():
    """As many descriptors as the hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class AtStart(kvtest.Case):
    def refused(self, args, *words, env=None):
        with_store = Store()
        self.addCleanup(with_store.remove)
        got = run_kvd(["-d", with_store.dir, *args], env, with_store)
        return assert_refused(self, got, *words)

    def test_a_port_in_use_is_refused_with_one_line_naming_port_and_holder(
            self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen(1)
            port = s.getsockname()[1]
            self.refused(["-p", str(port)], str(port), str(os.getpid()))

    def test_a_port_held_by_another_kvd_is_refused_and_that_one_serves_on(
            self):
        with Kvd(ports=1) as kv, kv.line() as c:
            c.create("b")
            self.refused(["-p", str(kv.ports[0])], str(kv.ports[0]))
            self.assertEqual(c.line("PUT", "b", "k", "v"), b"OK")
            self.assertTrue(kv.answers(kv.ports[0]))

    def test_one_port_in_use_among_several_opens_none_of_them(self):
        free, = free_ports(1)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen(1)
            port = s.getsockname()[1]
            self.refused(["-p", f"{free},{port}"], str(port))
        with self.assertRaises(ConnectionRefusedError):
            LineClient(free)

    def test_a_bad_port_is_one_line_with_option_value_source_and_range(self):
        for value in ("abc", "70000", "-1", "", "4050-", "4052-4050",
                      "4050,x", "4050,4050", "99999999999999999999"):
            with self.subTest(PORT=value):
                line = self.refused([], value, "65535", env={"PORT": value})
                self.assertRegex(line, r"\b(PORT|port)\b")
                self.assertIn("environment PORT", line)

    def test_a_bad_port_of_a_flag_names_the_flag_as_its_source(self):
        self.refused(["-p", "70000"], "70000", "65535", "flag -p")

    def test_port_0_is_a_random_port_and_the_log_says_which(self):
        with Kvd(ports=None, env={"PORT": "0"}) as kv:
            self.assertEqual(len(kv.ports), 1)
            self.assertGreater(kv.ports[0], 1023)
            with kv.line() as c:
                c.create("b")

    def test_a_flag_without_its_value_is_refused_in_one_line(self):
        self.refused(["-p"], "-p")

    def test_a_missing_configuration_file_is_refused_by_name(self):
        self.refused(["-c", "/nonexistent/kvd.conf"], "/nonexistent/kvd.conf")

    def test_a_missing_cookie_file_is_refused_by_name(self):
        self.refused(["-p", "0", "--cookie-file", "/nonexistent/cookie"],
                     "/nonexistent/cookie")

    def test_an_unknown_flag_is_refused_by_name(self):
        self.refused(["--no-such-flag"], "no-such-flag")

    def test_a_bad_durability_is_refused_with_what_it_may_be(self):
        self.refused(["--durability", "maybe"], "maybe", "always", "everysec")

    def test_a_check_says_what_is_wrong_and_starts_nothing(self):
        store = Store()
        self.addCleanup(store.remove)
        bad = run_kvd(["-n", "-d", store.dir, "-p", "70000"], store=store)
        assert_refused(self, bad, "70000")
        port, = free_ports(1)
        good = run_kvd(["-n", "-d", store.dir, "-p", str(port)], store=store)
        self.assertEqual(good.code, 0, good)
        self.assertFalse(os.path.exists(os.path.join(store.dir, "store")))

    def test_no_secret_stands_in_arguments_environment_or_log(self):
        secret = "kvtest-secret-0123456789abcdefghijklmnop"
        store = Store()
        self.addCleanup(store.remove)
        path = store.write("cookie", secret + "\n")
        os.chmod(path, 0o600)
        with Kvd(store=store, args=["--cookie-file", path]) as kv:
            for p in [kv.me] + kv.children():
                for what in ("cmdline", "environ"):
                    self.assertNotIn(secret.encode(), p.proc_bytes(what),
                                     f"{what} of {p}")
            self.assertNotIn(secret, kv.log_text())


class ManyConnections(kvtest.Case):
    @limit(60 + STORM // 200)
    def test_a_storm_of_connect_and_close_ends_nothing(self):
        with Kvd() as kv, kv.line(0) as a, kv.line(1) as b:
            a.create("b")
            before = kv.children()
            for n in range(STORM):
                with kvtest.Conn(kv.ports[n % 2]) as c:
                    if n % 3 == 1:
                        c.shut()
                    elif n % 3 == 2:
                        c.abort()
            for c in (a, b):
                c.put("b", "k", "v")
                self.assertEqual(c.get("b", "k"), b"v")
            self.assertEqual(kv.children(), before)
            self.assertTrue(all(map(kv.answers, kv.ports)))
            self.note(f"{STORM} connections")

    def test_in_a_burst_of_connects_none_waits_for_a_syn_retry(self):
        count = min(1000, more_files() - 100)
        with Kvd(ports=1) as kv:
            for _ in range(3):  # a machine that stands still looks the same
                times = self._burst(kv.ports[0], count)
                self.assertEqual(len(times), count)
                if max(times) < 0.9:
                    break
            # The first retry of a SYN that was dropped comes after a second.
            self.assertLess(max(times), 0.9)
            self.note(f"{count} connects, the slowest "
                      f"{max(times) * 1000:.0f} ms")

    def _burst(self, port, count):
        """All connects begun at once; seconds until each was answered."""
        p, socks, times = select.epoll(), {}, []
        began = time.monotonic()
        for _ in range(count):
            s = socket.socket()
            self.addCleanup(s.close)
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
            s_time = time.monotonic()
            socks[s.fileno()] = (s, s_time)
            p.register(s, select.EPOLLOUT)
        asked = set()
        while socks and time.monotonic() - began < 15 * SLOW:
            for fd, event in p.poll(0.2):
                s, s_time = socks[fd]
                self.assertEqual(
                    s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
                if fd not in asked:
                    # Connected is the kernel's word; the answer is ours.
                    times.append(time.monotonic() - s_time)
                    s.send(b"CREATE burst\r\n")
                    asked.add(fd)
                    p.modify(s, select.EPOLLIN)
                else:
                    self.assertEqual(s.recv(16), b"OK\r\n")
                    p.unregister(s)
                    del socks[fd]
        p.close()
        self.assertFalse(socks, "connections without an answer")
        return times

    def test_an_idle_connection_costs_less_than_a_kilobyte(self):
        if "_OPTIONS" in " ".join(os.environ) or SLOW > 2:
            self.skipTest("sanitizers have memory of their own")
        count = min(4000, more_files() - 200)
        with Kvd(ports=1) as kv:
            worker, = kv.children("kv-worker")
            with kv.line() as c:
                c.create("idle")
            warm = [kv.line() for _ in range(200)]
            for c in warm:
                self.assertEqual(c.line("CREATE", "idle"), b"OK")
            before = worker.anon_bytes()
            conns = [kv.line() for _ in range(count)]
            for c in conns:
                c.send(b"CREATE idle\r\n")
            for c in conns:
                self.assertEqual(c.read_line(), b"OK")
            each = (worker.anon_bytes() - before) / count
            for c in conns + warm:
                c.close()
        self.note(f"{each:.0f} bytes each")
        self.assertLess(each, 1024)

    def test_an_empty_bucket_costs_less_than_a_quarter_of_a_kilobyte(self):
        if "_OPTIONS" in " ".join(os.environ) or SLOW > 2:
            self.skipTest("sanitizers have memory of their own")
        with Kvd(ports=1, args=["--durability", "everysec"]) as kv, \
                kv.line() as c:
            self.assertEqual(set(c.batch(f"CREATE warm{n}"
                                         for n in range(1000))), {b"OK"})
            before = sum(p.anon_bytes() for p in kv.children())
            for part in range(20):
                self.assertEqual(set(c.batch(f"CREATE b{part}x{n}"
                                             for n in range(1000))), {b"OK"})
            each = (sum(p.anon_bytes() for p in kv.children()) - before) \
                / 20000
        self.note(f"{each:.0f} bytes each")
        self.assertLess(each, 256)

    @limit(120)
    def test_the_data_need_not_fit_into_memory(self):
        """256 MiB of it, of which the processes and the shared memory hold a
        small part; the rest is files that the kernel may forget."""
        if "_OPTIONS" in " ".join(os.environ) or SLOW > 2:
            self.skipTest("sanitizers have memory of their own")
        env = {"KV_SEGMENT_SIZE": str(4 << 20), "KV_VALUE_MAX": str(1 << 20)}
        with Kvd(ports=1, args=["--durability", "everysec"], env=env) as kv, \
                kv.resp() as c:
            for n in range(256):
                c.pipeline([("HSET", "much", f"{n}.{i}", bytes((n,)) * 65536)
                            for i in range(16)])
            c.must("SAVE")
            held = sum(p.anon_bytes() for p in kv.children())
            shared = sum(os.stat(os.path.join(folder, name)).st_blocks * 512
                         for folder in kv.store.shm_folders()
                         for name in os.listdir(folder))
            self.assertEqual(c.call("HLEN", "much"), 4096)
            self.assertEqual(c.call("HGET", "much", "7.7"), b"\7" * 65536)
        self.note(f"{held >> 20} MiB, {shared >> 20} MiB shared")
        self.assertLess(held + shared, 64 << 20)

    def test_create_does_not_slow_down_with_the_number_of_buckets(self):
        with Kvd(ports=1, args=["--durability", "everysec"]) as kv, \
                kv.line() as c:
            rates = []
            for part in range(10):
                began = time.monotonic()
                names = [f"CREATE bucket{part}x{n}" for n in range(2000)]
                self.assertEqual(set(c.batch(names)), {b"OK"})
                rates.append(2000 / (time.monotonic() - began))
        self.note(f"{rates[0]:.0f}/s first, {rates[-1]:.0f}/s at 20,000")
        self.assertGreater(statistics.median(rates[-3:]),
                           statistics.median(rates[:3]) / 3)


class Lines(kvtest.Case):
    """Long lines and pipelines."""

    def setUp(self):
        self.kv = Kvd(ports=1)
        self.addCleanup(self.kv.close)
        self.c = self.kv.line()
        self.addCleanup(self.c.close)
        self.c.create("b")

    def test_a_command_hidden_anywhere_in_a_long_line_is_not_executed(self):
        for before in (1448, 1459, 1460, 1461, 4095, 4096, 16383, 16384,
                       65535, 65536, 1 << 20):
            self.c.send(b"C" * before + b"CREATE hidden\r\n")
            self.assertEqual(self.c.read_line(), b"UNKNOWN COMMAND")
            self.c.send(b"PUT b k" + b" " * before + b"CREATE hidden\r\n")
            self.assertEqual(self.c.read_line(), b"UNKNOWN COMMAND")
            self.assertEqual(self.c.line("PUT hidden k v"), b"NOT FOUND")

    def test_a_line_over_the_limit_is_one_error_and_the_connection_lives(
            self):
        too_long = b"PUT b k " + b"x" * (17 << 20) + b" CREATE hidden\r\n"
        self.c.send(too_long + b"GET b k\r\n", limit=30)
        self.assertEqual(self.c.read_line(), b"ERROR line too long")
        self.assertEqual(self.c.read_line(), b"")
        self.assertEqual(self.c.read_line(), b"OK")
        self.assertEqual(self.c.line("PUT hidden k v"), b"NOT FOUND")
        self.c.put("b", "k", "v")

    @limit(120)
    def test_an_endless_line_costs_no_memory(self):
        worker = self.kv.worker_of(self.c)
        self.c.send(b"x" * (32 << 20), limit=60)
        before = worker.anon_bytes()
        self.c.send(b"y" * (64 << 20), limit=60)
        wait_for(lambda: worker.anon_bytes() < before + (8 << 20), 5,
                 "memory of the worker as before")
        self.c.send(b"\r\nPUT b k v\r\n")
        self.assertEqual(self.c.read_line(), b"ERROR line too long")
        self.assertEqual(self.c.read_line(), b"OK")

    def _batches(self, c, batch, answer):
        times = []
        for _ in range(200):
            began = time.monotonic()
            c.send(batch)
            self.assertEqual(c.read_exact(len(answer)), answer)
            times.append(time.monotonic() - began)
        self.note(f"200 batches in {sum(times) * 1000:.0f} ms, median "
                  f"{statistics.median(times) * 1000:.2f} ms")
        # A delayed ACK is 40 ms, and the original paid one in every batch.
        self.assertLess(statistics.median(times), 0.020 * SLOW)
        self.assertLess(sum(times), 4 * SLOW)

    def test_16_pipelined_line_commands_never_stall(self):
        self.c.put("b", "k", "v")
        self._batches(self.c, b"GET b k\r\n" * 16, b"v\r\nOK\r\n" * 16)
        self._batches(self.c, b"PUT b k v\r\n" * 16, b"OK\r\n" * 16)

    def test_16_pipelined_resp_commands_never_stall(self):
        with self.kv.resp() as c:
            self._batches(c, resp_encode("SET", "k", "v") * 16,
                          b"+OK\r\n" * 16)
            self._batches(c, resp_encode("GET", "k") * 16,
                          b"$1\r\nv\r\n" * 16)

    def test_a_pipeline_sent_in_two_segments_never_stalls(self):
        """Write, write, read: what Nagle and delayed ACK make slow."""
        times = []
        for _ in range(100):
            began = time.monotonic()
            self.c.send(b"PUT b k v\r\nPUT ")
            self.c.send(b"b k w\r\n")
            self.assertEqual(self.c.read_exact(8), b"OK\r\nOK\r\n")
            times.append(time.monotonic() - began)
        self.assertLess(statistics.median(times), 0.020 * SLOW)


class SlowSubscribers(kvtest.Case):
    VALUE = 64 << 10
    COUNT = 2560  # 160 MiB: past any queue and past the kernel's buffers

    def setUp(self):
        self.kv = Kvd(args=["--durability", "everysec"])
        self.addCleanup(self.kv.close)
        self.writer = self.kv.line(0)
        self.addCleanup(self.writer.close)
        self.writer.create("b")

    def subscribe(self, which, bucket="b"):
        c = self.kv.line(which, rcvbuf=4096)
        self.addCleanup(c.close)
        c.send(b"SUBSCRIBE %s\r\n" % bucket.encode())
        self.assertEqual(c.read_quiet(first=0.1), b"")
        return c

    def write(self):
        """The slowest write's time."""
        worst, value = 0, b"v" * self.VALUE
        for n in range(self.COUNT):
            began = time.monotonic()
            self.writer.put("b", f"k{n}", value)
            worst = max(worst, time.monotonic() - began)
        return worst

    @limit(180)
    def test_a_subscriber_that_never_reads_is_closed_with_the_reason(self):
        slow = self.subscribe(1)
        worker = self.kv.worker_of(slow)
        before = worker.anon_bytes()
        worst = self.write()
        grown = worker.anon_bytes() - before
        self.note(f"slowest write {worst * 1000:.0f} ms, worker grew by "
                  f"{grown >> 10} KiB")
        self.assertLess(grown, 48 << 20, "the queue is not bounded")
        self.assertLess(worst, 2 * SLOW, "a writer waited")
        lines = slow.read_to_eof(limit=30).split(b"\r\n")
        self.assertEqual(lines.pop(), b"", "the last line is not whole")
        last = lines.pop()
        self.assertTrue(last.startswith(b"ERROR "), last[:200])
        for n, line in enumerate(lines):
            self.assertEqual(line[:20],
                             (b"k%d SET TO %s" % (n, b"v" * 20))[:20],
                             "a change is missing before the end")
        self.assertLess(len(lines), self.COUNT)
        self.note(f"closed after {len(lines)} of {self.COUNT} changes: "
                  f"{last.decode()}")

    @limit(180)
    def test_a_subscriber_that_stalls_takes_nothing_from_one_that_reads(self):
        self.subscribe(1)
        reader = self.subscribe(1)
        value = b"v" * self.VALUE
        for n in range(self.COUNT // 4):
            self.writer.put("b", f"k{n}", value)
            self.assertEqual(reader.read_line(),
                             b"k%d SET TO %s" % (n, value))

    def test_a_client_that_never_reads_its_answers_stops_only_itself(self):
        self.writer.put("b", "big", b"x" * (1 << 20))
        with self.kv.line(1, rcvbuf=4096) as greedy, self.kv.line(1) as other:
            worker = self.kv.worker_of(greedy)
            before = worker.anon_bytes()
            greedy.sock.send(b"GET b big\r\n" * 300)  # 300 MiB of answers
            for n in range(200):
                other.put("b", "k", n)
                self.assertEqual(other.get("b", "k"), str(n).encode())
            grown = worker.anon_bytes() - before
            self.note(f"worker grew by {grown >> 10} KiB")
            # output_limit is 64 MiB; what is held is one value less or more.
            self.assertLess(grown, 96 << 20)


class AtTheEnd(kvtest.Case):
    def test_sigterm_answers_what_was_asked_closes_and_exits_0(self):
        with Kvd() as kv, kv.line(0) as c, kv.line(1) as idle, \
                kv.resp(1) as resp:
            c.create("b")
            idle.create("b")
            resp.call("PING")
            c.send(b"".join(b"PUT b k%d v\r\n" % n for n in range(5000)))
            self.assertEqual(c.read_line(), b"OK")
            took = kv.stop()
            answers = c.read_to_eof().split(b"\r\n")
            self.assertEqual(answers.pop(), b"")
            self.assertEqual(set(answers), {b"OK"})
            for other in (idle, resp):
                self.assertEqual(other.read_to_eof(), b"")
            with self.assertRaises(ConnectionRefusedError):
                kv.line(0)
            self.note(f"stopped after {took * 1000:.0f} ms")
            kv.start()
            with kv.line(0) as again:
                for n in range(len(answers) + 1):
                    self.assertEqual(again.get("b", f"k{n}"), b"v")

    def test_sigint_ends_it_like_sigterm(self):
        with Kvd() as kv:
            kv.stop(signal.SIGINT)

    def test_sigterm_does_not_wait_for_clients_that_do_not_read(self):
        with Kvd() as kv, kv.line(0) as c, kv.line(0, rcvbuf=4096) as greedy:
            c.create("b")
            c.put("b", "big", b"x" * (1 << 20))
            greedy.sock.send(b"GET b big\r\n" * 64)
            half = kv.resp(1)
            half.send(b"*2\r\n$3\r\nGE")
            kv.stop(limit=10)
            half.close()


if __name__ == "__main__":
    kvtest.main()
