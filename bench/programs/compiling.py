# SPDX-License-Identifier: MIT
"""Compile the standard library: parse, walk and rewrite, compile, print it back."""
import ast
import os
import sys


class Rename(ast.NodeTransformer):
    def visit_Name(self, node):
        if node.id == "self":
            return ast.copy_location(ast.Name("this", node.ctx), node)
        return node


def work(files):
    folder = os.path.dirname(os.__file__)
    names = sorted(name for name in os.listdir(folder) if name.endswith(".py"))
    size = nodes = lines = 0
    for number, name in enumerate(names[:files]):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            source = file.read()
        tree = ast.parse(source)
        nodes += sum(1 for _ in ast.walk(tree))
        size += len(compile(Rename().visit(tree), name, "exec").co_code)
        if number % 6 == 0:
            lines += ast.unparse(tree).count("\n")
    return nodes, size, lines


print(work(int(sys.argv[1])))
