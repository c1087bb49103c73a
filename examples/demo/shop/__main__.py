# SPDX-License-Identifier: MIT
"""A web shop, as far as its memory goes: python3 shop [DAYS [VISITORS-A-DAY]].

Visitors look at pages and order; at night the log is turned into totals. Something in here
grows that should not. Find out what, and where.
"""
import os
import sys

from accesslog import AccessLog
from catalogue import Catalogue, supplier_list
from pages import Pages
from visitors import Sessions, visitors


class Shop:
    def __init__(self, products):
        self.catalogue = Catalogue(supplier_list(products))
        self.last_number = products - 1
        self.pages = Pages(self.catalogue)
        self.sessions = Sessions(limit=2000)
        self.log = AccessLog()
        self.orders = []
        self.totals = []

    def day(self, day, count):
        before = len(self.orders)
        for visitor in visitors(self, count, seed=day):
            order = visitor.walk(day)
            if order:
                self.orders.append(order)
        totals = self.log.analyze()
        self.totals.append(totals)
        print(f"day {day}: {totals['visitors']} visitors, {totals['requests']} requests, "
              f"{len(self.orders) - before} orders", flush=True)


def main(days=10, count=6000):
    shop = Shop(products=6000)
    print(f"open for business, process {os.getpid()}", flush=True)
    for day in range(1, days + 1):
        shop.day(day, count)
    takings = sum(order.total for order in shop.orders)
    print(f"{len(shop.orders)} orders, {takings:,.2f} taken")
    return shop


if __name__ == "__main__":
    # Kept, as a server's shop is for as long as the server runs.
    SHOP = main(*map(int, sys.argv[1:]))
