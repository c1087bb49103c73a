# SPDX-License-Identifier: MIT
"""pandas: tables read from memory, merged, grouped, pivoted and written.

pandas_sales.py ROUNDS ROWS
"""
import io
import sys

import pandas as pd


def sales(rows):
    lines = ["id,customer,region,day,amount,note"]
    for i in range(rows):
        lines.append("%d,c%d,%s,2024-%02d-%02d,%.2f,%s" % (
            i, i * 31 % 700, "north east south west".split()[i * 7 % 4], i // 28 % 12 + 1, i % 28 + 1,
            i * 37 % 9973 / 7, "n/a" if i % 5 else "note %d" % i))
    return "\n".join(lines)


def work(rounds, rows):
    text, checks = sales(rows), []
    customers = pd.DataFrame({"customer": ["c%d" % i for i in range(700)],
                              "segment": [("small", "large", "public")[i % 3] for i in range(700)]})
    for number in range(rounds):
        table = pd.read_csv(io.StringIO(text), parse_dates=["day"])
        table = table[table["amount"] > number].merge(customers, on="customer")
        table["month"] = table["day"].dt.strftime("%Y-%m")
        by_group = table.groupby(["region", "segment"])["amount"].agg(["sum", "mean", "count"])
        pivot = table.pivot_table(index="month", columns="region", values="amount", aggfunc="sum")
        words = table["note"].fillna("").str.upper().str.split(" ").str[0].value_counts()
        top = table.groupby("customer")["amount"].apply(lambda part: part.nlargest(3).sum())
        out = by_group.reset_index().to_csv(index=False)
        checks.append((len(out), round(float(pivot.to_numpy().sum()), 2), int(words.iloc[0]),
                       round(float(top.max()), 2)))
    return checks[-1]


print(work(int(sys.argv[1]), int(sys.argv[2])))
