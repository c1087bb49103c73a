# SPDX-License-Identifier: MIT
"""What the tests of the command share: a folder of ledgers of their own."""
import os
import stat
import struct
import subprocess

import harness

MAGIC = b"HGLEDGER"
WAITING, RUNNING, FINALIZED, EXITED = 1, 2, 3, 4


class Case(harness.Case):
    """Ledgers without a name go to self.store, which does not exist yet."""

    def setUp(self):
        super().setUp()
        self.store = self.dir / "store"
        self.environment = dict(os.environ, HEAPGLASS_DIR=str(self.store),
                                PATH="/usr/bin:/bin")
        self.environment.pop("LD_PRELOAD", None)

    def heapglass(self, *words, **options):
        settings = {"env": self.environment, "cwd": self.dir, **options}
        return harness.heapglass(*words, **settings)

    def refuses(self, status, says, *words, **options):
        """It must exit with `status` after one line, "heapglass: ... SAYS ..."."""
        done = self.heapglass(*words, **options)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Aheapglass: [^\n]+\n\Z")
        self.assertIn(says, done.stderr)
        return done

    def does(self, *words, **options):
        done = self.heapglass(*words, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        return done.stdout

    def script(self, name, text):
        path = self.write(text, name)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def start_waiting(self, *words):
        """A program that says "ready" and then waits for its input, asleep."""
        program = subprocess.Popen(words, cwd=self.dir, env=self.environment, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.stdin.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        self.assertEqual(program.stdout.readline(), "ready\n")
        harness.wait_until_asleep(program.pid)
        return program

    def waiting_ledger(self, name="waiting.hg"):
        """The ledger of a program that was never Python."""
        self.does("run", "-o", name, "true")
        return self.dir / name


def state_of(path):
    with open(path, "rb") as ledger:
        header = ledger.read(28)
    assert header[:8] == MAGIC
    return struct.unpack_from("<I", header, 24)[0]
