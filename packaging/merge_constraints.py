"""Writes constraints.txt from one resolution report of pip per Python version.

For each of Python 3.11, 3.12 and 3.13 (how: CONTRIBUTING.md), ask pip what it would install::

    python3.X -m pip install --dry-run --ignore-installed --report 3.X.json REQUIREMENTS

and merge: ``python packaging/merge_constraints.py 3.11.json 3.12.json 3.13.json``.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

HEADER = """\
# The versions that were tested together. Made by packaging/merge_constraints.py.
"""
# PyTorch names the exact versions of these itself, and only where it wants them.
LEFT_TO_PYTORCH = ("cuda-", "nvidia-", "triton")


def pins_of(report: Path) -> tuple[str, dict[str, str]]:
    """Python version of a report and the version of every package in it."""
    content = json.loads(report.read_text("utf-8"))
    pins = {}
    for item in content["install"]:
        name = item["metadata"]["name"].lower().replace("_", "-").replace(".", "-")
        if not name.startswith(LEFT_TO_PYTORCH) and name != "cryoscope":
            pins[name] = item["metadata"]["version"].partition("+")[0]
    return content["environment"]["python_version"], pins


def merged(reports: dict[str, dict[str, str]]) -> list[str]:
    """Lines of a constraints file; markers where the Python versions differ."""
    lines = []
    for name in sorted(set().union(*reports.values())):
        pythons = defaultdict(list)
        for python, pins in sorted(reports.items()):
            if name in pins:
                pythons[pins[name]].append(python)
        for version, where in pythons.items():
            line = f"{name}=={version}"
            if len(pythons) > 1:
                line += "; " + " or ".join(f"python_version == '{python}'" for python in where)
            lines.append(line)
    return lines


if __name__ == "__main__":
    found = dict(pins_of(Path(name)) for name in sys.argv[1:])
    text = HEADER + "\n".join(merged(found)) + "\n"
    (Path(__file__).parent / "constraints.txt").write_text(text, encoding="utf-8")
