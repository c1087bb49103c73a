# SPDX-License-Identifier: MIT
"""Programs whose memory is known by arithmetic are accounted for to the byte."""
import harness


class Arithmetic(harness.Case):
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

    def test_what_is_dropped_is_not_live_but_in_the_total(self):
        run = self.watch("for number in range(100):\n"
                         "    bytes(5000)\n")
        row = run.line(2, "--live")
        self.assertEqual((row["live_bytes"], row["live_blocks"]), (0, 0))
        # Each call also packs its argument into a tuple: up to 3.13 of 48 bytes, then with
        # its hash of 56.
        packed = 48 if harness.version() < (3, 14) else 56
        self.assertEqual((row["total_bytes"], row["total_blocks"]), (100 * (5033 + packed), 200))
