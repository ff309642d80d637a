"""Progress on the terminal, or as lines in a log."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from blurryscope.basics.progress import Progress, silent

_MOST_ROWS = 16
"""On a terminal; more would push the newest out of sight."""


@contextmanager
def shown_progress(quiet: bool) -> Iterator[Progress]:
    """Bars on a terminal; elsewhere, such as in a log, a line a stage."""
    if quiet:
        yield silent
    elif sys.stderr.isatty():
        with _bars() as progress:
            yield progress
    else:
        yield _lines()


@contextmanager
def _bars() -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description:<26}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, fraction: float) -> None:
            known = tasks.pop(stage, None)
            tasks[stage] = bars.add_task(stage, total=1.0) if known is None else known
            for silent_longest in [*tasks.values()][:-_MOST_ROWS]:
                bars.update(silent_longest, visible=False)
            bars.update(tasks[stage], completed=fraction, visible=True)

        yield report


def _lines() -> Progress:
    """Standard error is left to errors, so that a log holds exactly one line of them."""
    told: set[str] = set()

    def report(stage: str, fraction: float) -> None:  # noqa: ARG001 - the contract's
        if stage not in told:
            told.add(stage)
            print(f"{stage} …", flush=True)

    return report
