"""The command line: the same verbs as the window, without the skin.

Results go to standard output, progress and errors to standard error. Exit codes: 0 done, 1 an
unexpected error (one line and the path of a log), 2 bad input or usage (one line), 130 stopped by
the user. Importing this package imports neither torch nor Qt.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line with the arguments of this process, and exit."""
    from cryoscope.cli.entry import run

    sys.exit(run(sys.argv[1:]))
