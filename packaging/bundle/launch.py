"""What the bundle starts: Cryoscope, or one of its own processes.

Cryoscope begins its worker, its simulation and its probes as ``python -m module``. In a bundle
there is no Python beside the program, so the program itself takes ``-m``.
"""

import multiprocessing
import runpy
import sys


def main() -> None:
    """Run what the arguments ask for."""
    multiprocessing.freeze_support()
    if len(sys.argv) > 2 and sys.argv[1] == "-m":
        module = sys.argv[2]
        if module.split(".")[0] != "cryoscope":
            raise SystemExit(f"cryoscope: this program is not a Python: it does not run {module}")
        del sys.argv[1:3]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    from cryoscope.cli import main as run

    run()


if __name__ == "__main__":
    main()
