"""How long work tells how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Called now and then by long work."""

    def __call__(self, stage: str, fraction: float) -> None:
        """`stage` in a few words; `fraction` of it that is done, 0 to 1."""
        ...


def silent(stage: str, fraction: float) -> None:
    """For those who do not want to know."""
