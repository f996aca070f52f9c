#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The manuals and the README say what is there, and all of it."""

import glob
import os
import re
import subprocess

import kvtest
from kvtest import BIN, ROOT, program


def text(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def table(path, name):
    """The rows X(...) of an X-macro, as lists of their arguments."""
    macro = re.search(rf"#define {name}\(X\)(.*?[^\\])\n", text(path), re.S)
    return [re.findall(r'"[^"]*"|\w+', row)
            for row in re.findall(r"X\(([^)]*)\)", macro[1])]


def items(page):
    return re.findall(r"^\.It (.*)$", page, re.M)


def examples(page):
    """The C sources of a page, as man(1) shows them."""
    found = re.findall(r"^\.Bd -literal[^\n]*\n(#include.*?)^\.Ed", page,
                       re.M | re.S)
    return [source.replace("\\e", "\\") for source in found]


class Manuals(kvtest.Case):
    def test_every_reason_of_kv_nodes_is_explained(self):
        explained = items(text("man/kv-sync.7"))
        reasons = [r[1].strip('"') for r in
                   table("src/sync/reason.h", "MEMBER_REASONS")]
        self.assertGreater(len(reasons), 15)
        for reason in reasons:
            if reason:
                self.assertIn(reason, explained)

    def test_every_frame_is_listed_with_its_number(self):
        heads = items(text("man/kv-sync.7"))
        kinds = re.findall(r"^\tFRAME_(\w+) = (\d+),", re.search(
            r"enum frame_type \{(.*?)\}", text("src/sync/frame.h"),
            re.S)[1], re.M)
        self.assertGreater(len(kinds), 20)
        for name, number in kinds:
            name = name.split("_")[0] if name.startswith("DATA") else name
            self.assertTrue(
                any(re.search(rf"\b{number}\b.*\b{name}\b", h)
                    for h in heads), f"{number} {name}")

    def test_every_code_of_bye_is_told(self):
        page = text("man/kv-sync.7")
        for _, number, what in table("src/sync/frame.h", "FRAME_BYE_CODES"):
            what = what.strip('"').split()[0]
            self.assertRegex(page, rf"\b{number}\s+{what}")

    def test_every_verb_and_option_of_kv_is_in_its_manual(self):
        def kv(*args):
            return subprocess.run([program("kv"), *args], check=True,
                                  capture_output=True, text=True).stdout
        page = text("man/kv.1")
        verbs = [w for w in kv("--words").split() if w[0] != "-"]
        self.assertIn("nodes", verbs)
        for verb in verbs:
            self.assertRegex(page, rf"(?m)^\.(It )?Cm {verb}\b")
            said = kv("help", verb) if verb != "help" else ""
            for option in re.findall(r"(?<!\w)-(-[a-z][a-z-]+)", said):
                self.assertIn(f"Fl {option}", page, verb)
        for option in re.findall(r" -(-[a-z][a-z-]+)", kv("--help")):
            self.assertIn(f"Fl {option}", page.replace(" , ", " , Fl "))

    def compiled(self, store, source, *how):
        done = subprocess.run(
            ["cc", "-Wall", "-Wextra", "-Werror",
             "-I", os.path.join(ROOT, "include"),
             store.write("example.c", source), *how],
            check=False, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_examples_of_libkv_compile_and_the_program_runs(self):
        found = examples(text("man/kv.3"))
        self.assertEqual(len(found), 3)
        store = kvtest.Store()
        self.addCleanup(store.remove)
        for source in found[1:]:
            self.compiled(store, source, "-fsyntax-only")
        with open(os.path.join(BIN, "libkv.so"), "rb") as f:
            library = f.read()
        if b"__asan_init" in library or b"__gcov_" in library:
            return  # its run-time library would have to come first
        self.assertIn("/var/tmp/shop", found[0])
        run = os.path.join(store.base, "example")
        os.symlink(os.path.abspath(os.path.join(BIN, "libkv.so")),
                   os.path.join(store.base, "libkv.so.0"))
        self.compiled(store, found[0].replace("/var/tmp/shop", store.dir),
                      "-o", run, "-L", BIN, "-lkv",
                      f"-Wl,-rpath,{store.base}")
        said = subprocess.run([run], check=True, capture_output=True,
                              env=kvtest.clean_env(store.base), text=True)
        self.assertEqual((said.stdout, said.stderr), ("1\n", ""))

    def test_manuals_name_only_manuals_that_are_there(self):
        ours = {os.path.basename(p) for p in glob.glob(f"{ROOT}/man/*.[1-8]")}
        for page in sorted(ours):
            for name, section in re.findall(r"^\.Xr (kv\S*) (\d)",
                                            text("man", page), re.M):
                self.assertIn(f"{name}.{section}", ours, page)

    def test_the_readme_names_only_what_is_there(self):
        readme = text("README.md")
        links = re.findall(r"\]\(([^):]+)\)", readme)
        self.assertIn("man/kv-sync.7", links)
        for link in links:
            self.assertTrue(os.path.exists(os.path.join(ROOT, link)), link)
        targets = re.findall(r"^([a-z][a-z-]*):", text("Makefile"), re.M)
        for target in re.findall(r"\bmake ([a-z][a-z-]+)", readme):
            self.assertIn(target, targets)
        for page in glob.glob(f"{ROOT}/man/*.[1-8]"):
            self.assertIn("man/" + os.path.basename(page), links)

    def test_nothing_refers_to_what_lies_outside_the_tree(self):
        outside = re.compile(
            r"\b(?:sync|design|protocol|faults|targets|style)\.md\b|"
            r"\.\./shared\b|/work/" "shared")
        this = os.path.abspath(__file__)
        for folder in ("src", "include", "tools", "tests", "man"):
            for at, _, names in os.walk(os.path.join(ROOT, folder)):
                for name in names:
                    path = os.path.join(at, name)
                    if path == this or "seeds" in at or name.endswith(".pyc"):
                        continue
                    with open(path, encoding="utf-8", errors="replace") as f:
                        found = outside.search(f.read())
                    self.assertIsNone(found, path)


if __name__ == "__main__":
    kvtest.main()
