#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test.py DOCUMENT: the document example, fed with a large file.  Speaks TAP."""
import re
import subprocess
import sys
import tempfile


def page(sections):
    """Sections of nested lists, void elements, and end tags that are missing or too many."""
    for i in range(sections):
        yield f"<section id={i}><h2>{i}<br></h2><ul>"
        for j in range(20):
            yield f"<li class='x'>item {j}<p>a <b>b</b> <img src=x> c</p></li>"
        yield "<li>not ended</ul></b></section>\n"


def numbers(command, kind, path):
    done = subprocess.run([command, kind, path], capture_output=True, text=True)
    gone = [int(n) for n in re.findall(r"(\d+) objects gone", done.stdout)]
    elements = re.match(r"(\d+) elements, (\d+) deep, (\d+) objects", done.stdout)
    return done.returncode, [int(n) for n in elements.groups()], gone


def main():
    number = 0

    def check(name, truth):
        nonlocal number
        number += 1
        print("ok" if truth else "not ok", number, "-", name)

    sections = 2000
    # Of a section: itself, h2, br, ul, 20 li with p, b and img, one li without an end.
    elements = 1 + 1 + sections * (5 + 20 * 4)
    with tempfile.NamedTemporaryFile("w", suffix=".html") as file:
        file.write("<!DOCTYPE html><!-- <p> --><html>" + "".join(page(sections)) + "</html>")
        file.flush()
        for kind in "strong", "weak":
            status, (found, deep, objects), gone = numbers(sys.argv[1], kind, file.name)
            check(f"{kind}: nothing is left", status == 0 and sum(gone) == objects)
            check(f"{kind}: elements are counted", (found, deep) == (elements, 7))
            if kind == "strong":
                check("strong: releasing frees nothing", gone[0] == 0 == gone[2])
            else:
                check("weak: much goes at once", gone[0] > 0.3 * objects)
                check("weak: listeners keep the rest until it is collected", gone[1] > 0)
    for text, objects in (("hello", 3), ("<", 4), ("<>", 4), ("</", 2), ("<a", 4), ("", 2),
                          ("<a/><!--", 4), ("a<b>c", 6)):
        with tempfile.NamedTemporaryFile("w", suffix=".html") as file:
            file.write(text)
            file.flush()
            for kind in "strong", "weak":
                status, counted, gone = numbers(sys.argv[1], kind, file.name)
                check(f"{kind}: {text!r}", (status, counted[2], sum(gone)) ==
                      (0, objects, objects))
    for words, status in ((["--help"], 0), ([], 2), (["strong", "/"], 1),
                          (["weak", "/not/there"], 1)):
        done = subprocess.run([sys.argv[1], *words], capture_output=True, text=True)
        check(" ".join(["called with", *words]), done.returncode == status)
    print(f"1..{number}")


main()
