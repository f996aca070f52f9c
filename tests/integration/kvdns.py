# SPDX-License-Identifier: ISC
"""A DNS server of a test: what it is told, over UDP on an address of loopback
that nobody else uses; resolv.conf(5) knows no other port than 53."""

import ipaddress
import itertools
import os
import socket
import struct
import threading

A, AAAA, SRV = 1, 28, 33
_numbers = itertools.count(1)


class Dns:
    """zone: {(name, type): [text or (priority, weight, port, target)]}.  It
    may be changed while the server runs; silent: answer nobody."""

    def __init__(self, zone):
        self.zone = zone
        self.silent = False
        self.asked = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.address = f"127.53.{os.getpid() % 250 + 1}.{next(_numbers)}"
        self.sock.bind((self.address, 53))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self):
        self.sock.close()

    def _run(self):
        while True:
            try:
                query, peer = self.sock.recvfrom(512)
            except OSError:
                return
            if not self.silent:
                self.sock.sendto(self._answer(query), peer)

    @staticmethod
    def _name(text):
        return b"".join(bytes([len(x)]) + x.encode()
                        for x in text.split(".")) + b"\0"

    def _answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12:at + 5]
        kind, = struct.unpack(">H", query[at + 1:at + 3])
        name = ".".join(labels).lower()
        self.asked.append((name, kind))
        rows = self.zone.get((name, kind), [])
        known = any(n == name for n, _ in self.zone)
        out = b""
        for r in rows:
            data = struct.pack(">HHH", *r[:3]) + self._name(r[3]) \
                if kind == SRV else ipaddress.ip_address(r).packed
            out += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 1, len(data)) \
                + data
        flags = 0x8580 if known else 0x8583
        return query[:2] + struct.pack(">HHHHH", flags, 1, len(rows), 0, 0) \
            + question + out
