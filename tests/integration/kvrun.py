# SPDX-License-Identifier: ISC
"""Runs tests: one line each, an alarm on each, `N passed, N failed` last."""

import faulthandler
import importlib
import os
import signal
import sys
import time
import unittest

from kvwire import SLOW

DEFAULT_LIMIT = 60


class TestTimeout(BaseException):
    """Not an Exception, so that no test swallows its own alarm."""


class Interrupted(TestTimeout):
    """Cut off from outside.  Not a KeyboardInterrupt: after one of those
    unittest leaves out the clean-up, and servers and folders would stay."""


def limit(seconds):
    """Decorator: this test may take so long, not the default minute."""
    def mark(f):
        f.kv_limit = seconds
        return f
    return mark


def _on_alarm(signum, frame):
    raise TestTimeout("the test ran into its time limit")


def _on_end(signum, frame):
    raise Interrupted(f"cut off by signal {signum}")


class Case(unittest.TestCase):
    """A test case whose tests end by themselves, and may leave notes (what
    was measured) that are printed on the test's line."""

    on_failure = staticmethod(lambda: "")  # kvtest puts the servers' logs here

    def note(self, text):
        self.notes.append(text)

    def run(self, result=None):
        self.notes = []
        method = getattr(self, self._testMethodName)
        seconds = int(getattr(method, "kv_limit", DEFAULT_LIMIT) * SLOW)
        signal.signal(signal.SIGALRM, _on_alarm)
        # The alarm interrupts whatever waits; the second one is for the case
        # that the clean-up hangs, and then nothing can be saved.
        faulthandler.dump_traceback_later(seconds + 60, exit=True)
        signal.alarm(seconds)
        try:
            return super().run(result)
        finally:
            signal.alarm(0)
            faulthandler.cancel_dump_traceback_later()

    def _callTestMethod(self, method):
        try:
            super()._callTestMethod(method)
        finally:
            signal.alarm(0)  # the clean-up has limits of its own


class Result(unittest.TestResult):
    """Prints as it goes."""

    def __init__(self):
        super().__init__()
        self.passed = 0
        self.failed = 0
        self.skips = 0
        self.bad = False

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.bad = False

    def _line(self, word, test, extra=""):
        name = getattr(test, "_testMethodName", str(test))
        name = name.removeprefix("test_")
        ms = (time.monotonic() - self.began) * 1000
        notes = "; ".join(getattr(test, "notes", []))
        more = "".join(f"  [{x}]" for x in (notes, extra) if x)
        print(f"{word:4} {ms:6.0f} ms  {name}{more}", flush=True)

    def _fail(self, test, err):
        if not hasattr(self, "began"):
            self.began = time.monotonic()
        if not self.bad:
            self.failed += 1
            self._line("FAIL", test)
        self.bad = True
        if issubclass(err[0], Interrupted):
            self.stop()
        text = self._exc_info_to_string(err, test) + Case.on_failure()
        print("".join(f"     | {x}\n" for x in text.splitlines()), end="",
              flush=True)

    def addError(self, test, err):
        self._fail(test, err)

    def addFailure(self, test, err):
        self._fail(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._fail(test, err)

    def addSuccess(self, test):
        if not self.bad:
            self.passed += 1
            self._line("ok", test)

    def addSkip(self, test, reason):
        self.skips += 1
        self._line("skip", test, reason)


def _cases_of(module):
    """The Case classes of a module and their tests, in the order written.  A
    class that says `inherits_tests = True` runs its base's tests too, in its own way;
    otherwise a base is only what its classes share."""
    for cls in vars(module).values():
        if isinstance(cls, type) and issubclass(cls, Case) \
                and cls.__module__ == module.__name__:
            of = [cls, *cls.__mro__[1:2]] if "inherits_tests" in vars(cls) else [cls]
            for name in dict.fromkeys(n for c in of for n in vars(c)):
                if name.startswith("test_"):
                    yield cls, name


def _select(modules, wanted):
    suite = unittest.TestSuite()
    for m in modules:
        for cls, name in _cases_of(m):
            full = f"{m.__name__}.{cls.__name__}.{name}"
            if not wanted or any(w.replace(" ", "_") in full for w in wanted):
                suite.addTest(cls(name))
    return suite


def run_modules(names, wanted):
    """Run tests whose module.Class.name contains one of `wanted` (all when
    empty); returns the exit code."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, _on_end)
    result = Result()
    modules = [importlib.import_module(n) for n in names]
    suite = _select(modules, wanted)
    try:
        suite.run(result)
    except Interrupted as e:
        result.failed += 1
        print(e)
    if result.skips:
        print(f"{result.skips} skipped")
    if not result.testsRun:
        print(f"no test matches {' '.join(wanted)}")
        result.failed += 1
    print(f"{result.passed} passed, {result.failed} failed", flush=True)
    return 1 if result.failed else 0


def main():
    """For `python3 test_x.py [part of a name]...`."""
    name = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    sys.exit(run_modules([name], sys.argv[1:]))
