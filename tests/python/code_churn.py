# SPDX-License-Identifier: MIT
"""A program whose code objects come and go, each likely to lie where one lay before.

Each keeps a bit; what it keeps must be its own in the report.
"""
FILES = 1000
PROGRAM = f"""
def make(n):
    text = "\\n" * (n % 50) + "def made(keep):\\n    for i in range(3): keep.append(bytes(3000))\\n"
    space = {{}}
    exec(compile(text, "made%04d.py" % n, "exec"), space)
    space["made"](keep)
keep = []
for n in range({FILES}): make(n)
print(len(keep))
"""
OUTPUT = f"{3 * FILES}\n"


def claim_true(case, run):
    """Assert it of a harness.Run of PROGRAM."""
    rows = {row["file"]: row for row in run.report("--live", "--by", "line")["rows"]
            if (row["file"] or "").startswith("made") and row["live_bytes"] >= 9000}
    case.assertEqual(len(rows), FILES)
    for n in range(FILES):
        row = rows[f"made{n:04}.py"]
        case.assertEqual((row["line"], row["live_blocks"] // 3), (n % 50 + 2, 1), row)
