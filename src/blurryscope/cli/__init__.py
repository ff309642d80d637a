"""One command per verb: parses, calls, prints. Exit code 0, or 2 with one line that says why.

Every module beside this one that holds commands is imported here, which registers them.
"""

from blurryscope.cli import datasets, edits, evaluation, looking, maps, scanning, slides, training
from blurryscope.cli.app import app, run_app

__all__ = [
    "app",
    "datasets",
    "edits",
    "evaluation",
    "looking",
    "main",
    "maps",
    "scanning",
    "slides",
    "training",
]


def main() -> None:
    """Run the command line; whatever a user can put right becomes one line and exit code 2."""
    run_app()
