#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Sum the tests in logs of Meson's: tests/count.py testlog.json...

Prints "PASSED FAILED SKIPPED" for the whole; to standard error, the name of each failure and,
for each Meson test, how many it stands for. A TAP test counts its lines, another counts one.
With --need NAME it is a failure if that Meson test is not there with at least one pass.
"""
import argparse
import json
import re
import sys

LINE = re.compile(r"(ok|not ok)\b\s*\d*\s*([^#]*)(?:#\s*(skip|todo)\b)?", re.IGNORECASE)


def outcomes(test):
    """(outcome, name) of everything that one entry of the log stands for."""
    name = test["name"]
    lines = [LINE.match(line) for line in (test["stdout"] or "").splitlines()]
    found = []
    for match in filter(None, lines):
        word, title, directive = match.groups()
        if directive:  # a TODO that fails is expected to
            outcome = "skipped"
        else:
            outcome = "passed" if word == "ok" else "failed"
        found.append((outcome, f"{name}: {title.strip(' -')}"))
    if not found or test["result"] == "SKIP":
        outcome = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}
        return [(outcome.get(test["result"], "failed"), f"{name}: {test['result']}")]
    failed = any(outcome == "failed" for outcome, _ in found)
    if test["result"] not in ("OK", "EXPECTEDFAIL") and not failed:
        found.append(("failed", f"{name}: {test['result']}"))  # such as a time-out
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--need", action="append", default=[], metavar="NAME")
    parser.add_argument("logs", nargs="*")
    args = parser.parse_args()
    total = {"passed": 0, "failed": 0, "skipped": 0}
    passes = dict.fromkeys(args.need, 0)
    for log in args.logs:
        try:
            with open(log, encoding="utf-8") as lines:
                tests = [json.loads(line) for line in lines]
        except FileNotFoundError:
            continue
        for test in tests:
            here = {"passed": 0, "failed": 0, "skipped": 0}
            for outcome, name in outcomes(test):
                here[outcome] += 1
                if outcome == "failed":
                    print(f"FAILED {name}", file=sys.stderr)
            print(f"{test['name']}: " + ", ".join(f"{n} {word}" for word, n in here.items()),
                  file=sys.stderr)
            short = test["name"].rpartition(" / ")[2]  # without project and suite
            if short in passes:
                passes[short] += here["passed"]
            for outcome, n in here.items():
                total[outcome] += n
    for name, count in passes.items():
        if not count:
            total["failed"] += 1
            print(f"FAILED {name}: none of its tests ran", file=sys.stderr)
    print(*total.values())


if __name__ == "__main__":
    main()
