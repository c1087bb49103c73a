#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Programs of all kinds on our malloc, by LD_PRELOAD alone; says in TAP how it went.

    tests/native/programs.py LIBRARY COMMAND FOLDER-OF-TEST-PROGRAMS [NAME...]

Those that Debian has come from its packages; what is not installed is skipped.
"""
import os
import shutil
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBRARY, COMMAND, BUILT = (str(Path(word).resolve()) for word in sys.argv[1:4])
os.environ["HG_COMMAND"], os.environ["HG_TEST_PYTHON"] = COMMAND, "/usr/bin/python3"
sys.path[:0] = [str(HERE.parent / "python")]

import harness  # noqa: E402
from run import TapResult  # noqa: E402


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def needs(*commands):
    missing = [c for c in commands if shutil.which(c, path=PATH) is None]
    return unittest.skipIf(missing, f"not installed: {' '.join(missing)}")


PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.plain = dict(os.environ, PATH=PATH, HOME=str(self.dir))
        self.plain.pop("LD_PRELOAD", None)
        self.ours = dict(self.plain, LD_PRELOAD=LIBRARY)

    def run_ours(self, *words, **settings):
        done = subprocess.run([str(w) for w in words], env=self.ours, cwd=self.dir, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300,
                              **settings)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return done.stdout

    def serve(self, port, *words):
        """A server on our malloc, killed in the end."""
        server = subprocess.Popen([str(w) for w in words], env=self.ours, cwd=self.dir,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        deadline = time.monotonic() + harness.TIMEOUT
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                self.assertIsNone(server.poll(), "the server has ended")
                self.assertLess(time.monotonic(), deadline, "the server does not answer")
                time.sleep(0.05)
        maps = Path(f"/proc/{server.pid}/maps").read_text()
        self.assertIn("libheapglass-preload.so", maps)
        return server


class Own(Case):
    """Programs written to use malloc in every way."""

    def test_every_function(self):
        self.assertEqual(self.run_ours(f"{BUILT}/interpose"), "all is so\n")

    @unittest.skipUnless(os.path.exists(f"{BUILT}/news"), "there is no C++ compiler")
    def test_new_and_delete(self):
        self.assertEqual(self.run_ours(f"{BUILT}/news"), "all is so\n")

    def test_what_is_freed_twice_is_stopped(self):
        for word, says in ("twice", "freed twice"), ("small", "freed twice"), \
                ("foreign", "did not return"), \
                ("inside", "not the start of a block"), ("stack", "did not return"):
            done = subprocess.run([f"{BUILT}/misuse", word], env=self.ours, text=True,
                                  stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, -6, word)
            self.assertRegex(done.stderr, rf"\Aheapglass: [^\n]*{says}[^\n]*: 0x[0-9a-f]+\n\Z")

    def test_under_the_command_malloc_is_left_to_a_program_that_is_no_python(self):
        done = harness.heapglass("run", "-o", self.dir / "a.hg", "--", f"{BUILT}/interpose",
                                 "no facts")
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Hardened(Case):
    """The same malloc, told to find misuse."""
    option = "--hardened"

    def setUp(self):
        super().setUp()
        self.ours.update(HEAPGLASS_HARDENED="1", HEAPGLASS_CHECK_EVERY="1000")

    def test_every_function(self):
        self.assertEqual(self.run_ours(f"{BUILT}/interpose"), "all is so\n")

    @unittest.skipUnless(os.path.exists(f"{BUILT}/news"), "there is no C++ compiler")
    def test_new_and_delete(self):
        self.assertEqual(self.run_ours(f"{BUILT}/news"), "all is so\n")

    def test_programs_of_debian(self):
        sums = self.run_ours("sh", "-c", "cd /usr/include && sort *.h | uniq -c | sort -n | tail")
        self.assertEqual(len(sums.splitlines()), 10)
        page = HERE.parents[1] / "docs/heapglass.1"
        plain = subprocess.run(["perl", "-ne", "$n{$_}++ for split /\\W+/; END { print map "
                                "{ qq($_ $n{$_}\\n) } sort keys %n }", page],
                               stdout=subprocess.PIPE, text=True, check=True)
        self.assertEqual(self.run_ours(*plain.args), plain.stdout)

    @needs("gcc")
    def test_gcc_and_what_it_made(self):
        self.write("#include <stdio.h>\nint main(void) { puts(\"made\"); }\n", "a.c")
        self.run_ours("gcc", "-O2", "a.c", "-o", "made")
        self.assertEqual(self.run_ours("./made"), "made\n")

    @needs("git")
    def test_git(self):
        self.run_ours("git", "init", "-q", ".")
        self.write("text\n" * 10000, "file")
        self.run_ours("git", "add", "-A")
        self.run_ours("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one")
        self.run_ours("git", "gc", "-q", "--prune=now")
        self.run_ours("git", "fsck", "--no-progress", "--strict")

    def test_what_is_freed_twice_is_stopped(self):
        for word, says in ("twice", "freed twice"), ("small", "a block was freed twice\n"), \
                ("later", "a block was freed twice\n"), ("foreign", "did not return"), \
                ("inside", "freed inside of a block, not at its start\n"), \
                ("stack", "did not return"):
            done = subprocess.run([f"{BUILT}/misuse", word], env=self.ours, text=True,
                                  stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, -6, word)
            self.assertIn(says, done.stderr)

    def test_under_the_command_a_program_that_is_no_python_is_hardened_too(self):
        done = subprocess.run([COMMAND, "run", self.option, "-o", self.dir / "a.hg",
                               f"{BUILT}/misuse", "small"], env=self.plain, text=True,
                              stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, -6)
        self.assertIn("a block was freed twice\n", done.stderr)

    def test_with_accounts_its_site_is_named(self):
        done = subprocess.run([COMMAND, "run", self.option, "--native", "-o",
                               self.dir / "a.hg", f"{BUILT}/misuse", "later"], env=self.plain,
                              text=True, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, -6)
        self.assertIn("a block was freed twice\n", done.stderr)
        self.assertRegex(done.stderr, rf"\n  allocated   {BUILT}/misuse\+0x[0-9a-f]+\n")


class HardenedToTheEnd(Case):
    """What nobody freed, and what is in quarantine, is looked at when a program ends."""

    def says(self, word, **settings):
        done = subprocess.run([f"{BUILT}/misuse", word], env=dict(self.ours, **settings),
                              text=True, stderr=subprocess.PIPE)
        return done.returncode, done.stderr

    def test_what_was_written_is_found(self):
        for word, what, where in ("after", "a freed block was written to", "offset 50: 41"), \
                ("behind", "bytes behind a block were written to", "offset 100: 41"):
            status, said = self.says(word, HEAPGLASS_HARDENED="1")
            self.assertEqual(status, -6, said)
            self.assertTrue(said.startswith(f"heapglass: the heap is corrupt: {what}\n"), said)
            self.assertIn(f"\n  written     {where}\n", said)
            self.assertEqual(self.says(word, HEAPGLASS_HARDENED="frees"), (0, ""))

    def test_a_handler_that_ends_the_program_finds_nothing(self):
        for _ in range(20):
            done = subprocess.run([f"{BUILT}/misuse", "handler"], text=True,
                                  env=dict(self.ours, HEAPGLASS_HARDENED="1"),
                                  stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_variables_that_make_no_sense_are_named(self):
        status, said = self.says("nothing", HEAPGLASS_HARDENED="off")
        self.assertEqual((status, said), (0, "heapglass: HEAPGLASS_HARDENED wants 1 or full, "
                                             "frees or 0: taken as full\n"))
        for value in "-3", "x", "5x", "99999999999":
            status, said = self.says("nothing", HEAPGLASS_HARDENED="full",
                                     HEAPGLASS_CHECK_EVERY=value)
            self.assertEqual(status, 0)
            self.assertRegex(said, r"\Aheapglass: HEAPGLASS_CHECK_EVERY wants a number: [^\n]+\n\Z")
        for value in "", "0", "1", "full", "frees":
            self.assertEqual(self.says("nothing", HEAPGLASS_HARDENED=value), (0, ""))


class Frees(Hardened):
    """The same malloc, told to check what is freed."""
    option = "--hardened=frees"

    def setUp(self):
        super().setUp()
        self.ours.update(HEAPGLASS_HARDENED="frees")


class Stacks(Case):
    """Accounts of programs without an interpreter, by `heapglass run --native`."""

    def watch(self, *words, **settings):
        self.ledger = self.dir / "program.hg"
        done = subprocess.run([COMMAND, "run", "--native", "-o", self.ledger, *words],
                              env=self.plain, cwd=self.dir, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=300, **settings)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return done.stdout

    def stacks(self, *options):
        rows = harness.report(self.ledger, "--live", "--by", "stack", "--no-children",
                              *options)["rows"]
        return [(tuple(f["function"] for f in row["stack"]), row) for row in rows]

    def test_what_was_not_freed_has_its_stack(self):
        self.watch(f"{BUILT}/leak")
        stacks = self.stacks()
        row = next(row for key, row in stacks if key[-3:] == ("main", "leaf", "inlined"))
        self.assertEqual((row["live_bytes"], row["live_blocks"]), (1000000, 1000))
        self.assertTrue(row["file"].endswith("leak.c"))
        self.assertEqual(row["line"], 13)
        row = next(row for key, row in stacks if key[-1] == "thread")
        self.assertEqual((row["live_bytes"], row["live_blocks"]), (7000, 100))
        gone = [row for key, row in stacks if key[-3:] == ("thread", "leaf", "inlined")]
        self.assertEqual(sum(row["live_bytes"] for row in gone), 0)
        self.assertEqual(sum(row["total_bytes"] for row in gone), 100 * 5050)

    def test_by_line_there_are_no_callers(self):
        self.watch("--lines", f"{BUILT}/leak")
        for key, _ in self.stacks():
            self.assertLess(len(key), 4)
        rows = harness.report(self.ledger, "--live", "--no-children")["rows"]
        self.assertIn((13, 1000000), [(row["line"], row["live_bytes"]) for row in rows])

    def test_a_child_has_accounts_of_its_own(self):
        self.watch(f"{BUILT}/leak")
        children = list(self.dir.glob("program.hg.*"))
        self.assertEqual(len(children), 1)
        rows = harness.report(children[0], "--live", "--no-children")["rows"]
        self.assertEqual([row["live_bytes"] for row in rows if row["line"] == 13], [123456])

    def test_a_snapshot_says_the_same(self):
        self.watch(f"{BUILT}/leak")
        before = self.stacks()
        done = harness.heapglass("snapshot", self.ledger, "-o", self.dir / "copy.hg")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.ledger = self.dir / "copy.hg"
        self.assertEqual(self.stacks(), before)

    def test_programs_written_for_it_run_on(self):
        self.assertEqual(self.watch(f"{BUILT}/interpose"), "all is so\n")
        self.assertEqual(harness.report(self.ledger)["rows"][0]["file"],
                         f"{BUILT}/interpose")

    def test_a_block_freed_twice_is_named_by_its_site(self):
        for word in "small", "later":
            done = subprocess.run([COMMAND, "run", "--native", "-o", self.dir / "a.hg",
                                   f"{BUILT}/misuse", word], env=self.plain, text=True,
                                  stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, -6)
            self.assertRegex(done.stderr, rf"\Aheapglass: block freed twice; it was allocated at "
                             rf"{BUILT}/misuse\+0x[0-9a-f]+: 0x[0-9a-f]+\n\Z")

    def test_other_misuse_is_said_to_be_what_it_is(self):
        site = rf"{BUILT}/misuse\+0x[0-9a-f]+"
        for word, says in ("resized", rf"a freed block was resized; it was allocated at {site}:"), \
                ("moved", rf"block freed twice; it was allocated at {site}:"), \
                ("large", rf"the heap is corrupt: a block was freed twice\n.*\n  allocated   {site}"), \
                ("never", "block freed twice, or never allocated:"), \
                ("huge", r"free\(\) of what malloc\(\) did not return, or what was freed before:"):
            for _ in range(4):
                done = subprocess.run([COMMAND, "run", "--native", "-o", self.dir / "a.hg",
                                       f"{BUILT}/misuse", word], env=self.plain, text=True,
                                      stderr=subprocess.PIPE)
                self.assertEqual(done.returncode, -6, word)
                self.assertRegex(done.stderr, rf"\Aheapglass: {says}")

    @unittest.skipUnless(os.path.exists(f"{BUILT}/news"), "there is no C++ compiler")
    def test_names_of_cpp_are_readable(self):
        self.watch(f"{BUILT}/news")
        functions = {name for key, _ in self.stacks("--peak") for name in key}
        self.assertIn("operator new(unsigned long)", functions)

    def test_without_being_asked_only_interpreters_are_watched(self):
        done = harness.heapglass("run", "-o", self.dir / "a.hg", f"{BUILT}/leak")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = harness.heapglass("report", self.dir / "a.hg")
        self.assertEqual(done.returncode, 1)


class Debians(Case):
    @needs("gcc")
    def test_gcc_compiles_a_large_file(self):
        text = "#include <stdio.h>\n" + "".join(
            f"struct s{i} {{ int a, b[{i % 9 + 1}]; }};\n"
            f"int f{i}(struct s{i} *s) {{ int n = 0; for (int i = 0; i < {i % 9 + 1}; i++)"
            f" n += s->b[i] * {i}; return n + s->a; }}\n" for i in range(3000))
        self.write(text + "int main(void) { puts(\"made\"); }\n", "large.c")
        subprocess.run(["gcc", "-O1", "-c", "large.c", "-o", "plain.o"], cwd=self.dir, check=True)
        self.run_ours("gcc", "-O1", "-c", "large.c", "-o", "ours.o")
        self.assertEqual((self.dir / "ours.o").read_bytes(), (self.dir / "plain.o").read_bytes())
        self.run_ours("gcc", "ours.o", "-o", "made")
        self.assertEqual(self.run_ours("./made"), "made\n")

    @needs("git")
    def test_git_keeps_a_history(self):
        self.run_ours("git", "init", "-q", ".")
        for i in range(12):
            for j in range(20):
                self.write(f"{i}\n" * (j * 50), f"file{j}")
            self.run_ours("git", "add", "-A")
            self.run_ours("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm",
                          f"change {i}")
        self.run_ours("git", "gc", "-q", "--aggressive", "--prune=now")
        self.run_ours("git", "fsck", "--no-progress", "--strict")
        self.assertEqual(self.run_ours("git", "rev-list", "--count", "HEAD"), "12\n")

    @needs("redis-server", "redis-benchmark", "redis-cli")
    def test_redis_serves_its_benchmark(self):
        port = free_port()
        server = self.serve(port, "redis-server", "--port", port, "--save", "", "--dir", self.dir)
        out = self.run_ours("redis-benchmark", "-p", port, "-n", "20000", "-q", "-r", "10000",
                            "-d", "100", "-t", "set,get,lpush,sadd,hset,zadd")
        self.assertEqual(out.count("requests per second"), 6, out)
        # It forks to write its memory down.
        ask = ["redis-cli", "-p", str(port)]
        self.assertIn("OK", self.run_ours(*ask, "SAVE"))
        self.assertIn("Background saving started", self.run_ours(*ask, "BGSAVE"))
        self.assertGreater(int(self.run_ours(*ask, "DBSIZE")), 1000)
        self.assertIsNone(server.poll())

    @needs("nginx", "wrk")
    def test_nginx_answers_wrk(self):
        port = free_port()
        user = "user root;" if os.geteuid() == 0 else ""  # or it could not read our folder
        (self.dir / "index.html").write_text("hello\n" * 500)
        self.write(f"""
