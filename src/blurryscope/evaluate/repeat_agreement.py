"""Whether scans of one core agree, beside what chance alone would give.

A network that always says 0 agrees with itself perfectly. What chance gives is found by handing
every repeat's answers to other cores: the answers stay as frequent, and lose their cores.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.labelled_table import LabelledTable
from blurryscope.evaluate.calls import Calls, scan_calls, scans_by_core


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatAgreement:
    """Over cores that have at least two scans."""

    core_count: int
    scan_count: int
    consistency: float
    """The paper's figure: mean share of a core's scans that give its commonest class."""
    chance_consistency: float
    pairwise: float
    """Share of pairs of scans of one core that give the same class, cores counting alike."""
    chance_pairwise: float

    @property
    def kappa(self) -> float | None:
        """Pairwise agreement beyond chance, 1 is perfect; None where chance agrees always."""
        room = 1.0 - self.chance_pairwise
        return (self.pairwise - self.chance_pairwise) / room if room > 1e-12 else None


def repeat_agreement(
    table: LabelledTable, rng: np.random.Generator, shuffles: int
) -> RepeatAgreement | None:
    """Compare the scans of each core; None where no core has two."""
    calls = scan_calls(table)
    groups = [rows for rows in scans_by_core(calls) if len(rows) > 1]
    if not groups:
        return None
    rows = np.concatenate(groups)
    chance = np.array(
        [_agreements(_shuffled(calls, rows, rng), groups, calls.classes) for _ in range(shuffles)]
    )
    consistency, pairwise = _agreements(calls.called, groups, calls.classes)
    return RepeatAgreement(
        core_count=len(groups),
        scan_count=len(rows),
        consistency=consistency,
        chance_consistency=float(chance[:, 0].mean()),
        pairwise=pairwise,
        chance_pairwise=float(chance[:, 1].mean()),
    )


def _agreements(
    called: NDArray[np.int64], groups: Sequence[NDArray[np.intp]], classes: int
) -> tuple[float, float]:
    """Mean consistency by mode, mean agreement of pairs."""
    owner = np.repeat(np.arange(len(groups)), [len(rows) for rows in groups])
    cells = owner * classes + called[np.concatenate(groups)]
    counts = np.bincount(cells, minlength=len(groups) * classes).reshape(len(groups), classes)
    scans = counts.sum(axis=1)
    pairs = (counts * (counts - 1)).sum(axis=1) / (scans * (scans - 1))
    return float((counts.max(axis=1) / scans).mean()), float(pairs.mean())


def _shuffled(calls: Calls, rows: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.int64]:
    called = calls.called.copy()
    called[rows] = rng.permutation(called[rows])
    return called
