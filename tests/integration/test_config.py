#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Where an option comes from, what is said when it is wrong, reloading, and
two kvd on one store."""

import os
import re
import shutil
import signal
import time

import kvtest
from kvtest import (SLOW, Kvd, LineClient, Store, assert_refused, free_ports,
                    program, run_kvd, wait_for)


class WithStore(kvtest.Case):
    def setUp(self):
        self.store = Store()
        self.addCleanup(self.store.remove)

    def run_kvd(self, *args, env=None):
        return run_kvd(["-d", self.store.dir, *args], env, self.store)

    def refused(self, args, *words, env=None):
        return assert_refused(self, self.run_kvd(*args, env=env), *words)

    def printed(self, *args, env=None):
        """option -> the rest of its line in --print-config."""
        got = self.run_kvd("--print-config", *args, env=env)
        self.assertEqual(got.code, 0, got)
        lines = {}
        for line in got.out.splitlines():
            # An option without a value is a comment: "; name =  ; default".
            if m := re.match(r"(?:; )?([a-z_]+) = (.*)", line):
                lines[m[1]] = m[2]
        return lines

    def config(self, text):
        return self.store.write("kvd.conf", text)



class Installed(Kvd):
    """As `make install` lays it out, in a folder that the build knows nothing
    of; tree: that folder."""

    tree = None

    def command(self):
        return [os.path.join(self.tree, "bin", "kvd"), *super().command()[1:]]


class Places(WithStore):
    def test_kvd_finds_its_programs_where_the_installed_tree_was_put(self):
        tree = os.path.join(self.store.base, "usr")
        for folder, names in (("bin", ["kvd"]), ("libexec/kv", [
                "kv-worker", "kv-walwriter", "kv-checkpointer"])):
            os.makedirs(os.path.join(tree, folder))
            for name in names:
                shutil.copy(program(name), os.path.join(tree, folder))
        Installed.tree = tree
        with Installed(1, store=self.store) as kvd, kvd.line() as c:
            c.create("shopping")
            self.assertEqual(
                os.readlink(f"/proc/{kvd.worker_of(c).pid}/exe"),
                os.path.realpath(os.path.join(tree, "libexec/kv/kv-worker")))


class Values(WithStore):
    def assert_option(self, printed, option, value, origin):
        self.assertRegex(printed[option],
                         rf"(^|\W){re.escape(value)}(\W|$)")
        self.assertIn(origin, printed[option])

    def test_flags_win_over_environment_over_file_over_defaults(self):
        path = self.config("# of the test\n\ndurability = os\nport = 4101\n"
                           "retention = 3d\n")
        env = {"KV_DURABILITY": "everysec", "PORT": "4102"}
        self.assert_option(self.printed(), "durability", "always", "default")
        self.assert_option(self.printed("-c", path), "durability", "os",
                           f"{path}:3")
        self.assert_option(self.printed("-c", path, env=env), "durability",
                           "everysec", "environment KV_DURABILITY")
        all_four = self.printed("-c", path, "--durability", "always",
                                env=env)
        self.assert_option(all_four, "durability", "always",
                           "flag --durability")
        self.assert_option(all_four, "port", "4102", "environment PORT")
        self.assert_option(all_four, "retention", "3d", f"{path}:5")

    def test_every_option_is_printed_with_value_and_origin(self):
        printed = self.printed()
        for option in ("port", "bind", "dir", "shm_dir", "sname", "name",
                       "nodes", "cookie_file", "durability", "value_max",
                       "segment_size", "map_size", "max_clients", "retention",
                       "log_level"):
            self.assertIn(option, printed)
        for option, rest in printed.items():
            self.assertRegex(rest, r"default|flag -|environment [A-Z]|:\d",
                             option)
        self.assertFalse(os.path.exists(os.path.join(self.store.dir,
                                                     "store")))

    def test_the_default_port_is_4050_and_4040_under_test(self):
        self.assert_option(self.printed(), "port", "4050", "default")
        self.assertIn("4040", self.printed(env={"KV_ENV": "test"})["port"])

    def test_what_is_printed_is_a_configuration_file(self):
        """Merged values can be kept: the output, read again, says the same."""
        first = self.run_kvd("--print-config", "--durability", "os", "-p",
                             "4111,4113-4114").out
        path = self.store.write("again.conf", first)
        again = self.printed("-c", path)
        self.assertRegex(again["durability"], r"\bos\b")
        for port in ("4111", "4113", "4114"):
            self.assertIn(port, again["port"])

    def test_a_range_of_ports_is_served(self):
        ports = free_ports(3, consecutive=True)
        with Kvd(ports=None, env={"PORT": f"{ports[0]}-{ports[2]}"}) as kv:
            self.assertEqual(sorted(kv.ports), ports)
            self.assertEqual(len(kv.children("kv-worker")), 3)
            with kv.line(0) as a, kv.line(2) as b:
                a.create("b")
                self.assertEqual(b.get("b", "k"), b"")

    def test_a_name_gives_each_node_a_store_folder_of_its_own(self):
        a = run_kvd(["--print-config", "--sname", "foo"], store=self.store)
        b = run_kvd(["--print-config", "--sname", "bar"], store=self.store)
        dirs = [re.search(r"^dir = (\S+)", x.out, re.M)[1]
                for x in (a, b)]
        self.assertNotEqual(*dirs)

    def test_sizes_have_units_and_limits(self):
        self.assertRegex(self.printed(env={"KV_VALUE_MAX": "2m"})
                         ["value_max"], r"2m|2097152")
        self.refused(["-n"], "value_max", "2x", env={"KV_VALUE_MAX": "2x"})

    def test_the_version_is_one_line_and_v_adds_the_build_settings(self):
        short = run_kvd(["--version"], store=self.store)
        self.assertEqual((short.code, len(short.out.splitlines())), (0, 1))
        self.assertRegex(short.out, r"\d+\.\d+")
        long = run_kvd(["--version", "-v"], store=self.store)
        self.assertEqual(long.code, 0)
        self.assertTrue(long.out.startswith(short.out.rstrip("\n")))
        self.assertGreater(len(long.out.splitlines()), 3)
        self.assertIn("segment_size", long.out.lower())


class Mistakes(WithStore):
    def test_an_unknown_option_names_file_line_and_the_nearest(self):
        path = self.config("port = 4101\ndurabilty = always\n")
        self.refused(["-n", "-c", path], f"{path}:2", "durabilty",
                     "durability")

    def test_a_bad_value_in_a_file_names_file_and_line(self):
        path = self.config("\n\ndurability = sometimes\n")
        self.refused(["-n", "-c", path], f"{path}:3", "sometimes", "always",
                     "everysec")

    def test_a_line_that_is_no_option_names_file_and_line(self):
        path = self.config("port = 4101\nwhat is this\n")
        self.refused(["-n", "-c", path], f"{path}:2")

    def test_an_option_given_twice_in_a_file_names_the_second_line(self):
        path = self.config("durability = os\ndurability = always\n")
        self.refused(["-n", "-c", path], f"{path}:2", "durability")

    def test_a_bad_value_in_the_environment_names_the_variable(self):
        self.refused(["-n"], "environment KV_DURABILITY", "maybe", "always",
                     env={"KV_DURABILITY": "maybe"})

    def test_an_argument_that_is_no_flag_is_refused(self):
        self.refused(["stray"], "stray")

    def test_a_configuration_that_is_a_folder_is_refused(self):
        self.refused(["-n", "-c", self.store.base], self.store.base)

    def test_listening_beyond_loopback_without_a_password_is_refused(self):
        port, = free_ports(1)
        self.refused(["-p", str(port)], "0.0.0.0", env={"KV_BIND": "0.0.0.0"})

    def test_name_and_sname_together_are_refused(self):
        self.refused(["-n", "--sname", "foo", "--name", "foo@host"], "name")


class CheckCookie(WithStore):
    """kvd -n, of a node that shares buckets."""

    SECRET = "Zm9vYmFyYmF6cXV4"

    def check(self, *args):
        return self.run_kvd("-n", "--sname", "foo", "--nodes", "bar@x", *args)

    def cookie(self, text, mode=0o600, name=".kv.cookie"):
        path = self.store.write(name, text)
        os.chmod(path, mode)
        return path

    def refused_cookie(self, *words, args=()):
        line = assert_refused(self, self.check(*args), "cookie_file", *words)
        self.assertNotIn(self.SECRET, line)

    def test_a_good_one_is_ok_and_none_would_be_made(self):
        path = os.path.join(self.store.base, ".kv.cookie")
        missing = self.check()
        self.assertEqual((missing.code, missing.err, missing.out), (
            0, "", f"configuration ok; the cookie {path} will be made\n"))
        self.assertFalse(os.path.exists(path))
        self.cookie(f"2 {self.SECRET}\n1 {self.SECRET}x\n")
        good = self.check()
        self.assertEqual((good.code, good.err, good.out),
                         (0, "", "configuration ok\n"))
        self.assertEqual(os.listdir(self.store.base), [".kv.cookie"])

    def test_a_bad_one_is_told_in_a_line_without_the_secret(self):
        self.cookie(f"1 {self.SECRET}\n", 0o640)
        self.refused_cookie("mode 0640", "chmod 600")
        self.cookie(f"1 {self.SECRET}\n999 {self.SECRET}\n")
        self.refused_cookie("line 2", "0 to 255")
        self.cookie("1 short\n")
        self.refused_cookie("16 bytes", "weak_cookie")
        weak = self.check("--weak-cookie", "yes")
        self.assertEqual(weak.code, 0, weak)
        self.assertIn("cookie weak", weak.err)
        self.assertNotIn("short", weak.err)
        os.symlink(self.cookie(f"1 {self.SECRET}\n", name="real"),
                   os.path.join(self.store.base, "link"))
        link = ("--cookie-file", os.path.join(self.store.base, "link"))
        self.refused_cookie("symbolic link", args=link)
        os.mkfifo(os.path.join(self.store.base, "pipe"), 0o600)
        pipe = ("--cookie-file", os.path.join(self.store.base, "pipe"))
        self.refused_cookie("is a pipe", args=pipe)

    def test_who_is_alone_needs_none(self):
        self.cookie("1 short\n", 0o666)
        alone = self.run_kvd("-n")
        self.assertEqual((alone.code, alone.out), (0, "configuration ok\n"))


class Reload(WithStore):
    """SIGHUP reads the file again."""

    def serve(self, *ports):
        self.write_ports(*ports)
        kv = Kvd(ports=None, store=self.store, args=["-c", self.path])
        self.addCleanup(kv.close)
        return kv

    def write_ports(self, *ports, more=""):
        text = f"port = {','.join(map(str, ports))}\n{more}"
        self.path = self.config(text)

    def test_sighup_adds_and_removes_ports_and_leaves_the_others(self):
        a, b, c = free_ports(3)
        kv = self.serve(a, b)
        with LineClient(a) as on_a, LineClient(b) as on_b:
            on_a.create("b")
            on_b.create("b")
            worker = kv.worker_of(on_a)
            self.write_ports(a, c)
            os.kill(kv.proc.pid, signal.SIGHUP)
            wait_for(lambda: kv.answers(c), 10, "an answer on the new port")
            self.assertEqual(on_b.read_to_eof(), b"")
            wait_for(lambda: not kv.answers(b), 10, "the end of a port")
            on_a.put("b", "k", "v")
            self.assertEqual(kv.worker_of(on_a), worker)
            with LineClient(c) as on_c:
                self.assertEqual(on_c.get("b", "k"), b"v")
        self.assertEqual(len(kv.children("kv-worker")), 2)

    def test_a_reload_that_is_wrong_changes_nothing_and_says_so(self):
        a, b = free_ports(2)
        kv = self.serve(a)
        with LineClient(a) as c:
            c.create("b")
            self.write_ports(a, b, more="durabilty = os\n")
            os.kill(kv.proc.pid, signal.SIGHUP)
            wait_for(lambda: f"{self.path}:2" in kv.log_text(), 10,
                     "the mistake in the log")
            c.put("b", "k", "v")
            self.assertFalse(kv.answers(b))

    def test_a_new_port_in_use_is_said_and_the_others_are_served(self):
        a, b = free_ports(2)
        kv = self.serve(a)
        with Kvd(ports=[b]):
            self.write_ports(a, b)
            os.kill(kv.proc.pid, signal.SIGHUP)
            wait_for(lambda: str(b) in kv.log_text(), 10, "the port named")
            self.assertTrue(kv.answers(a))

    def test_ten_reloads_without_a_change_disturb_nobody(self):
        a, = free_ports(1)
        kv = self.serve(a)
        before = kv.children()
        with LineClient(a) as c:
            c.create("b")
            for _ in range(10):
                os.kill(kv.proc.pid, signal.SIGHUP)
                c.put("b", "k", "v")
        self.assertEqual(kv.children(), before)


class TwoKvd(WithStore):
    """A second kvd on the same folder joins the store."""

    def pair(self):
        first = Kvd(ports=1, store=self.store)
        self.addCleanup(first.close)
        second = Kvd(ports=1, store=self.store)
        self.addCleanup(second.close)
        return first, second

    def test_both_serve_the_same_buckets_and_subscribers(self):
        first, second = self.pair()
        with first.line() as a, second.line() as b, second.line() as sub:
            a.create("b")
            sub.send(b"SUBSCRIBE b\r\n")
            self.assertEqual(sub.read_quiet(first=0.1), b"")
            for n in range(100):
                a.put("b", "k", n)
                self.assertEqual(b.get("b", "k"), str(n).encode())
                self.assertEqual(sub.read_line(), b"k SET TO %d" % n)

    def test_either_may_end_and_come_back_while_the_other_serves(self):
        for order in (0, 1):
            both = self.pair()
            ends, stays = both[order], both[1 - order]
            with stays.line() as c:
                c.create("b")
                for end in (ends.stop, ends.kill9, ends.kill9_all):
                    c.put("b", "k", "before")
                    end()
                    c.put("b", "k", "while")
                    ends.start()
                    with ends.line() as other:
                        self.assertEqual(other.get("b", "k"), b"while")
            for kv in both:
                kv.stop()

    def first_write_after(self, c, event):
        """Seconds until a durable write begun after it was acknowledged."""
        event()
        began = time.monotonic()
        c.put("b", "k", "after")
        took = time.monotonic() - began
        self.note(f"{took * 1000:.0f} ms")
        return took

    def test_roles_of_a_kvd_that_dies_are_taken_over_within_a_second(self):
        first, second = self.pair()
        with second.line() as c:
            c.create("b")
            took = self.first_write_after(c, first.kill9_all)
        self.assertLess(took, 1.0 * SLOW)

    def test_roles_are_taken_over_in_the_other_direction_too(self):
        first, second = self.pair()
        with first.line() as c:
            c.create("b")
            self.assertLess(self.first_write_after(c, second.kill9_all),
                            1.0 * SLOW)

    def test_a_role_that_dies_alone_is_taken_over_within_a_second(self):
        """Standby or restarted: the writer does not care."""
        first, second = self.pair()
        with second.line() as c:
            c.create("b")
            for role in ("kv-walwriter", "kv-checkpointer", "kv-walwriter"):
                victim = first.child(role)
                took = self.first_write_after(c, victim.kill_and_wait)
                self.assertLess(took, 1.0 * SLOW, role)

    def test_a_killed_standby_changes_nothing(self):
        first, second = self.pair()
        with first.line() as c:
            c.create("b")
            for role in ("kv-walwriter", "kv-checkpointer"):
                second.child(role).kill_and_wait()
                c.put("b", "k", "v")

    def test_nothing_is_lost_when_both_die_at_once(self):
        first, second = self.pair()
        with first.line() as a, second.line() as b:
            a.create("b")
            for n in range(200):
                (a, b)[n % 2].put("b", f"k{n}", n)
        for p in [first.me, second.me] + first.children() + \
                second.children():
            p.kill()
        for kv in (first, second):
            kv.proc.wait()
        second.start()
        with second.line() as c:
            for n in range(200):
                self.assertEqual(c.get("b", f"k{n}"), str(n).encode())


if __name__ == "__main__":
    kvtest.main()
