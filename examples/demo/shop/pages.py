# SPDX-License-Identifier: MIT
"""Pages, rendered once and kept: rendering takes longer than looking up."""
import html

PRODUCT = """<!doctype html><title>{name}</title>
<h1>{name}</h1><p class="price">{price:.2f}</p><p>{text}</p>
<p>{left} left. Others looked at:</p><ul>{others}</ul>
<footer>You came from {source}.</footer>"""
OTHER = '<li><a href="/product/{number}">{name}</a> for {price:.2f}</li>'


class Pages:
    """The cache is keyed by the whole address, and nothing ever leaves it."""

    def __init__(self, catalogue):
        self.catalogue = catalogue
        self.rendered = {}
        self.hits = 0

    def product(self, address):
        if address in self.rendered:
            self.hits += 1
            return self.rendered[address]
        page = self.render(address)
        self.rendered[address] = page
        return page

    def render(self, address):
        path, _, query = address.partition("?")
        product = self.catalogue.products[int(path.rsplit("/", 1)[1])]
        first, second, *_ = product.name.split()
        others = "".join(
            OTHER.format(number=other.number, name=html.escape(other.name), price=other.price)
            for other in self.catalogue.search(f"{first} {second}"))
        return PRODUCT.format(
            name=html.escape(product.name), price=product.price, left=product.stock,
            text=html.escape(product.text), others=others,
            source=html.escape(query or "the front page"))
