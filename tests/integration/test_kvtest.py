#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The helpers themselves: a test that cannot fail is a defect."""

import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading

import kvtest
from kvtest import (NULL_ARRAY, Closed, Error, LineClient, Map, Push,
                    RespClient, Set, Simple, resp_encode, same, wait_for)

HERE = os.path.dirname(os.path.abspath(__file__))


class Scripted:
    """A server that says these bytes to whoever comes, then closes or not."""

    def __init__(self, says, close=True):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.done = threading.Event()
        threading.Thread(target=self._serve, args=(says, close),
                         daemon=True).start()

    def _serve(self, says, close):
        s, _ = self.listener.accept()
        with s:
            for part in says if isinstance(says, list) else [says]:
                s.sendall(part)
            if not close:
                self.done.wait(10)

    def __enter__(self):
        return self.port

    def __exit__(self, *_):
        self.done.set()
        self.listener.close()


class Clients(kvtest.Case):
    def reply(self, text):
        with Scripted(text) as port, RespClient(port) as c:
            got = c.read_reply()
            self.assertEqual(c.read_to_eof(), b"")
            return got

    def test_every_type_of_reply_is_told_apart(self):
        for text, wanted in (
                (b"+OK\r\n", Simple(b"OK")), (b"$2\r\nOK\r\n", b"OK"),
                (b"-ERR x\r\n", Error(b"ERR x")), (b":-7\r\n", -7),
                (b"$-1\r\n", None), (b"*-1\r\n", NULL_ARRAY), (b"_\r\n", None),
                (b"$0\r\n\r\n", b""), (b"$4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
                (b"*2\r\n:1\r\n*1\r\n$-1\r\n", [1, [None]]),
                (b"%1\r\n+a\r\n:1\r\n", Map([[Simple(b"a"), 1]])),
                (b"~1\r\n:1\r\n", Set([1])), (b">1\r\n:1\r\n", Push([1])),
                (b",1.5\r\n", 1.5), (b"#t\r\n", True), (b"(123\r\n", 123),
                (b"=5\r\ntxt:a\r\n", b"a"), (b"!3\r\nERR\r\n", Error(b"ERR")),
                (b"|1\r\n+ttl\r\n:5\r\n:9\r\n", 9)):
            with self.subTest(text):
                self.assertTrue(same(self.reply(text), wanted))
        self.assertFalse(same(Simple(b"a"), b"a"))
        self.assertFalse(same([1, [b"a"]], [1, [b"b"]]))
        self.assertFalse(same(Map(), []))
        self.assertFalse(same(1, True))

    def test_requests_are_arrays_of_bulk_strings(self):
        self.assertEqual(resp_encode("SET", b"\r\n", 1),
                         b"*3\r\n$3\r\nSET\r\n$2\r\n\r\n\r\n$1\r\n1\r\n")

    def test_nothing_is_read_beyond_what_was_asked_for(self):
        with Scripted(b"v\r\nOK\r\nrest") as port, LineClient(port) as c:
            self.assertEqual(c.read_line(), b"v")
            self.assertEqual(c.read_line(), b"OK")
            self.assertEqual(c.read_to_eof(), b"rest")

    def test_a_server_that_closes_early_is_told_from_one_that_is_silent(self):
        with Scripted(b"O") as port, LineClient(port) as c:
            self.assertRaises(Closed, c.read_line)
        with Scripted(b"O", close=False) as port, \
                LineClient(port, limit=0.05) as c:
            self.assertRaises(TimeoutError, c.read_line)
            self.assertRaises(TimeoutError, c.read_to_eof)
            self.assertTrue(c.is_open())
            self.assertEqual(c.read_quiet(), b"O")

    def test_sending_much_does_not_block_on_a_peer_that_answers_much(self):
        listener = socket.create_server(("127.0.0.1", 0))

        def echo():
            s, _ = listener.accept()
            while (data := s.recv(65536)):
                s.sendall(data)
        threading.Thread(target=echo, daemon=True).start()
        with LineClient(listener.getsockname()[1]) as c:
            c.send(b"x" * (64 << 20))
            self.assertEqual(len(c.read_exact(64 << 20)), 64 << 20)
        listener.close()

    def test_waiting_in_vain_ends_with_the_name_of_what_did_not_come(self):
        with self.assertRaisesRegex(TimeoutError, "the moon"):
            wait_for(lambda: False, 0.01, "the moon")


class Processes(kvtest.Case):
    def test_the_holder_of_a_connections_other_end_is_found(self):
        with Scripted(b"", close=False) as port, LineClient(port) as c:
            me = kvtest.process_of(os.getpid())
            wait_for(lambda: kvtest.server_inode(c) in me.socket_inodes(), 5,
                     "the accepted socket")

    def test_descendants_are_found_and_their_end_is_noticed(self):
        p = subprocess.Popen(["sh", "-c", "sleep 100 & sleep 100"],
                             stderr=subprocess.DEVNULL)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        below = wait_for(lambda: len(x := kvtest.children_of(p.pid)) == 2
                         and [c.name for c in x] == ["sleep", "sleep"] and x,
                         5, "two children")
        shell = kvtest.process_of(p.pid)
        self.assertIn(shell, kvtest.children_of(os.getpid()))
        for child in below:
            child.kill_and_wait()
        wait_for(lambda: not shell.is_alive(), 5, "the end of a zombie")

    def test_a_pid_that_is_used_again_is_not_killed(self):
        p = subprocess.Popen(["sleep", "100"])
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        other = kvtest.Process(p.pid, "sleep", 1)
        self.assertFalse(other.is_alive())
        other.kill()
        self.assertIsNone(p.poll())

    def test_free_ports_are_free_and_distinct(self):
        ports = kvtest.free_ports(50)
        self.assertEqual(len(set(ports)), 50)
        row = kvtest.free_ports(5, consecutive=True)
        self.assertEqual(row, list(range(row[0], row[0] + 5)))


class Runner(kvtest.Case):
    TESTS = """
        import kvtest
        class A(kvtest.Case):
            def test_good(self): self.note("7 ms")
            def test_bad(self): self.assertEqual(1, 2)
            def test_half(self):
                for n in (1, 2):
                    with self.subTest(n): self.assertEqual(n, 0)
            def test_broken(self): 1 // 0
            def test_skipped(self): self.skipTest("no moon")
            @kvtest.limit(1)
            def test_hangs(self):
                import threading; threading.Event().wait()
        if __name__ == "__main__":
            kvtest.main()
        """

    def run_tests(self, *args):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "test_these.py")
            with open(path, "w") as f:
                f.write(textwrap.dedent(self.TESTS))
            p = subprocess.run(
                [sys.executable, path, *args], capture_output=True,
                text=True, timeout=50,
                env={**os.environ, "PYTHONPATH": HERE, "KV_SLOW": "1"})
        return p.returncode, p.stdout.splitlines()

    def test_each_test_is_a_line_and_the_last_line_counts_them(self):
        code, lines = self.run_tests()
        self.assertEqual(code, 1)
        self.assertEqual(lines[-2:], ["1 skipped", "1 passed, 4 failed"])
        for start, name in (("ok", "good"), ("FAIL", "bad"),
                            ("FAIL", "half"), ("FAIL", "broken"),
                            ("skip", "skipped"), ("FAIL", "hangs")):
            found = [x for x in lines if x.startswith(start + " ") and
                     f" ms  {name}" in x]
            self.assertEqual(len(found), 1, (name, lines))

    def test_a_part_of_a_name_selects(self):
        code, lines = self.run_tests("good")
        self.assertEqual((code, lines[-1]), (0, "1 passed, 0 failed"))
        self.assertIn("[7 ms]", lines[0])
        code, lines = self.run_tests("no such test")
        self.assertEqual((code, lines[-1]), (1, "0 passed, 1 failed"))


if __name__ == "__main__":
    kvtest.main()
