# SPDX-License-Identifier: ISC
"""Processes whose wall clock is not the machine's: libfaketime, preloaded."""

import contextlib
import glob
import os
import re

LIBRARY = "".join(glob.glob("/usr/lib/*/faketime/libfaketime.so.1"))
WHY_NOT = None if LIBRARY else "no libfaketime (package libfaketime)"
_LEFT = re.compile(r"(?:faketime_shm|sem\.faketime_sem)_(\d+)")


def forget_the_dead():
    """Remove what libfaketime leaves in /dev/shm of those who are killed: it
    would disturb a later process of the same pid."""
    for name in os.listdir("/dev/shm"):
        found = _LEFT.fullmatch(name)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join("/dev/shm", name))


def env(offset=None, file=None):
    """The environment of one whose clock is off by so much ("+1h"), or by
    what that file says at any time (put)."""
    forget_the_dead()
    own = {"FAKETIME_TIMESTAMP_FILE": file, "FAKETIME_NO_CACHE": "1"} \
        if file else {"FAKETIME": offset}
    return {"LD_PRELOAD": LIBRARY, "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1", **own}


def put(file, offset):
    """From now on the clocks that follow that file are off by so much."""
    with open(file + ".new", "w") as f:
        f.write(f"{offset}\n")
    os.rename(file + ".new", file)
