#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Which share of the lines of src the tests ran, by folder: coverage.py BUILD, of a build with
-Db_coverage=true whose tests have been run. --files names each file too."""
import json
import os
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
SRC = TOP / "src"


def lines_of(notes, build):
    """{file: {line: ran}} of one object, whether or not it ever ran."""
    done = subprocess.run(["gcov", "--json-format", "--stdout", str(notes.relative_to(build))],
                          cwd=build, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    found = {}
    for text in done.stdout.splitlines():
        for file in json.loads(text)["files"]:
            path = Path(build, file["file"]).resolve()
            if path.is_relative_to(SRC):
                lines = found.setdefault(path.relative_to(SRC), defaultdict(bool))
                for line in file["lines"]:
                    lines[line["line_number"]] |= line["count"] > 0
    return found


def report(title, lines):
    ran = sum(lines)
    print(f"{title:<32}{len(lines):>7} lines{100 * ran / len(lines):>7.1f} %")


def main(build, *options):
    build = Path(build).resolve()
    files = defaultdict(lambda: defaultdict(bool))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(lambda notes: lines_of(notes, build), build.rglob("*.gcno")):
            for path, lines in found.items():
                for number, ran in lines.items():
                    files[path][number] |= ran
    if not files:
        sys.exit(f"coverage: {build} has none; set it up with -Db_coverage=true and run tests")
    folders = defaultdict(list)
    for path, lines in sorted(files.items()):
        folders[path.parent].extend(lines.values())
        if "--files" in options:
            report(str(path), lines.values())
    for folder, lines in sorted(folders.items()):
        report(f"src/{folder}", lines)
    report("all", [ran for lines in folders.values() for ran in lines])


if __name__ == "__main__":
    main(*sys.argv[1:])
