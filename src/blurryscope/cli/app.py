"""The command line itself: its name, its help, and how it says that something went wrong."""

import io
import logging
import os
import sys
import warnings
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from blurryscope.basics.errors import BlurryScopeError
from blurryscope.basics.her2 import RESEARCH_USE_ONLY

_IN_ORDER_OF_USE = [
    *("demo", "run", "stitch", "cores", "score", "report", "edit", "map", "layout"),
    *("plan", "look", "calibrate", "scan", "simulate"),
    *("dataset", "train", "fit-limits", "predict", "evaluate", "model"),
]
"""A slide, the microscope, training: how the help lists them."""


class WholeSentences(TyperGroup):
    """Commands whose first sentences are listed whole, over several lines; not cut off."""

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        told = [(name, command.get_short_help_str(limit=400)) for name, command in found if command]
        with formatter.section("Commands"):
            formatter.write_dl(told)


class _InOrderOfUse(WholeSentences):
    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return sorted(super().list_commands(ctx), key=_IN_ORDER_OF_USE.index)


app = typer.Typer(
    cls=_InOrderOfUse,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=f"From the film of a moving stage to a HER2 report. {RESEARCH_USE_ONLY}",
)


def run_app() -> None:
    """Run the command line; whatever a user can put right becomes one line and exit code 2."""
    _silence_libraries()
    _print_in_any_alphabet()
    try:
        code = app(standalone_mode=False)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except (Exception, KeyboardInterrupt) as error:
        _fail_by(error)
        raise  # a fault of the program: whoever reports it needs all of it
    if code == _INTERRUPTED:
        _fail(_STOPPED)
    if code:
        sys.exit(code)


_INTERRUPTED = 130
"""What the parser makes of Ctrl-C while a command runs."""
_STOPPED = "stopped. Run the same command again to go on."


def _silence_libraries() -> None:
    """Keep warnings and log lines of libraries from the terminal: what matters we say ourselves."""
    warnings.simplefilter("ignore")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    logging.getLogger().addHandler(logging.NullHandler())


def _print_in_any_alphabet() -> None:
    """Spell out signs that standard output lacks: Windows writes a log in its own few."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error does anyway


def _fail_by(error: BaseException) -> None:
    """End with the line for this error, if it is one that a user can put right."""
    match error:
        case BlurryScopeError():
            _fail(str(error))
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            why = error.strerror or error
            _fail(f"{place}{why}. Check the path, the space and the rights there.")
        case MemoryError():
            _fail(
                "there is not enough memory. Close other programs and run the same command again."
            )
        case typer.Abort() | KeyboardInterrupt():
            _fail(_STOPPED)
        case _ if hasattr(error, "format_message"):
            _fail_usage(error)


def _fail(message: str) -> NoReturn:
    # Line ends alone: names of files may hold several blanks.
    line = " ".join(part.strip() for part in message.splitlines() if part.strip())
    print(f"blurryscope: {line}", file=sys.stderr)
    sys.exit(2)


def _fail_usage(error: BaseException) -> NoReturn:
    """Say an error of the argument parser in one line, with its own wording."""
    command = getattr(getattr(error, "ctx", None), "command_path", "blurryscope")
    problem = str(error.format_message()) if hasattr(error, "format_message") else str(error)
    if "\n" in problem.strip():  # no arguments at all: the parser hands over the whole help
        print(problem, file=sys.stderr)
        sys.exit(2)
    _fail(f"{problem.rstrip('.')}. See {command} --help.")
