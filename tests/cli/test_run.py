# SPDX-License-Identifier: MIT
"""heapglass run: which program is meant, what is refused, and what the program sees."""
import os
import shutil
import subprocess
import unittest

import case
import harness

TELL = "import os, sys; print(os.getpid(), sys.argv, os.environ['LD_PRELOAD'])"


class Finding(case.Case):
    def test_what_python3_runs(self):
        self.write("import sys; print('app', sys.argv[1:])", "app.py")
        self.dir.joinpath("pack").mkdir()
        self.write("import sys; print('pack', sys.argv[1:])", "pack/__main__.py")
        self.write("import sys; print('mod', sys.argv[1:])", "mod.py")
        for words, out in [
            (["app.py", "-o", "x"], "app ['-o', 'x']\n"),
            (["./app.py"], "app []\n"),
            (["pack", "a"], "pack ['a']\n"),
            (["-m", "mod", "--lines"], "mod ['--lines']\n"),
            (["-mmod"], "mod []\n"),
            (["-c", "print(1)"], "1\n"),
            (["--", "app.py"], "app []\n"),
            (["python3", "app.py"], "app []\n"),
        ]:
            with self.subTest(words):
                self.assertEqual(self.does("run", *words), out)

    def test_scripts_and_programs_of_the_path(self):
        script = self.script("tool", "#!/usr/bin/env python3\nprint('tool')\n")
        self.assertEqual(self.does("run", script), "tool\n")
        self.environment["PATH"] = f"{self.dir}:/usr/bin:/bin"
        self.assertEqual(self.does("run", "tool"), "tool\n")
        self.script("plain", "echo plain $1\n")  # no "#!": execvp() asks the shell
        self.assertEqual(self.does("run", "plain", "x"), "plain x\n")

    def test_the_exit_status_is_the_programs(self):
        self.assertEqual(self.heapglass("run", "-c", "raise SystemExit(7)").returncode, 7)
        self.assertEqual(self.heapglass("run", "sh", "-c", "exit 3").returncode, 3)
        self.assertEqual(self.heapglass("run", "sh", "-c", "kill -9 $$").returncode, -9)

    def test_it_becomes_the_program(self):
        program = subprocess.Popen([harness.COMMAND, "run", "-c", TELL], text=True,
                                   env=self.environment, stdout=subprocess.PIPE)
        out = program.communicate()[0]
        self.assertTrue(out.startswith(f"{program.pid} ['-c'] "), out)

    def test_what_is_not_there_is_127_and_what_cannot_be_executed_126(self):
        self.write("", "text")
        self.script("lost", "#!/no/such/interpreter\n")
        for status, says, words in [
            (127, "cannot be run: No such file", ["no-such-program"]),
            (127, "cannot be run: No such file", ["./no-such.py"]),
            (127, "interpreter", ["./lost"]),
            (126, "Permission denied", ["./text"]),
            (126, "without a __main__.py", ["."]),
        ]:
            with self.subTest(words):
                self.refuses(status, says, "run", *words)
                # A program that did not start leaves no ledger.
                self.assertEqual([*self.store.glob("*.hg")], [])

    def test_without_a_python3_it_says_so(self):
        self.environment["PATH"] = str(self.dir)
        self.refuses(127, "python3: is not in the PATH", "run", "-c", "pass")


