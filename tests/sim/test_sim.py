#!/usr/bin/env python3
"""A share of the simulator's runs (make sim has more): every profile of faults,
a day of virtual time in one run, then the mutations that are easy to notice.
Each run of the simulator counts as a test, each mutation as one.

KV_SIM is the program, KV_SIM_RUNS how many runs of each profile: all of it is
for less than a minute of one core.
"""
import os
import re
import subprocess
import sys

RUNS = int(os.environ.get("KV_SIM_RUNS", "2400"))
HOURS = 24 if RUNS >= 2400 else 3
# Of those that cost more there are fewer.
FEWER = {"all": 2, "clock-drops": 2, "ttl": 2, "services": 5, "versions": 5,
         "roster": 5, "rot": 6, "conflicts": 6, "clocks": 6, "sealed": 60}
RESULT = re.compile(r"^(\d+) passed, (\d+) failed$", re.M)


def start(sim, *options):
    return subprocess.Popen([sim, *options], stdout=subprocess.PIPE, text=True,
                            stdin=subprocess.DEVNULL)


def result(call):
    """(passed, failed) of one call; what it says of a day is shown always."""
    text, _ = call.communicate()
    for line in text.splitlines():
        print(f"note: {line}" if line.startswith("day") else line)
    print(flush=True)
    found = RESULT.search(text)
    if not found:
        return 0, 1
    passed, failed = map(int, found.groups())
    if call.returncode != 0 and failed == 0:
        failed = 1
    return passed, failed


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    sim = os.environ.get("KV_SIM") or os.path.join(
        here, "..", "..", "build", "sim", "tests", "sim")
    profiles = re.findall(r"^profile +(\S+)$", subprocess.run(
        [sim, "--list"], stdout=subprocess.PIPE, text=True,
        check=True).stdout, re.M)
    calls = [("--seeds", f"1:{max(1, RUNS // FEWER.get(p, 1))}",
              "--profile", p) for p in profiles]
    # A sanitizer's build has no switches.
    if "KV_SIM_RUNS" not in os.environ:
        calls.append(("--mutations", "--quick"))
    # One run has one process: it may go on beside the others.
    day = start(sim, f"--day={HOURS}", "--seeds", "1", "--jobs", "1")
    results = [result(start(sim, *options)) for options in calls]
    results.append(result(day))
    passed = sum(r[0] for r in results)
    failed = sum(r[1] for r in results)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
