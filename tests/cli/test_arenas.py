# SPDX-License-Identifier: MIT
"""What keeps a heap resident after most of it was freed."""
import json
import os
import pathlib
import sys

import case
import harness

# Line 1 fills pools; one block in 50 of its own stays.  Line 2 is full of live blocks.
SPARSE = """\
x = [bytearray(150) for i in range(40000)]
full = [[i] for i in range(20000)]
x = x[::50]
print("ready", flush=True)
import sys; sys.stdin.read()
"""


class Arenas(case.Case):
    def start(self, text, *options):
        self.write(text)
        return str(self.start_waiting(
            harness.COMMAND, "run", "-o", f"live{''.join(options)}.hg", *options, "--",
            sys.executable, "program.py").pid)

    def arenas(self, name):
        return json.loads(self.does("arenas", name, "--json"))

    def test_the_line_that_keeps_nearly_empty_pages_comes_first(self):
        found = self.arenas(self.start(SPARSE))
        first = found["pins"][0]
        self.assertTrue(first["file"].endswith("program.py"))
        self.assertEqual(first["line"], 1)
        self.assertGreater(first["goes_back_bytes"], 5 * first["live_bytes"])
        self.assertGreater(first["goes_back_bytes"], 1 << 20)
        two = [pin for pin in found["pins"] if pin["line"] == 2
               and (pin["file"] or "").endswith("program.py")]
        self.assertLess(two[0]["goes_back_bytes"], 1.2 * two[0]["live_bytes"])

    def test_pages_are_counted_once(self):
        for options in [], ["--hardened"], ["--hardened=frees"]:
            with self.subTest(options):
                self.count_pages(self.start(SPARSE, *options))

    def count_pages(self, pid):
        found = self.arenas(pid)
        self.assertEqual(found["unread_pools"], 0)
        self.assertEqual(sum(a["resident_bytes"] for a in found["arenas"]),
                         found["resident_bytes"])
        pages = sum(pin["goes_back_bytes"] for pin in found["pins"])
        of_classes = sum(c["resident_bytes"] for c in found["classes"])
        self.assertLessEqual(pages + found["shared_pages_bytes"], of_classes)
        self.assertEqual([pin for pin in found["pins"] if pin["blocks"] == 0], [])
        # To look changes nothing, once pages that were never touched have read as zeros.
        self.assertEqual(self.arenas(pid), self.arenas(pid))

    def test_text_and_picture_are_for_people(self):
        pid = self.start(SPARSE)
        text = self.does("arenas", pid)
        self.assertLessEqual(max(map(len, text.splitlines())), 80, text)
        self.assertIn("program.py:1 ", text)
        self.assertEqual(self.does("arenas", pid, "-o", "map.svg"), "")
        picture = (self.dir / "map.svg").read_text()
        self.assertTrue(picture.startswith("<svg ") and picture.endswith("</svg>\n"))

    def test_a_heap_under_malloc_alone_needs_no_ledger(self):
        library = pathlib.Path(harness.COMMAND).parent / "libheapglass-preload.so"
        self.write(SPARSE)
        self.environment.update(LD_PRELOAD=str(library), PYTHONMALLOC="malloc")
        program = self.start_waiting(sys.executable, "program.py")
        del self.environment["LD_PRELOAD"]
        found = self.arenas(str(program.pid))
        self.assertEqual(sum(a["resident_bytes"] for a in found["arenas"]),
                         found["resident_bytes"])
        self.assertGreater(max(c["live_blocks"] for c in found["classes"]), 20000)
        text = self.does("arenas", str(program.pid))
        self.assertIn(f"process   {program.pid}\n", text)
        self.assertIn("not known: no accounts are kept\n", text)
        self.does("arenas", str(program.pid), "-o", "map.svg")
        self.assertIn("<svg ", (self.dir / "map.svg").read_text())

    def test_without_accounts_no_line_is_blamed(self):
        text = self.does("arenas", self.start(SPARSE, "--untraced"))
        self.assertIn("not known: no accounts are kept\n", text)
        self.assertNotIn("(no Python frame)", text)

    def test_bad_input_is_one_line(self):
        self.write("pass")
        self.does("run", "-o", "ended.hg", sys.executable, "program.py")
        self.refuses(1, "has ended, and its heap with it", "arenas", "ended.hg")
        self.refuses(1, "there is no such process", "arenas", "4194304")
        self.refuses(1, "has no heap of Heapglass", "arenas", str(os.getpid()))
        self.refuses(2, "one process at a time", "arenas", "1", "2")
        self.refuses(2, "-o needs a value", "arenas", "-o")
