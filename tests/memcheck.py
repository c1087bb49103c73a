#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""valgrind over everything that reads ledgers: memcheck.py BUILD. Status 1 if it complains.

The command, on a ledger of a program with a child and on files that are none; the fuzz target
of the readers, on its corpus; and the unit tests of the readers.
"""
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
VALGRIND = ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full",
            "--errors-for-leak-kinds=definite"]
CORPUS = TOP / "tests/fuzz/corpus/reader"
UNIT = ["accounts", "family", "public", "report", "table", "words"]  # "reader" takes minutes

PROGRAM = """
import os, threading
def keep(n):
    return [bytearray(n) for _ in range(n)]
kept = keep(100)
thread = threading.Thread(target=lambda: kept.append(keep(30)))
thread.start()
thread.join()
if (child := os.fork()) == 0:
    kept.append(keep(50))
else:
    os.waitpid(child, 0)
"""


def make_ledgers(command, folder):
    """a.hg and b.hg of two programs, and files that only look like ledgers."""
    for name in "a.hg", "b.hg":
        subprocess.run([command, "run", "-o", name, "--", "/usr/bin/python3", "-c", PROGRAM],
                       cwd=folder, check=True)
    whole = (folder / "a.hg").read_bytes()
    (folder / "cut.hg").write_bytes(whole[:len(whole) // 2])
    (folder / "text.hg").write_text("this is no ledger\n")
    (folder / "empty.hg").touch()


def commands(build):
    """(words, expected status, more environment) of everything that is run."""
    command = str(build / "heapglass")
    for words in ("report a.hg", "report a.hg --json --total", "report a.hg --by stack --live",
                  "report a.hg --by function", "report a.hg --by thread --json",
                  "report a.hg --by domain --no-children", "diff a.hg b.hg",
                  "diff a.hg b.hg --by stack --json", "plot a.hg b.hg -o plot.svg",
                  "snapshot a.hg -o snapshot.hg", "list", "list --json"):
        yield [command, *words.split()], 0, {}
    for file in "cut.hg", "text.hg", "empty.hg", "none.hg":
        yield [command, "report", file], 1, {}
        yield [command, "plot", file, "-o", "none.svg"], 1, {}
    yield [str(build / "tests/unit/reading/fuzz-reader"), str(CORPUS)], 0, {}
    for name in UNIT:
        test = build / f"tests/unit/reading/test-{name}"
        if test.exists():
            yield [str(test)], 0, {"CK_FORK": "no"}


def complaint(words, expected, more, folder):
    """What is wrong with one run, or None."""
    done = subprocess.run([*VALGRIND, *words], cwd=folder, text=True,
                          env=os.environ | {"HEAPGLASS_DIR": str(folder)} | more,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
    if done.returncode == expected:
        return None
    return f"{' '.join(words)[:200]}: status {done.returncode}\n{done.stdout[-6000:]}"


def main(build):
    build = Path(build).resolve()
    with tempfile.TemporaryDirectory(prefix="heapglass-memcheck-") as folder:
        folder = Path(folder)
        make_ledgers(str(build / "heapglass"), folder)
        runs = list(commands(build))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(lambda run: complaint(*run, folder), runs))
    wrong = [text for text in found if text]
    print("\n".join(wrong) or f"{len(runs)} runs without an error or a leak")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
