# SPDX-License-Identifier: MIT
"""Instances and dicts: a ledger of accounts, with and without __slots__, that move money.

instances.py TRANSFERS ACCOUNTS
"""
import sys


class Account:
    def __init__(self, number, owner):
        self.number = number
        self.owner = owner
        self.entries = []
        self.balance = 0

    def book(self, entry):
        self.entries.append(entry)
        self.balance += entry.amount
        if len(self.entries) > 12:
            self.entries = self.entries[6:]


class Entry:
    __slots__ = ("amount", "peer", "text")

    def __init__(self, amount, peer, text):
        self.amount = amount
        self.peer = peer
        self.text = text


class Transfer:
    def __init__(self, source, target, amount):
        self.source = source
        self.target = target
        self.amount = amount
        self.fees = {}

    def run(self, number):
        self.fees["handling"] = self.amount // 100
        self.source.book(Entry(-self.amount, self.target.number, "to %d" % number))
        self.target.book(Entry(self.amount - sum(self.fees.values()), self.source.number, None))
        return self


def work(rounds, size):
    accounts = {n: Account(n, {"name": "owner %d" % n, "kind": n % 3}) for n in range(size)}
    recent = {}
    seed = 7
    for i in range(rounds):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        source, target = accounts[seed % size], accounts[(seed >> 8) % size]
        recent[i % 5000] = Transfer(source, target, seed % 997 + 1000).run(i)
    return sum(account.balance for account in accounts.values()), len(recent)


print(work(int(sys.argv[1]), int(sys.argv[2])))
