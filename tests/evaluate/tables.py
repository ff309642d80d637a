"""Tables whose answers are known."""

from collections.abc import Sequence

import numpy as np

from blurryscope.artifacts.labelled_table import LabelledTable


def table_of(
    scans: Sequence[tuple[str, int, int, tuple[float, ...]]],
    *,
    parts: list[str] | None = None,
    slides: list[str] | None = None,
    patients: list[str] | None = None,
) -> LabelledTable:
    """From (core, repeat, label, probabilities), a row a scan."""
    count = len(scans)
    return LabelledTable(
        name="planted",
        slides=np.array(slides or ["S"] * count),
        patients=np.array(patients or [""] * count),
        cores=np.array([core for core, _, _, _ in scans]),
        repeats=np.array([repeat for _, repeat, _, _ in scans], np.int64),
        labels=np.array([label for _, _, label, _ in scans], np.int64),
        probabilities=np.array([probabilities for _, _, _, probabilities in scans]),
        parts=np.array(parts or [""] * count),
    )


def call(score: int, confidence: float) -> tuple[float, ...]:
    """Four probabilities whose highest is that of `score`."""
    rest = (1 - confidence) / 3
    return tuple(confidence if number == score else rest for number in range(4))
