#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of Wick: run.py WICK.  Speaks TAP.

Each *.wick says in comments what it prints, and runs as it is, with everything collected all
the time, and with the dead poisoned and nothing left at the end.  Each of MISTAKES is a program
and what is said about it.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

MISTAKES = [
    ("fun f() {\n  return nothing;\n}\nf();",
     "nothing is called 'nothing'\n  at FILE:2, in f\n  at FILE:4\n"),
    ("print(1 + nil);", "a number and a nil cannot be added\n  at FILE:1\n"),
    ("var x = ;", "FILE:1: expected an expression\n"),
    ("print(1)", "FILE:1: expected ';' after an expression, not the end\n"),
    ("{ var a = 1; var a = 2; }", "FILE:1: a variable of this name is there already\n"),
    ("\"abc", "FILE:1: a string without an end\n"),
    ("1 = 2;", "FILE:1: what is on the left of '=' cannot be assigned to\n"),
    ("return 1;", "FILE:1: 'return' in no function\n"),
    ("break;", "FILE:1: in no loop\n"),
    ("class A { f() { super.f(); } }", "FILE:1: 'super' in no class that has a base\n"),
    ("fun f(a) {}\nf();", "f() takes 1 arguments, not 0\n  at FILE:2\n"),
    ("[1][1];", "index 1 of a list of 1\n  at FILE:1\n"),
    ("{1: 2}[1];", "FILE:1: expected ';' after an expression, not ':'\n"),
    ("nil.x;", "a nil has no 'x'\n  at FILE:1\n"),
    ("nil();", "a nil cannot be called\n  at FILE:1\n"),
    ("var m = {[]: 1};", "a list as a key\n  at FILE:1\n"),
    ("for x in 1 {}", "a number cannot be gone through\n  at FILE:1\n"),
    ("import \"not there\" as x;", "cannot read FOLDERnot there\n  at FILE:1\n"),
    ("fail(\"told\");", "told\n  at FILE:1\n"),
    ("[3, 2].sort(fun(a, b) { return c; });",
     "nothing is called 'c'\n  at FILE:1, in (nameless)\n  at FILE:1\n"),
    ("(" * 300, "FILE:1: nested too deeply\n"),
]


def tests(wick):
    here = pathlib.Path(__file__).parent
    for path in sorted(here.glob("*.wick")):
        expected = "".join(line + "\n" for line in re.findall(
            r"// expect: (.*)$", path.read_text(), re.M))
        for option in ([], ["--stress"], ["--debug"], ["--debug", "--stress"]):
            done = subprocess.run([wick, *option, path], capture_output=True, text=True)
            yield (f"{path.stem} {' '.join(option)}",
                   (done.stdout, done.stderr, done.returncode), (expected, "", 0))
    for program, message in MISTAKES:
        for option in ([], ["--debug", "--stress"]):
            with tempfile.TemporaryDirectory() as folder:
                path = folder + "/program.wick"
                pathlib.Path(path).write_text(program)
                done = subprocess.run([wick, *option, path], capture_output=True, text=True)
            message = message.replace("FILE", path).replace("FOLDER", folder + "/")
            yield (f"mistake {program.split(chr(10))[0][:30]} {' '.join(option)}",
                   (done.stdout, done.stderr, done.returncode),
                   ("", "wick: " + message, 1))
            message = message.replace(path, "FILE").replace(folder + "/", "FOLDER")
    deep = "fun f() { return f(); } f();"
    done = subprocess.run([wick, "--debug"], input=deep + "\n1 + 1\nvar a = [1];\na",
                          capture_output=True, text=True)
    yield ("lines are read, and their values shown", done.stdout, "2\n[1]\n")
    yield ("a line's mistake is told", done.stderr.split("\n")[0],
           "wick: calls nested too deeply")
    for typed, shown, said in (
            ("fun f(x) {\n  return x + 1;\n}\nf(2)\n", "3\n", ""),
            ("[1,\n\n2]\n", "", "wick: input:2: expected an expression\n"
             "wick: input:1: expected ';' after an expression, not ']'\n"),
            ("\"a\nb\"\n", "a\nb\n", ""),
            ("var x = 1\n\nnil\n", "", "wick: input:3: expected ';' after a variable, not the end\n"),
            ("if true {\n", "", "wick: input:2: expected '}' after a block, not the end\n"),
            ("break;\n1\n", "1\n", "wick: input:1: in no loop\n"),
            ("import \"none\" as a;\n2\n", "2\n", "wick: cannot read none\n  at input:1\n"),
            ("class A {}\nA() + 1\ntype(A())\n", "A\n",
             "wick: a A and a number cannot be added\n  at input:1\n"),
            ("len(range(3, 10))\nrange(0, 1 / 0)\nlen(range(2, 1))\n", "7\n0\n",
             "wick: a range of inf numbers\n  at input:1\n"),
            ("var m = 1; while m + 1 - m == 1 { m = m * 2; }\nlen(range(m, m + 8))\n", "8\n",
             "")):
        done = subprocess.run([wick, "--debug"], input=typed, capture_output=True, text=True)
        yield (f"typed {typed!r}", (done.stdout, done.stderr), (shown, said))


def main():
    number = 0
    failed = 0
    for name, got, wanted in tests(sys.argv[1]):
        number += 1
        print("ok" if got == wanted else "not ok", number, "-", name)
        if got != wanted:
            failed = 1
            print("#", repr(got), "is not", repr(wanted))
    print(f"1..{number}")
    return failed


sys.exit(main())
