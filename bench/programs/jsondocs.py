# SPDX-License-Identifier: MIT
"""JSON both ways: documents as an API sends them, written, read back and looked through."""
import json
import sys


def order(i):
    return {
        "id": i,
        "customer": {"name": "customer %d" % (i % 500), "email": "c%d@example.org" % (i % 500)},
        "lines": [{"sku": "S%04d" % ((i * 7 + n) % 900), "count": n + 1, "price": n * 1.25 + i}
                  for n in range(i % 6 + 1)],
        "paid": i % 3 == 0,
        "note": None if i % 4 else "gift wrapping, caf\u00e9 \"%d\"" % i,
    }


def work(rounds):
    orders = [order(i) for i in range(2000)]
    size = total = 0
    for _ in range(rounds):
        text = json.dumps(orders)
        size += len(text)
        for item in json.loads(text):
            total += sum(line["count"] for line in item["lines"] if item["paid"])
    pretty = json.dumps(orders[:200], indent=2, sort_keys=True)
    return size, total, len(pretty)


print(work(int(sys.argv[1])))
