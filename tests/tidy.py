#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""clang-tidy over src, include and examples: tidy.py BUILD [WORD]..., or the files that have
one of the words in their names. .clang-tidy names the checks. Status 1 if it finds anything."""
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]


def commands(build):
    """How each file is compiled: {file: its entry}, the first where there are several, for
    clang-tidy would look at a file once for each."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = Path(entry["directory"], entry["file"]).resolve()
        if file.is_relative_to(TOP / "src") or file.is_relative_to(TOP / "examples"):
            found.setdefault(file, entry | {"file": str(file)})
    return found


def findings(file, folder):
    """What clang-tidy says of one file; "" if it is content."""
    done = subprocess.run(["clang-tidy", "--quiet", "-p", folder, file], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.stdout or (done.stderr if done.returncode else "")


def main(build, *words):
    entries = commands(Path(build))
    files = [file for file in entries if not words or any(word in str(file) for word in words)]
    files.sort(key=lambda file: -file.stat().st_size)  # no long one is left to the end
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "compile_commands.json").write_text(json.dumps(list(entries.values())))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            said = [text for text in pool.map(lambda file: findings(file, folder), files) if text]
    # A header's finding is told once, not by each file that includes it.
    print("\n".join(dict.fromkeys(said)) or f"{len(files)} files are tidy")
    return 1 if said or not files else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
