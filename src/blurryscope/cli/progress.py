"""Progress on the terminal, or as lines in a log."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from blurryscope.basics.progress import Progress, silent

_MOST_ROWS = 16
"""On a terminal; more would push the newest out of sight."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a person sees what goes on; a `Progress` itself."""

    progress: Progress
    say: Callable[[str], None]
    """Shows one line that stays."""

    def __call__(self, stage: str, fraction: float) -> None:
        self.progress(stage, fraction)


@contextmanager
def shown_progress(quiet: bool) -> Iterator[Screen]:
    """Bars on a terminal; elsewhere, such as in a log, a line a stage."""
    if quiet:
        yield Screen(silent, _unsaid)
    elif sys.stderr.isatty():
        with _bars() as screen:
            yield screen
    else:
        yield Screen(_lines(), _print_at_once)


def _unsaid(words: str) -> None:
    """For those who do not want to know."""


def _print_at_once(words: str) -> None:
    print(words, flush=True)


@contextmanager
def _bars() -> Iterator[Screen]:
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

        # Above the bars, where lines stay.
        yield Screen(report, lambda words: bars.console.print(words, highlight=False, markup=False))


def _lines() -> Progress:
    """Standard error is left to errors, so that a log holds exactly one line of them."""
    told: set[str] = set()

    def report(stage: str, fraction: float) -> None:  # noqa: ARG001 - the contract's
        if stage not in told:
            told.add(stage)
            print(f"{stage} …", flush=True)

    return report
