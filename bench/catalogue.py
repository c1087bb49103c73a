# SPDX-License-Identifier: MIT
"""What is compared with what: the programs, the ways to run them, and the bars to reach."""
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass
class Program:
    """A program under programs/, and how much of it to run.

    `size` makes it run for a second or so. Instructions are counted twice, with `small` and
    with `large`, and subtracted: what remains is the work without the start; [] and they are
    not. `mean` tells whether it belongs to the geometric mean. `needs` is what Debian's python3 must import.
    """
    name: str
    file: str
    size: list
    small: list
    large: list
    mean: bool = True
    needs: str = ""

    def words(self, arguments):
        return [str(HERE / "programs" / self.file), *map(str, arguments)]


@dataclass
class Variant:
    """A way to run a program. `run` are options of `heapglass run`, `python` of the interpreter."""
    name: str
    run: list = None
    python: tuple = ()
    rounds: int = 1000  # at most: the slow ones need no fine measure
    about: str = ""


PROGRAMS = [
    Program("churn", "churn.py", [600_000, 50_000], [4_000, 2_000], [28_000, 2_000]),
    Program("json", "jsondocs.py", [100], [1], [2]),
    Program("instances", "instances.py", [300_000, 20_000], [6_000, 500], [18_000, 500]),
    Program("floats", "floats.py", [2_500], [5], [35]),
    Program("text", "text.py", [500_000], [1_000], [7_000]),
    Program("tasks", "tasks.py", [25_000], [100], [500]),
    Program("compiling", "compiling.py", [120], [4], [6]),
    Program("threads", "threads.py", [32_000], [200], [700]),
    Program("django", "django_shop.py", [300], [4], [12], needs="django"),
    Program("pandas", "pandas_sales.py", [4, 12_000], [1, 2_000], [2, 2_000], needs="pandas"),
    Program("deep 5", "deep.py", [2_500_000, 5], [6_000, 5], [46_000, 5], mean=False),
    Program("deep 20", "deep.py", [2_500_000, 20], [6_000, 20], [46_000, 20], mean=False),
    Program("deep 100", "deep.py", [2_500_000, 100], [6_000, 100], [46_000, 100], mean=False),
    Program("start", "start.py", [0], [], [], mean=False),
    Program("rebuild", "rebuild.py", [70], [1], [3], mean=False),
    Program("calls", "calls.py", [5_000_000], [10_000], [60_000], mean=False),
]
CALLS_A_ROUND = 10  # of calls.py

VARIANTS = [
    Variant("stock", about="the interpreter alone"),
    Variant("untraced", ["--untraced"], about="our heap, no accounts"),
    Variant("frees", ["--untraced", "--hardened=frees"], about="the same, each free checked"),
    Variant("hardened", ["--untraced", "--hardened"], rounds=1,
            about="the same, finding misuse of any kind"),
    Variant("lines-nr", ["--lines", "--no-recycled"], about="by line, allocations only"),
    Variant("lines", ["--lines"], about="by line, recycled objects too"),
    Variant("stacks-nr", ["--no-recycled"], about="whole stacks, allocations only"),
    Variant("stacks", [], about="whole stacks, recycled objects too: the default"),
    Variant("tm1", python=("-X", "tracemalloc=1"), rounds=1, about="tracemalloc, one frame"),
    Variant("tm25", python=("-X", "tracemalloc=25"), rounds=1, about="tracemalloc, 25 frames"),
]

# What must be reached, as a ratio to stock: (bar, stretch). A pair per version where they differ.
BARS = {
    "instructions": {
        "untraced": {"3.11": (0.98, 0.955), "3.13": (0.92, 0.90)},
        "frees": (1.04, None), "lines-nr": (1.10, 1.00), "lines": (1.20, 1.08),
        "stacks-nr": (1.20, 1.10), "stacks": (1.33, 1.18),
    },
    "cpu worst": {"untraced": (1.03, None)},
    "cpu rebuild": {"untraced": (0.77, None)},
    "rss": {
        "untraced": (1.03, 0.95), "lines-nr": (1.08, 1.05), "lines": (1.08, 1.05),
        "stacks-nr": (1.20, 1.10), "stacks": (1.20, 1.10),
    },
    "ns a call": (1.0, None),
}


def bar(measure, variant, version):
    """(bar, stretch) for the mean of a variant on a version, or None."""
    found = BARS[measure].get(variant)
    return found.get(version) if isinstance(found, dict) else found
