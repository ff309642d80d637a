"""The command line itself: its name, its help, and how it says that something went wrong."""

import logging
import sys
import warnings

import typer

from blurryscope.basics.errors import BlurryScopeError
from blurryscope.basics.her2 import RESEARCH_USE_ONLY

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=f"From the film of a moving stage to a HER2 report. {RESEARCH_USE_ONLY}",
)


def run_app() -> None:
    """Run the command line; whatever a user can put right becomes one line and exit code 2."""
    _silence_libraries()
    try:
        code = app(standalone_mode=False)
    except BlurryScopeError as error:
        _fail(str(error))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}. Check the path, the space and the rights there.")
    except MemoryError:
        _fail("there is not enough memory. Close other programs and run the same command again.")
    except (typer.Abort, KeyboardInterrupt):
        _fail(_STOPPED)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise  # a fault of the program: whoever reports it needs all of it
        _fail_usage(error)
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
    logging.getLogger().addHandler(logging.NullHandler())


def _fail(message: str) -> None:
    print(f"blurryscope: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def _fail_usage(error: Exception) -> None:
    """Say an error of the argument parser in one line, with its own wording."""
    command = getattr(getattr(error, "ctx", None), "command_path", "blurryscope")
    problem = str(error.format_message()) if hasattr(error, "format_message") else str(error)
    if "\n" in problem.strip():  # no arguments at all: the parser hands over the whole help
        print(problem, file=sys.stderr)
        sys.exit(2)
    _fail(f"{problem.rstrip('.')}. See {command} --help.")
