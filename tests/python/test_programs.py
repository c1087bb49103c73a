# SPDX-License-Identifier: MIT
"""Ways to run Python, and extensions that do what few others do: nothing is noticed."""
import os
import shutil
import unittest
import zipapp

import harness

WORK = "keep = [bytes(1000) for n in range(500)]\nprint(len(keep))\n"


class Programs(harness.Case):
    def same(self, *words, **settings):
        """Run an interpreter's command line with and without us: the ledger's report."""
        ledger = self.dir / "program.hg"
        plain = harness.call(harness.PYTHON, *words, **settings)
        ours = harness.heapglass("run", "-o", ledger, "--", harness.PYTHON, *words, **settings)
        self.assertEqual((ours.returncode, ours.stdout, ours.stderr),
                         (plain.returncode, plain.stdout, plain.stderr))
        self.assertEqual(ours.returncode, 0, ours.stderr)
        return harness.report(ledger, "--by", "line")

    def test_a_zipped_application(self):
        folder = self.dir / "app"
        folder.mkdir()
        (folder / "__main__.py").write_text(WORK)
        zipapp.create_archive(folder, self.dir / "app.pyz")
        rows = self.same(self.dir / "app.pyz")["rows"]
        mine = [row for row in rows if (row["file"] or "").endswith("app.pyz/__main__.py")]
        self.assertGreaterEqual(sum(row["live_bytes"] for row in mine), 500 * 1033)

    def test_frozen_modules(self):
        self.same("-c", "import __hello__, __phello__\n" + WORK)
        for value in "on", "off":
            self.same("-X", f"frozen_modules={value}", "-c", "import os, codecs\n" + WORK)

    def test_threads_by_the_thousand(self):
        self.same("-c", "import threading\n"
                        "keep = []\n"
                        "for n in range(3000):\n"
                        "    t = threading.Thread(target=keep.append, args=[bytes(n)])\n"
                        "    t.start(); t.join()\n"
                        "more = [threading.Thread(target=keep.append, args=[str(n)])\n"
                        "        for n in range(300)]\n"
                        "for t in more: t.start()\n"
                        "for t in more: t.join()\n"
                        "print(len(keep))\n")

    def test_tracemalloc_started_and_stopped(self):
        self.same("-c", "import tracemalloc\n"
                        "for n in range(5):\n"
                        "    tracemalloc.start(n + 1)\n"
                        "    keep = [bytes(1000) for n in range(500)]\n"
                        "    print(tracemalloc.get_traced_memory()[0] // 100000)\n"
                        "    tracemalloc.stop()\n")

    def test_greenlets(self):
        done = harness.call(harness.PYTHON, "-c", "import greenlet")
        if done.returncode:
            self.skipTest("no greenlet for this interpreter")
        self.same("-c", "import greenlet\n"
                        "keep = []\n"
                        "def deep(n):\n"
                        "    if n: return deep(n - 1)\n"
                        "    keep.append(bytes(100)); greenlet.getcurrent().parent.switch()\n"
                        "    keep.append([n])\n"
                        "def work(n):\n"
                        "    for i in range(20): deep(i)\n"
                        "all = [greenlet.greenlet(work) for n in range(200)]\n"
                        "while any(not g.dead for g in all):\n"
                        "    for g in all:\n"
                        "        if not g.dead: g.switch(1)\n"
                        "print(len(keep))\n")


@unittest.skipIf(shutil.which("python3-dbg") is None or harness.version() != (3, 11),
                 "Debian's debug build is not installed, or is of another version")
class DebugBuild(harness.Case):
    def test_it_is_watched(self):
        ledger = self.dir / "program.hg"
        done = harness.heapglass("run", "-o", ledger, "--", "python3-dbg", "-c", WORK,
                                 env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
        self.assertEqual((done.returncode, done.stdout), (0, "500\n"), done.stderr)
        self.assertIn("proved at start", harness.heapglass("report", ledger).stdout)
