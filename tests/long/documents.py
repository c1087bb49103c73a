# SPDX-License-Identifier: MIT
"""lxml: trees are built, searched, changed and written."""
import hashlib
import sys

from lxml import etree

seen = hashlib.sha256()
for number in range(int(sys.argv[1])):
    root = etree.Element("root", number=str(number))
    for i in range(200):
        item = etree.SubElement(root, "item", id=str(i))
        item.text = f"text {i}" * (i % 5)
    for item in root.xpath("//item[@id mod 3 = 0]"):
        item.getparent().remove(item)
    again = etree.fromstring(etree.tostring(root))
    seen.update(etree.tostring(again, pretty_print=True))
print(seen.hexdigest())
