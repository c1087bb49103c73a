# SPDX-License-Identifier: MIT
"""Jinja2: templates that are compiled anew, with macros and loops."""
import hashlib
import sys

from jinja2 import Environment

TEXT = """{% macro cell(x) %}<td>{{ x|upper }}</td>{% endmacro %}
{% for row in rows %}<tr>{% for x in row %}{{ cell(x) }}{% endfor %}</tr>
{% else %}nothing {{ NUMBER }}{% endfor %}"""
seen = hashlib.sha256()
for number in range(int(sys.argv[1])):
    template = Environment().from_string(TEXT.replace("NUMBER", str(number)))
    rows = [[f"cell {i} {j}" for j in range(number % 9)] for i in range(20)]
    seen.update(template.render(rows=rows).encode())
print(seen.hexdigest())
