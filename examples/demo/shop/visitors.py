# SPDX-License-Identifier: MIT
"""Visitors, their baskets and what they order."""
import random
from collections import OrderedDict
from dataclasses import dataclass, field

SOURCES = ["", "", "ref=newsletter", "ref=search", "ref=friend"]


@dataclass
class Session:
    key: str
    basket: list = field(default_factory=list)
    seen: list = field(default_factory=list)


@dataclass
class Order:
    session: str
    lines: list
    total: float


class Sessions:
    """The sessions of the last visitors; the oldest make room for new ones."""

    def __init__(self, limit):
        self.limit = limit
        self.open = OrderedDict()

    def get(self, key):
        session = self.open.pop(key, None) or Session(key)
        self.open[key] = session
        if len(self.open) > self.limit:
            self.open.popitem(last=False)
        return session


class Visitor:
    """One visit: a few pages, and now and then an order."""

    def __init__(self, shop, draw):
        self.shop = shop
        self.draw = draw
        self.key = f"{draw.getrandbits(40):010x}"
        # A newsletter's links carry a tag of their own for every reader.
        self.source = draw.choice(SOURCES)
        if self.source == "ref=newsletter":
            self.source += f"&reader={draw.randrange(10**6)}"

    def walk(self, day):
        session = self.shop.sessions.get(self.key)
        for _ in range(self.draw.randrange(1, 6)):
            number = min(int(self.draw.expovariate(0.004)), self.shop.last_number)
            address = f"/product/{number}" + (f"?{self.source}" if self.source else "")
            page = self.shop.pages.product(address)
            self.shop.log.write(day, self.key, address, len(page))
            session.seen.append(number)
            if self.draw.random() < 0.2:
                session.basket.append((number, self.draw.randrange(1, 4)))
        if session.basket and self.draw.random() < 0.3:
            return self.order(session)
        return None

    def order(self, session):
        products = self.shop.catalogue.products
        total = sum(products[number].price * count for number, count in session.basket)
        lines, session.basket = session.basket, []
        return Order(session.key, lines, round(total, 2))


def visitors(shop, count, seed):
    draw = random.Random(seed)
    for _ in range(count):
        yield Visitor(shop, draw)
