# SPDX-License-Identifier: MIT
"""Nothing: what it costs to start the interpreter, with a few modules, and to end."""
import json
import sys

print(json.dumps(sys.argv[1:]))
