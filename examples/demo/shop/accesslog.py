# SPDX-License-Identifier: MIT
"""The access log, and what is made of it every night."""
import re
from collections import Counter, defaultdict

LINE = re.compile(r'day=(\d+) visitor=(\w+) "GET (\S+)" (\d+)')


class AccessLog:
    def __init__(self):
        self.lines = []

    def write(self, day, visitor, address, size):
        self.lines.append(f'day={day:03d} visitor={visitor} "GET {address}" {size}')

    def analyze(self):
        """Totals of the day; the lines are gone afterwards, the totals stay."""
        requests = [LINE.fullmatch(line).groups() for line in self.lines]
        visits = defaultdict(list)
        for _, visitor, address, size in requests:
            visits[visitor].append((address.partition("?")[0], int(size)))
        pages = Counter(path for path_and_size in visits.values() for path, _ in path_and_size)
        self.lines.clear()
        return {"requests": len(requests), "visitors": len(visits),
                "bytes": sum(size for seen in visits.values() for _, size in seen),
                "best": pages.most_common(20)}
