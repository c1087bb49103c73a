# SPDX-License-Identifier: MIT
"""Much of the standard library, imported and at work."""
import argparse, configparser, csv, email.message, html.parser, http.client, inspect
import io, logging, optparse, pdb, pprint, sqlite3, string, tarfile, textwrap, tokenize
import unittest, urllib.parse, uuid, xml.dom.minidom, zipfile
parser = argparse.ArgumentParser()
for n in range(20):
    parser.add_argument(f"--option{n}", type=int, default=n,
                        help="help " * n)
options = parser.parse_args(["--option3", "77"])
rows = list(csv.reader(f"{n},{n * n},text {n}" for n in range(100)))
config = configparser.ConfigParser()
config.read_string("".join(f"[section{n}]\nkey = {n}\n" for n in range(30)))
tree = xml.dom.minidom.parseString("<a>" + "<b c='1'>text</b>" * 50 + "</a>")
tokens = list(tokenize.generate_tokens(io.StringIO("x = [1, 2]\n" * 30).readline))
members = inspect.getmembers(unittest)
urls = [urllib.parse.urlparse(f"http://host{n}/path?x={n}") for n in range(30)]
base = sqlite3.connect(":memory:")
base.execute("create table t (n integer, text text)")
base.executemany("insert into t values (?, ?)", [(n, "x" * n) for n in range(100)])
found = base.execute("select * from t").fetchall()
lines = textwrap.wrap("some words " * 100)
