# SPDX-License-Identifier: MIT
"""What a ledger takes on disk when its program is gone: what was used, and no more.

A ledger is sparse. Its nodes stand last, with room for 64 MiB of them.
"""
import os

import harness

MIB = 1 << 20
ROOM_OF_NODES = 64 * MIB


class Sizes(harness.Case):
    def ledgers(self, text, status=0, python=()):
        """The files of a run, by name."""
        self.watch(text, status=status, python=python)
        return {path.name: path.stat() for path in self.dir.glob("program.hg*")}

    def claim_trimmed(self, text, count=1, **settings):
        found = self.ledgers(text, **settings)
        self.assertEqual(len(found), count, found)
        for name, file in found.items():
            self.assertLess(file.st_size, 40 * MIB, name)
            self.assertLess(file.st_blocks * 512, 3 * MIB, name)

    def test_of_a_program_that_ends(self):
        self.claim_trimmed("import json\n")
        self.claim_trimmed("raise SystemExit(3)\n", status=3)

    def test_of_one_that_leaves_in_a_hurry(self):
        self.claim_trimmed("import os\nos._exit(4)\n", status=4)
        self.claim_trimmed("import ctypes\nctypes.CDLL(None).exit(5)\n", status=5)

    def test_of_one_that_is_done_before_it_runs_python(self):
        self.claim_trimmed("", python=["--version"])

    def test_of_children(self):
        # spawnv() is a fork and an exec, which replaces the ledger of the fork.
        self.claim_trimmed("import os, sys\n"
                           "if not os.fork():\n"
                           "    os._exit(0)\n"
                           "os.wait()\n"
                           "os.spawnv(os.P_WAIT, sys.executable, ['python', '-c', ''])\n", 4)

    def test_of_a_program_that_became_another(self):
        self.claim_trimmed("import os, sys\n"
                           "os.execv(sys.executable, ['python', '-c', ''])\n", 2)

    def test_one_that_is_killed_takes_no_more_but_looks_large(self):
        (file,) = self.ledgers("import os, signal\n"
                               "os.kill(os.getpid(), signal.SIGKILL)\n", status=-9).values()
        self.assertGreater(file.st_size, ROOM_OF_NODES)
        self.assertLess(file.st_blocks * 512, 3 * MIB)

    def test_a_copy_by_snapshot_has_no_holes(self):
        run = self.watch("import json\n")
        copy = self.dir / "copy.hg"
        done = harness.heapglass("snapshot", run.ledger, "-o", copy)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertLess(os.stat(copy).st_size, 3 * MIB)
        theirs, ours = harness.report(copy), run.report()
        self.assertEqual((theirs["totals"], theirs["rows"]), (ours["totals"], ours["rows"]))
