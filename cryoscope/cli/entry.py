"""All commands, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from cryoscope import __version__
from cryoscope.cli import (
    analyze,
    ask,
    bench,
    control,
    convert,
    decode,
    demo,
    doctor,
    landscape,
    reconstruct,
    results,
    simulate,
    train,
    window,
)
from cryoscope.data import InputError

DONE, UNEXPECTED, BAD_INPUT, STOPPED = 0, 1, 2, 130

# Typer may carry its own copy of click; this is its base class of errors of usage.
_USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]
_ABOUT = """Explore heterogeneity in cryo-EM data while the network trains.

`cryoscope FILES...` opens particles (.star), atomic models (.pdb, .cif), maps (.mrc) or a run
folder in the window. Start with `cryoscope demo`."""

app = typer.Typer(
    name="cryoscope",
    help=_ABOUT,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from cryoscope.session.versions import versions

        (_, own), *others = versions()
        print(f"cryoscope {own}")
        print(", ".join(f"{name} {number}" for name, number in others))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Options of the program itself."""


for module in (
    window,
    demo,
    simulate,
    train,
    ask,
    results,
    decode,
    analyze,
    landscape,
    reconstruct,
    convert,
    control,
    bench,
    doctor,
):
    module.add_to(app)
COMMANDS = tuple(str(command.name) for command in app.registered_commands)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code; never raises, never prints a traceback.

    Parameters
    ----------
    arguments
        What follows ``cryoscope``. Without a command they are files for the window.
    """
    words = list(arguments)
    if not words or words[0] not in (*COMMANDS, "--help", "-h", "--version"):
        words.insert(0, "view")
    try:
        command: Any = get_command(app)
        result = command.main(args=words, prog_name="cryoscope", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else DONE
    except InputError as error:
        return _say(str(error), BAD_INPUT)
    except _USAGE_ERROR as error:
        return _say(_usage(error, words), BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        return _say("stopped", STOPPED)
    except BrokenPipeError:
        # Whoever read the output has closed it. Python must not try to flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        return _say(_unexpected(error), UNEXPECTED)


def _say(line: str, code: int) -> int:
    print(f"cryoscope: {' '.join(line.split())}", file=sys.stderr)
    return code


def _usage(error: Any, words: list[str]) -> str:
    """An error of usage in one line, with where to read on."""
    known = words[0] in COMMANDS
    where = f"cryoscope {words[0]} --help" if known and words[0] != "view" else "cryoscope --help"
    return f"{str(error.format_message()).rstrip('. ')}. `{where}` explains."


def _unexpected(error: Exception) -> str:
    """One line about an unexpected error; the traceback goes to a log file."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    line = f"unexpected error: {type(error).__name__}: {error}"
    try:
        handle, name = tempfile.mkstemp(prefix=f"cryoscope-{stamp}-", suffix=".log", text=True)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"cryoscope {__version__}, Python {sys.version}, {sys.platform}\n")
            file.write(f"cryoscope {' '.join(sys.argv[1:])}\n\n")
            file.write("".join(traceback.format_exception(error)))
    except OSError as problem:
        return f"{line} (no log could be written: {problem.strerror})"
    return f"{line}. Please report it with this log: {Path(name)}"
