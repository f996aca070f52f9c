# SPDX-License-Identifier: ISC
"""A real redis-server beside kvd, and tools of its package."""

import os
import shutil
import subprocess

from kvproc import die_with_parent, free_ports, wait_for
from kvtest import Store
from kvwire import RespClient


def tool(name):
    """Path of a program of Debian's redis-tools or redis-server, or None."""
    return shutil.which(name)


class Redis:
    """A redis-server in memory on a port of its own."""

    def __init__(self):
        self.store = Store()
        self.port, = free_ports(1)
        with open(os.path.join(self.store.base, "redis.log"), "wb") as log:
            self.proc = subprocess.Popen(
                [tool("redis-server"), "--port", str(self.port), "--bind",
                 "127.0.0.1", "--save", "", "--appendonly", "no", "--dir",
                 self.store.base],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=die_with_parent)
        try:
            wait_for(self._answers, 10, "answer of redis-server")
        except BaseException:
            self.close()
            raise

    def _answers(self):
        try:
            with self.resp() as c:
                return c.call("PING") == b"PONG"
        except OSError:
            return False

    def resp(self, **kw):
        return RespClient(self.port, **kw)

    def close(self):
        self.proc.kill()
        self.proc.wait()
        self.store.remove()
