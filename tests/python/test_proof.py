# SPDX-License-Identifier: MIT
"""An interpreter that is not built as we think is noticed, and nobody comes to harm.

Each offset of the interpreter's row in layout.h is shifted in turn, in a library built for the
purpose; and the row is given to be that of another version. The program must run as ever, and the
report must either say that Python was asked for the stacks, and be right, or the offset must be
one of few that do not matter here, and the report be right too.
"""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import harness

ROOT = Path(__file__).resolve().parents[2]
ADAPT = ROOT / "src/adapt"
LAYOUT = ADAPT / "cpython/layout.h"
MINOR = harness.version()[1]
ROWS = {str(int(minor)): row for minor, row in
        re.findall(r"#define LAYOUT_3(\d\d) (\{.*?\})\n", LAYOUT.read_text(), re.S)}
# Offsets have two digits at least; those of the first word of something are 0.
OFFSETS = [name for name in re.findall(r"\.(\w+) = \d+", ROWS.get(str(MINOR), ""))
           if name.startswith(("runtime_", "state_", "cframe_", "frame_", "code_", "interp_",
                               "published_"))]
BYTES = {"frame_owner": 1, "frame_stacktop": 4, "code_first_line": 4, "code_first_traceable": 4, "code_flags": 4,
         "interp_gc_young": 4, "code_bytecode": 2, "published_state": 1, "published_frame": 1,
         "published_code": 1}
ASKED = "Python is asked for each stack"
PROVED = "frames read in place, proved at start"

PROGRAM = """\
import gc, json, threading
def leaf(n):
    return bytes(n)
def branch(n):
    return [leaf(1000) for i in range(n)]
def stream(n):
    for i in range(n):
        yield leaf(2000)
keep = [branch(100)]
keep.append(
    list(stream(100)))
def work():
    keep.append(branch(50))
thread = threading.Thread(target=work)
thread.start()
thread.join()
gc.collect()
print(len(json.dumps(list(range(1000)))), len(keep))
try:
    bytes(-1)
except ValueError as error:
    print(error.__traceback__.tb_lineno, error)
"""


@unittest.skipIf(str(MINOR) not in ROWS, "no row for this version")
class Proof(harness.Case):
    @classmethod
    def setUpClass(cls):
        libraries = [Path(harness.COMMAND).with_name(f"lib{name}.a") for name in ("heap", "writer")]
        cls.compiler = shutil.which(os.environ.get("CC", "cc").split()[0])
        if cls.compiler is None or not all(path.exists() for path in libraries):
            raise unittest.SkipTest("nothing to build a library with")
        folder = tempfile.TemporaryDirectory(prefix="heapglass-proof-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder, cls.libraries = Path(folder.name), libraries
        # It takes the library that lies beside it.
        cls.command = shutil.copy(harness.COMMAND, cls.folder)

    def build(self, row):
        """A library that believes in `row` for this version."""
        text = LAYOUT.read_text().replace(ROWS[str(MINOR)], row)
        text = re.sub(r"(#define EACH_LAYOUT\(X\)).*", rf"\1 X(3{MINOR:02})", text)
        changed = self.folder / "adapt/cpython/layout.h"
        changed.parent.mkdir(parents=True, exist_ok=True)
        changed.write_text(text)
        subprocess.run([self.compiler, "-std=c17", "-D_GNU_SOURCE", "-DHG_CHECK=0", "-O0", "-fPIC",
                        "-shared", "-fvisibility=hidden", "-fno-strict-aliasing",
                        "-I", self.folder, "-I", ROOT / "src", "-I", ROOT / "include",
                        "-o", self.folder / "libheapglass-preload.so",
                        ADAPT / "preload.c", *sorted(ADAPT.glob("*/*.c")),
                        "-Wl,--whole-archive", *self.libraries, "-Wl,--no-whole-archive",
                        "-ldl", "-pthread", "-Wl,-z,nodelete"], check=True)

    def check(self, *expected):
        """Run the program; its output is stock's, and what it holds is told rightly."""
        program, ledger = self.write(PROGRAM), self.dir / "program.hg"
        plain = harness.call(harness.PYTHON, program)
        done = harness.call(self.command, "run", "-o", ledger, "--", harness.PYTHON, program)
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, plain.stdout, plain.stderr))
        run = harness.Run(done, program, ledger)
        said = run.report()["watched"]["stacks_how"]
        self.assertTrue(any(text in said for text in expected), said)
        line = run.line(3, "--live")
        self.assertEqual((line["live_bytes"], line["live_blocks"]),
                         (150 * 1033 + 100 * 2033, 250))
        stacks = {}
        for row in run.report("--live", "--by", "stack")["rows"]:
            lines = [frame["line"] for frame in row["stack"] if frame["file"] == str(program)]
            if lines[-1:] == [3] and row["live_blocks"]:
                # Up to 3.11 a list comprehension has a frame of its own.
                stack = tuple(dict.fromkeys(lines))
                stacks[stack] = stacks.get(stack, 0) + row["live_blocks"]
        self.assertEqual(stacks, {(9, 5, 3): 100, (11, 8, 3): 100, (13, 5, 3): 50})

    def test_the_row_as_it_is(self):
        self.build(ROWS[str(MINOR)])
        self.check(PROVED)

    def test_each_offset_shifted(self):
        unused = {"interp_gc_stats", "interp_gc_young"}  # numbers that are shown, no more
        if "MARK_LOCALS" not in ROWS[str(MINOR)]:
            unused.add("frame_locals")
        for name in OFFSETS:
            now = int(re.search(rf"\.{name} = (\d+)", ROWS[str(MINOR)])[1])
            step = BYTES.get(name, 8)
            for value in now - step, now + step:
                if value < 0:
                    continue
                with self.subTest(offset=name, value=value):
                    self.build(re.sub(rf"\.{name} = \d+", f".{name} = {value}",
                                      ROWS[str(MINOR)]))
                    if name in unused:
                        self.check(PROVED)
                    elif name in ("frame_locals", "frame_stacktop", "frame_trace_lines"):
                        self.check("no marks")
                    else:
                        self.check(ASKED)

    def test_rows_of_other_versions(self):
        for minor, row in ROWS.items():
            if minor == str(MINOR):
                continue
            with self.subTest(row_of=minor):
                self.build(row.replace(f".minor = {minor}", f".minor = {MINOR}"))
                self.check(ASKED)
