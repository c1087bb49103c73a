# SPDX-License-Identifier: MIT
"""Programs whose memory is known by arithmetic are accounted for to the byte."""
import random

import harness


class Arithmetic(harness.Case):
    @harness.needs_recycled
    def test_a_list_of_a_thousand_pointers(self):
        run = self.watch("keep = [None] * 1000\n")
        row = run.line(1, "--live")
        # 8 bytes a pointer; the list itself: two words of the collector, 40 bytes.
        self.assertEqual((row["live_bytes"], row["live_blocks"]), (8 * 1000 + 56, 2))

    def test_bytes_of_every_size(self):
        run = self.watch("keep = []\n"
                         "for size in range(2, 2000):\n"
                         "    keep.append(\n"
                         "        bytes(size))\n")
        row = run.line(4, "--live")
        # 33 bytes besides their own: count, type, size, hash and the last zero.
        self.assertEqual(row["live_bytes"], sum(33 + size for size in range(2, 2000)))
        self.assertEqual(row["live_blocks"], 1998)

    @harness.needs_recycled
    def test_what_is_dropped_is_not_live_but_in_the_total(self):
        run = self.watch("for number in range(100):\n"
                         "    bytes(5000)\n")
        row = run.line(2, "--live")
        self.assertEqual((row["live_bytes"], row["live_blocks"]), (0, 0))
        # Each call also packs its argument into a tuple: up to 3.13 of 48 bytes, then with
        # its hash of 56.
        packed = 48 if harness.version() < (3, 14) else 56
        self.assertEqual((row["total_bytes"], row["total_blocks"]), (100 * (5033 + packed), 200))


class Oracle(harness.Case):
    """Blocks that come and go at random, each line's by a count of our own."""

    SLOTS, LINES = 60, 600

    def make(self, seed):
        """(the program, {line: [live, peak, total], each (bytes, blocks)})

        Each line puts bytes into a slot or empties one; a new block is there before the old one
        goes. The largest are 100 KB, so that the program's peak is that of its slots.
        """
        chance = random.Random(seed)
        text = [f"x, slots = b'x', [None] * {self.SLOTS}"]
        held, total, peak, highest = {}, {}, {}, 0
        for number in range(2, self.LINES + 2):
            slot, size = chance.randrange(self.SLOTS), chance.choice([30, 600, 100000])
            if chance.random() < 0.3:
                text.append(f"slots[{slot}] = None")
                held.pop(slot, None)
                continue
            size = chance.randrange(2, size)
            text.append(f"slots[{slot}] = x * {size}")
            block = number, size + 33
            total[number] = block[1], 1
            now = [*held.values(), block]
            if sum(size for _, size in now) > highest:
                highest, peak = sum(size for _, size in now), {n: (size, 1) for n, size in now}
            held[slot] = block
        live = dict((number, (size, 1)) for number, size in held.values())
        return "\n".join(text) + "\n", {
            number: [one.get(number, (0, 0)) for one in (live, peak, total)] for number in total}

    def found(self, run, first):
        """What the report says of the lines from `first` on, as make() has it."""
        return {row["line"]: [(row[what + "_bytes"], row[what + "_blocks"])
                              for what in ("live", "peak", "total")]
                for row in run.report("--by", "line")["rows"]
                if row["file"] == str(run.program) and row["line"] >= first}

    def check(self, *options):
        for seed in range(5):
            text, expected = self.make(seed)
            self.assertEqual(self.found(self.watch(text, *options), 2), expected, seed)

    def test_by_stack(self):
        self.check()

    def test_by_line(self):
        self.check("--lines", "--no-recycled")

    def test_in_a_thread_while_others_wait(self):
        text, expected = self.make(77)
        work = "".join(f"    {line}\n" for line in text.splitlines())
        run = self.watch("import threading\n"
                         "def start():\n"
                         "    one = threading.Thread(target=work)\n"
                         "    one.start()\n"
                         "    one.join()\n"
                         "def work():\n"
                         "    global slots\n" + work + "start()\n")
        found = {line - 7: row for line, row in self.found(run, 9).items()}
        found.pop(self.LINES + 2, None)  # start() itself
        self.assertEqual(found, expected)
