#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Includes go one way: fail on any #include that goes against the order of the rooms."""
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]

# A room may include itself and everything that it can reach by these arrows.
ARROWS = {
    "cli": ["monitor"],
    "monitor": ["report"],
    "report": ["analyze"],
    "analyze": ["ledger", "heap"],  # the heap of another process
    "ledger": ["base"],
    "adapt": ["trace"],
    "trace": ["ledger", "object"],
    "object": ["heap"],
    "heap": ["base"],
    "base": [],
}
PUBLIC = "include/heapglass"  # for everybody, and includes nothing of ours but itself


def below(room):
    found = {room}
    for lower in ARROWS[room]:
        found |= below(lower)
    return found


def room_of(path):
    """The room a file stands in: "heap" for src/heap/pool.c."""
    parts = path.relative_to(TOP).parts
    return parts[1] if parts[0] == "src" else PUBLIC


def target_of(path, name):
    """The file that `#include "name"` in `path` means, or None."""
    for folder in path.parent, TOP / "src", TOP / "include":
        if (folder / name).is_file():
            return (folder / name).resolve()
    return None


def faults(path):
    """What is wrong with the includes of one file, a line each."""
    room = room_of(path)
    allowed = {PUBLIC} if room == PUBLIC else below(room) | {PUBLIC}
    text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^">]+)[">]', line)
        if not match:
            continue
        quote, name = match.groups()
        target = target_of(path, name)
        where = f"{path.relative_to(TOP)}:{number}"
        if quote == "<":
            if target and not name.startswith("heapglass/"):
                yield f'{where}: ours are included as "{name}"'
        elif target is None:
            yield f"{where}: no such file: {name}"
        elif room_of(target) not in allowed:
            yield f"{where}: {room} must not include {room_of(target)} ({name})"


def main():
    files = sorted([*TOP.glob("src/**/*.[ch]"), *TOP.glob("include/**/*.h")])
    wrong = [f"{room}: a room that ARROWS does not know"
             for room in {room_of(path) for path in files} - set(ARROWS) - {PUBLIC}]
    for path in files:
        if room_of(path) in ARROWS or room_of(path) == PUBLIC:
            wrong += faults(path)
    print("\n".join(wrong) or f"{len(files)} files include one way")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    sys.exit(main())
