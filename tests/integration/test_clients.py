#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Real clients, each in its ordinary use, on two ports at once.

What is not installed is skipped and says so.  The npm clients are installed
and run with KV_NPM=1 only, into KV_NPM_DIR (default /var/tmp/kv-npm)."""

import os
import re
import shutil
import subprocess
import unittest
import urllib.request

import kvtest
from kvtest import Kvd, free_ports, wait_for

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")
NPM = ["ioredis", "redis", "keyv", "@keyv/redis", "connect-redis",
       "express-session"]
NPM_DIR = os.environ.get("KV_NPM_DIR", "/var/tmp/kv-npm")


def need(program):
    return unittest.skipUnless(shutil.which(program), f"no {program} here")


def have_python_redis():
    return os.access("/usr/bin/python3", os.X_OK) and subprocess.run(
        ["/usr/bin/python3", "-c", "import redis"],
        capture_output=True).returncode == 0


class Clients(kvtest.Case):
    @classmethod
    def setUpClass(cls):
        cls.kvd = Kvd(2)

    @classmethod
    def tearDownClass(cls):
        cls.kvd.close()

    def run_client(self, *command, text=None, limit=60, cwd=None):
        done = subprocess.run(
            [str(x) for x in command], input=text, capture_output=True,
            text=True, timeout=limit * kvtest.SLOW, cwd=cwd)
        self.assertEqual(done.returncode, 0,
                         f"{command}\n{done.stdout[-2000:]}"
                         f"\n{done.stderr[-3000:]}")
        return done.stdout

    @need("redis-cli")
    def test_redis_cli(self):
        a, b = self.kvd.ports
        cli = ["redis-cli", "-p", b]
        self.assertEqual(self.run_client("redis-cli", "-p", a, "SET", "c",
                                         "a b"), "OK\n")
        self.assertEqual(self.run_client(*cli, "GET", "c"), "a b\n")
        self.assertEqual(self.run_client(*cli, "-3", "HSET", "ch", "f", "1"),
                         "1\n")
        self.assertIn("f", self.run_client(*cli, "-3", "HGETALL", "ch"))
        self.assertIn('"f"\n', self.run_client(*cli, "--no-raw", "HKEYS",
                                               "ch"))
        self.assertIn("c\n", self.run_client(*cli, "--scan"))
        self.assertIn("errors: 0, replies: 1000", self.run_client(
            *cli, "--pipe", text="".join(
                f"SET pipe{i} {i}\r\n" for i in range(1000))))
        self.assertIn("redis_version", self.run_client(*cli, "INFO"))
        self.assertIn("Sampled", self.run_client(*cli, "--bigkeys"))
        self.assertIn("Sampled", self.run_client(*cli, "--memkeys"))
        with subprocess.Popen(["stdbuf", "-oL", *map(str, cli), "--stat",
                               "-i", "0.1"],
                              stdout=subprocess.PIPE, text=True) as p:
            lines = [p.stdout.readline() for _ in range(4)]
            p.kill()
        self.assertIn("keys", lines[1])
        self.assertRegex(lines[3], r"^\d+ ")

    @need("redis-benchmark")
    def test_redis_benchmark(self):
        out = self.run_client(
            "redis-benchmark", "-p", self.kvd.ports[0], "-n", "2000", "-c",
            "10", "-P", "4", "-q", "-t",
            "ping_inline,ping_mbulk,set,get,incr,hset,mset")
        for name in ("PING_INLINE", "SET", "GET", "INCR", "HSET", "MSET"):
            self.assertRegex(out, rf"{name}.*: [\d.]+ requests per second")
        self.assertNotIn("rror", out)

    @unittest.skipUnless(have_python_redis(), "no python3-redis here")
    def test_python3_redis(self):
        self.assertEqual(self.run_client(
            "/usr/bin/python3", os.path.join(HERE, "redis.py"),
            *self.kvd.ports), "fine\n")

    @unittest.skipUnless(os.path.exists("/usr/include/hiredis/hiredis.h"),
                         "no libhiredis-dev here")
    def test_hiredis(self):
        program = os.path.join(self.kvd.store.base, "hiredis")
        self.run_client("cc", "-o", program, "-x", "c",
                        os.path.join(HERE, "hiredis.c.in"), "-lhiredis")
        self.assertEqual(self.run_client(program, *self.kvd.ports), "fine\n")

    @need("prometheus-redis-exporter")
    def test_the_exporter_of_prometheus_scrapes_without_errors(self):
        port, = free_ports(1)
        log = os.path.join(self.kvd.store.base, "exporter.log")
        with open(log, "wb") as f:
            p = subprocess.Popen(
                ["prometheus-redis-exporter", "-redis.addr",
                 f"redis://127.0.0.1:{self.kvd.ports[0]}",
                 "-web.listen-address", f"127.0.0.1:{port}"],
                stdout=f, stderr=f)
        try:
            def scrape():
                try:
                    with urllib.request.urlopen(
                            f"http://127.0.0.1:{port}/metrics") as r:
                        return r.read().decode()
                except OSError:
                    return None
            wait_for(scrape, 15, "the exporter")
            with self.kvd.resp() as c:
                c.call("SET", "e", "1")
            text = scrape()
            with open(log) as f:
                said = f.read()
            self.assertRegex(text, r"(?m)^redis_up 1$")
            self.assertRegex(
                text, r"redis_exporter_last_scrape_error\{err=\"\"\} 0")
            self.assertRegex(text, r'redis_db_keys\{db="db0"\} [1-9]')
            self.assertRegex(text, r"redis_commands_total\{cmd=\"set\"\}")
            self.assertNotRegex(said, r"level=error|level=warn|rror:")
            self.note(f"{len(re.findall('(?m)^redis_', text))} metrics")
        finally:
            p.kill()
            p.wait()

    def npm(self, which):
        if os.environ.get("KV_NPM") != "1":
            self.skipTest("KV_NPM=1 installs and runs the npm clients")
        if not shutil.which("npm"):
            self.skipTest("no npm here")
        if not all(os.path.isdir(os.path.join(NPM_DIR, "node_modules", n))
                   for n in NPM):
            os.makedirs(NPM_DIR, exist_ok=True)
            self.run_client("npm", "install", "--silent", "--no-audit",
                            "--no-fund", "--prefix", NPM_DIR, *NPM, limit=300)
        shutil.copy(os.path.join(HERE, "node.mjs"), NPM_DIR)
        self.assertEqual(self.run_client(
            "node", "node.mjs", which, *self.kvd.ports, cwd=NPM_DIR),
            "fine\n")

    def test_ioredis(self):
        self.npm("ioredis")

    def test_node_redis(self):
        self.npm("redis")

    def test_keyv(self):
        self.npm("keyv")

    def test_connect_redis(self):
        self.npm("connectRedis")


if __name__ == "__main__":
    kvtest.main()