class Refusing(case.Case):
    """What the library could not be loaded into must not look like a success."""

    def setUp(self):
        super().setUp()
        if shutil.which("cc") is None:
            self.skipTest("no C compiler")
        self.write("int main(void) { return 7; }", "program.c")

    def build(self, name, *options):
        harness.call("cc", *options, self.dir / "program.c", "-o", self.dir / name)
        if not (self.dir / name).exists():
            self.skipTest(f"cc {' '.join(options)} does not work here")
        return self.dir / name

    def test_a_dynamic_program_is_fine(self):
        self.assertEqual(self.heapglass("run", self.build("dynamic")).returncode, 7)

    def test_a_static_one(self):
        program = self.build("static", "-static")
        self.refuses(125, "is statically linked", "run", program)
        script = self.script("script", f"#!/usr/bin/env -S A=1 {program}\n")
        self.refuses(125, "is statically linked", "run", script)
        script = self.script("script", f"#!{program} -x\n")
        self.refuses(125, "is statically linked", "run", script)

    def patched(self, name, offset, data):
        program = self.build(name)
        image = bytearray(program.read_bytes())
        image[offset:offset + len(data)] = data
        program.write_bytes(image)
        return program

    def test_one_of_another_machine(self):
        self.refuses(125, "another kind of machine", "run", self.patched("arm", 18, b"\x28\0"))
        self.refuses(125, "another kind of machine", "run", self.patched("old", 4, b"\x01"))

    def test_one_of_another_c_library(self):
        program = self.build("musl")
        image = program.read_bytes()
        loader = b"/lib64/ld-linux-x86-64.so.2"
        if loader not in image:
            self.skipTest("another loader")
        program.write_bytes(image.replace(loader, b"/lib/ld-musl-x86_64.so.1\0\0\0"))
        self.refuses(125, "uses musl", "run", program)

    @unittest.skipIf(os.getuid() != 0, "only root makes files of others")
    def test_one_with_other_rights(self):
        program = self.build("setuid")
        os.chown(program, 65534, 65534)
        program.chmod(0o4755)
        self.refuses(125, "setuid", "run", program)
        program.chmod(0o2755)
        self.refuses(125, "setgid", "run", program)

    # By what their files name: (symbols that it exports, libraries that it needs, what it is).
    OTHER_PYTHONS = [
        (["pypy_execute_source"], [], "is PyPy"),
        ([], ["libpypy3.10-c.so"], "is PyPy"),
        (["Py_Main", "PyMem_SetAllocator", "_Py_MergeZeroLocalRefcount"], [],
         "is a free-threaded CPython"),
        ([], ["libpython3.13t.so.1.0"], "is a free-threaded CPython"),
        ([], ["libpython3.14td.so.1.0"], "is a free-threaded CPython"),
        (["Py_Main", "PyString_FromString"], [], "is Python 2"),
        ([], ["libpython2.7.so.1.0"], "is Python 2"),
    ]

    def other_python(self, name, symbols, libraries):
        """A program that only looks like that interpreter."""
        text = "".join(f"void {symbol}(void) {{}}\n" for symbol in symbols)
        self.write(text + "int main(void) { return 7; }\n", "program.c")
        for library in libraries:
            harness.call("cc", "-shared", "-nostdlib", "-o", self.dir / library, "-x", "c",
                         "/dev/null", f"-Wl,-soname,{library}")
        return self.build(name, "-rdynamic", "-Wl,--no-as-needed", f"-Wl,-rpath,{self.dir}",
                          *(self.dir / library for library in libraries))

    def test_a_python_that_is_no_cpython_with_a_lock(self):
        for number, (symbols, libraries, what) in enumerate(self.OTHER_PYTHONS):
            with self.subTest(symbols or libraries):
                program = self.other_python(f"other{number}", symbols, libraries)
                script = self.script("script", f"#!{program}\n")
                self.refuses(125, what, "run", program)
                self.refuses(125, "--native", "run", script)
                self.assertEqual([*self.store.glob("*.hg")], [])
                native = self.heapglass("run", "--native", "-o", self.dir / "own.hg", program)
                self.assertEqual(native.returncode, 7)

    def test_one_by_its_name(self):
        for name, what in (("graalpy", "is GraalPy"), ("micropython", "is MicroPython"),
                           ("jython-2.7", "is Jython"), ("graalpy-nonsense", None)):
            program = self.build(name)
            if what:
                self.refuses(125, what, "run", program)
            else:
                self.assertEqual(self.heapglass("run", program).returncode, 7)

    def test_what_only_looks_like_one_is_fine(self):
        for number, (symbols, libraries) in enumerate([
                (["a_pypy_execute_source", "PyString_FromString"], []),
                ([], ["libpython3.13.so.1.0"]), ([], ["libpython3.so"])]):
            program = self.other_python(f"like{number}", symbols, libraries)
            self.assertEqual(self.heapglass("run", program).returncode, 7)

    def test_one_behind_a_shell_runs_and_is_named(self):
        program = self.other_python("other", ["pypy_execute_source"], [])
        done = self.heapglass("run", "sh", "-c", f"exec {program}")
        self.assertEqual(done.returncode, 7)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("nothing is recorded, for the program is PyPy; run CPython", done.stderr)
        child = self.heapglass("run", "sh", "-c", f"{program}; exit 3")
        self.assertEqual((child.returncode, child.stderr), (3, ""))

    def test_a_table_of_strings_that_is_nowhere(self):
        program = self.build("broken")
        image = program.read_bytes()
        at = image.find(b"\5\0\0\0\0\0\0\0")  # DT_STRTAB
        while int.from_bytes(image[at + 16:at + 24], "little") != 6:  # DT_SYMTAB follows
            at = image.find(b"\5\0\0\0\0\0\0\0", at + 1)
            self.assertNotEqual(at, -1)
        program.write_bytes(image[:at + 8] + b"\xff" * 8 + image[at + 16:])
        self.assertNotIn(self.heapglass("run", program).returncode, (1, 125))

    def test_a_missing_library(self):
        self.environment["HEAPGLASS_PRELOAD"] = "/no/such/library.so"
        self.refuses(125, "HEAPGLASS_PRELOAD", "run", "true")
        alone = self.dir / "heapglass"
        shutil.copy(harness.COMMAND, alone)
        del self.environment["HEAPGLASS_PRELOAD"]
        done = harness.call(alone, "run", "true", env=self.environment)
        self.assertEqual(done.returncode, 125)
        self.assertIn("libheapglass-preload.so", done.stderr)


