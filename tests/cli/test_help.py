# SPDX-License-Identifier: MIT
"""Help, misuse and the like: what people see first."""
import case

COMMANDS = ["run", "report", "gc", "plot", "snapshot", "diff", "list", "map", "arenas", "trim"]

HELP = """\
usage: heapglass COMMAND [options]

Run a program and see who holds its memory, while it runs and after.

  run       run a program, with exact accounts    heapglass run app.py
  report    who held memory: at the peak, now     heapglass report
  gc        what Python's collector did           heapglass gc
  plot      memory over time                      heapglass plot -o m.svg
  snapshot  keep the accounts of this moment      heapglass snapshot -o a.hg
  diff      what grew between two moments         heapglass diff a.hg b.hg
  map       where a process's memory is           heapglass map 4711
  arenas    how full its heap is, and what keeps  heapglass arenas 4711
  trim      give free memory back at once         heapglass trim 4711
  list      the programs that keep a ledger       heapglass list

FILE is a ledger, PID a running program; without either, the newest ledger
is meant.  Sizes are in bytes; 1 MiB is 1048576.  Reports go to standard
output, the rest to standard error.  Exit status: 0 done, 1 could not, 2
misused; "heapglass run" exits as the program did.  "heapglass COMMAND
--help" explains a command, "man heapglass" the rest.
"""


class Help(case.Case):
    def test_help_is_the_golden_one(self):
        for option in "--help", "-h", "help":
            self.assertEqual(self.does(option), HELP)

    def test_every_command_has_help_of_80_columns(self):
        self.assertLessEqual(max(map(len, HELP.splitlines())), 80)
        for command in COMMANDS:
            text = self.does(command, "--help")
            self.assertTrue(text.startswith(f"usage: heapglass {command}"), text)
            self.assertLessEqual(max(map(len, text.splitlines())), 80, command)

    def test_version(self):
        self.assertRegex(self.does("--version"), r"\Aheapglass \d+\.\d+\.\d+\n\Z")

    def test_without_a_command_it_shows_help_and_is_misused(self):
        done = self.heapglass()
        self.assertEqual((done.returncode, done.stdout, done.stderr), (2, "", HELP))

    def test_help_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "w") as full:
            done = self.heapglass("--help", stdout=full)
        self.assertEqual(done.returncode, 1)
        self.assertIn("standard output: cannot be written", done.stderr)


class Misuse(case.Case):
    def test_of_any_command_is_one_line_and_status_2(self):
        for words, says in [
            (["frob"], "there is no such command"),
            (["report", "--nope"], "there is no option --nope"),
            (["report", "-x"], "there is no option -x"),
            (["report", "--by"], "--by needs a value"),
            (["report", "--by", "colour"], 'not "colour"'),
            (["report", "--top", "-1"], "--top wants a number"),
            (["report", "--top", "1x"], "--top wants a number"),
            (["report", "a", "b"], "one ledger at a time"),
            (["diff", "a"], "name two moments"),
            (["diff", "--by", "thread", "a", "b"], "line, function, file or stack"),
            (["snapshot", "a"], "-o FILE"),
            (["snapshot", "a", "b", "-o", "c"], "one ledger at a time"),
            (["list", "a"], "takes no ledger"),
        ]:
            with self.subTest(words):
                self.refuses(2, says, *words)

    def test_of_run_is_status_125(self):
        for words, says in [
            (["run"], "which program?"),
            (["run", "--nope", "true"], "there is no option --nope"),
            (["run", "-o"], "-o needs a value"),
        ]:
            with self.subTest(words):
                self.refuses(125, says, *words)
