# SPDX-License-Identifier: MIT
"""What the shop sells, and the index that its search box asks."""
import csv
import io
import random
from dataclasses import dataclass

KINDS = ["lamp", "chair", "kettle", "rug", "clock", "shelf", "mirror", "basket"]
LOOKS = ["oak", "brass", "linen", "blue", "small", "folding", "round", "garden", "antique"]


@dataclass
class Product:
    number: int
    name: str
    price: float
    stock: int
    text: str


def supplier_list(count, seed=3):
    """The supplier's price list, as the CSV file that comes by mail."""
    draw = random.Random(seed)
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["number", "name", "price", "stock", "text"])
    for number in range(count):
        looks = draw.sample(LOOKS, 2)
        name = " ".join([*looks, draw.choice(KINDS), str(draw.randrange(100, 999))])
        text = f"A {name}, " + ", ".join(draw.choices(LOOKS, k=12))
        rows.writerow([number, name, f"{draw.uniform(4, 400):.2f}", draw.randrange(60), text])
    return out.getvalue()


class Catalogue:
    def __init__(self, text):
        self.products = {}
        self.words = {}
        for row in csv.DictReader(io.StringIO(text)):
            product = Product(int(row["number"]), row["name"], float(row["price"]),
                              int(row["stock"]), row["text"])
            self.products[product.number] = product
            for word in product.name.split():
                self.words.setdefault(word, set()).add(product.number)

    def search(self, query):
        """The cheapest products that have all the words."""
        found = [self.words.get(word, set()) for word in query.split()]
        numbers = set.intersection(*found) if found else set()
        return sorted((self.products[n] for n in numbers), key=lambda p: p.price)[:8]