daemon off; master_process on; {user} worker_processes 2; pid {self.dir}/pid; error_log /dev/null;
events {{ worker_connections 256; }}
http {{ access_log off; client_body_temp_path {self.dir}/b; proxy_temp_path {self.dir}/p;
fastcgi_temp_path {self.dir}/f; uwsgi_temp_path {self.dir}/u; scgi_temp_path {self.dir}/s;
gzip on; gzip_types text/html; gzip_min_length 10;
server {{ listen 127.0.0.1:{port}; root {self.dir}; }} }}
""", "nginx.conf")
        server = self.serve(port, "nginx", "-p", self.dir, "-c", self.dir / "nginx.conf")
        out = self.run_ours("wrk", "-t2", "-c20", "-d3s", "-H", "Accept-Encoding: gzip",
                            f"http://127.0.0.1:{port}/index.html")
        self.assertNotIn("Non-2xx", out)
        self.assertNotIn("Socket errors", out)
        self.assertIn("Requests/sec", out)
        server.terminate()

    @needs("groff")
    def test_a_program_in_cpp(self):
        page = HERE.parents[1] / "docs/heapglass.1"
        words = ["groff", "-mdoc", "-Tascii", str(page)]
        plain = subprocess.run(words, env=self.plain, stdout=subprocess.PIPE, text=True, check=True)
        self.assertEqual(self.run_ours(*words), plain.stdout)


def main():
    loader = unittest.TestLoader()
    if sys.argv[4:]:
        loader.testNamePatterns = [f"*{name}*" for name in sys.argv[4:]]
    suite = loader.loadTestsFromModule(sys.modules["__main__"])
    print(f"1..{suite.countTestCases()}")
    unittest.TextTestRunner(resultclass=TapResult, verbosity=0).run(suite)


if __name__ == "__main__":
    main()
