# SPDX-License-Identifier: MIT
"""Text: lines of a web server's log are made, matched, split and counted."""
import collections
import re
import sys

LINE = re.compile(r'(\S+) - (\S+) \[(\d+)\] "(\w+) (\S+)" (\d{3}) (\d+)')
PATHS = ["/", "/cart", "/item/%d", "/search?q=%d", "/static/app.%d.js"]


def log(count):
    for i in range(count):
        path = PATHS[i % 5]
        yield '10.0.%d.%d - user%d [%d] "%s %s" %d %d' % (
            i % 250, i * 7 % 250, i % 900, 1_700_000_000 + i, "POST" if i % 9 == 0 else "GET",
            path % (i % 300) if "%" in path else path, 404 if i % 31 == 0 else 200, i * 13 % 9000)


def work(rounds):
    hits, users = collections.Counter(), collections.defaultdict(set)
    sizes = collections.defaultdict(int)
    for line in log(rounds):
        host, user, when, verb, path, status, size = LINE.match(line).groups()
        page, _, query = path.partition("?")
        key = "%s %s" % (verb, "/".join(page.split("/")[:2]))
        hits[key.upper()] += 1
        users[host.rsplit(".", 1)[0]].add(user)
        sizes[status + ":" + (query or "-")] += int(size)
    rows = [f"{key:<20}|{count:>8}" for key, count in hits.most_common()]
    return "\n".join(rows).count("|"), sum(map(len, users.values())), sum(sizes.values())


print(work(int(sys.argv[1])))