class Environment(case.Case):
    def library(self):
        return harness.Path(harness.COMMAND).resolve().parent / "libheapglass-preload.so"

    def preload(self, **options):
        return self.does("run", "-c", TELL, **options).split()[-1]

    def test_the_library_comes_after_others(self):
        other = "/lib/x86_64-linux-gnu/libm.so.6"
        self.environment["LD_PRELOAD"] = other
        self.assertEqual(self.preload(), f"{other}:{self.library()}")
        # Once is enough.
        self.environment["LD_PRELOAD"] = f"{self.library()} {other}"
        self.assertTrue(self.preload().endswith(other))

    def test_a_path_that_ld_preload_cannot_hold_goes_by_a_link(self):
        folder = self.dir / "a b:c$d"
        folder.mkdir()
        shutil.copy(harness.COMMAND, folder)
        shutil.copy(self.library(), folder)
        for _ in range(2):
            done = harness.call(folder / "heapglass", "run", "-c", TELL, env=self.environment)
            link = harness.Path(done.stdout.split()[-1])
            self.assertEqual(link.parent, self.store, done.stderr)
            self.assertEqual(link.resolve(), folder / self.library().name)

    def test_a_run_within_a_run_has_its_own_ledger(self):
        self.does("run", "-o", "out.hg", harness.COMMAND, "run", "-o", "in.hg", "-c", "x = 1")
        self.assertEqual(case.state_of(self.dir / "out.hg"), case.WAITING)
        self.assertEqual(case.state_of(self.dir / "in.hg"), case.EXITED)
        # And one that takes the place of the other finds it free.
        self.does("run", harness.COMMAND, "run", "-c", "x = 1")

    def test_what_was_asked_for_reaches_the_library(self):
        del self.environment["HEAPGLASS_DIR"]
        out = self.does("run", "-o", "a.hg", "--lines", "--no-recycled", "--no-native",
                        "--no-children", "sh", "-c", "echo $$; exec env")
        pid, *lines = out.splitlines()
        seen = dict(line.split("=", 1) for line in lines if line.startswith("HEAPGLASS_"))
        self.assertEqual(seen, {
            "HEAPGLASS_CHILDREN": "0", "HEAPGLASS_LEDGER": str(self.dir / "a.hg"),
            "HEAPGLASS_MODE": "lines", "HEAPGLASS_NATIVE": "0", "HEAPGLASS_RECYCLED": "0",
            "HEAPGLASS_SESSION": pid.zfill(10)})
        out = self.does("run", "-o", "b.hg", "--hardened", "--check-every", "9", "env")
        self.assertIn("HEAPGLASS_HARDENED=1\n", out)
        self.assertIn("HEAPGLASS_CHECK_EVERY=9\n", out)
        for level, value in ("frees", "frees"), ("full", "1"):
            out = self.does("run", "-o", "c.hg", f"--hardened={level}", "env")
            self.assertIn(f"HEAPGLASS_HARDENED={value}\n", out)

    def test_a_check_needs_a_number_and_a_hardened_heap(self):
        for words, says in [
            (["--check-every", "9"], "add --hardened"),
            (["--hardened", "--check-every", "0"], 'not "0"'),
            (["--hardened", "--check-every", "often"], 'not "often"'),
            (["--hardened=frees", "--check-every", "9"], 'without "=frees"'),
            (["--hardened=free"], 'wants frees or full, not "free"'),
        ]:
            done = self.heapglass("run", *words, "-c", "print(1)")
            self.assertEqual((done.returncode, done.stdout), (125, ""))
            self.assertRegex(done.stderr, rf"\Aheapglass: run: [^\n]*{says}[^\n]*\n\Z")
