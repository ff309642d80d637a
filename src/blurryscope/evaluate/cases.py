"""What metrics are computed from: one row a core, its scans fused."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.labelled_table import LabelledTable
from blurryscope.basics.fusing import log_average


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """Parallel arrays, one entry a core."""

    keys: NDArray[np.str_]
    slides: NDArray[np.str_]
    patients: NDArray[np.str_]
    """What is drawn together in the bootstrap; the core itself where patients are not known."""
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    """(core, class)."""
    parts: NDArray[np.str_]
    repeat_counts: NDArray[np.int64]
    quality: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Mean over the core's scans."""

    @property
    def count(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        return int(self.probabilities.shape[1])

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class, the lower one where two are equal."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def confidence(self) -> NDArray[np.float64]:
        """The highest class probability."""
        highest: NDArray[np.float64] = self.probabilities.max(axis=1)
        return highest

    @property
    def right(self) -> NDArray[np.bool_]:
        hits: NDArray[np.bool_] = self.predicted == self.labels
        return hits

    def chosen(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Cases":
        """The chosen cores, in the order given; rows may come several times."""
        return replace(
            self,
            keys=self.keys[rows],
            slides=self.slides[rows],
            patients=self.patients[rows],
            labels=self.labels[rows],
            probabilities=self.probabilities[rows],
            parts=self.parts[rows],
            repeat_counts=self.repeat_counts[rows],
            quality={name: values[rows] for name, values in self.quality.items()},
        )

    def with_probabilities(self, probabilities: NDArray[np.float64]) -> "Cases":
        """The same cores, answered otherwise."""
        return replace(self, probabilities=probabilities)

    def two_class(self) -> "Cases":
        """Negative (0, 1+) against positive (2+, 3+); probabilities are summed."""
        if self.classes == 2:
            return self
        positive = self.probabilities[:, 2:].sum(axis=1)
        return replace(
            self,
            labels=(self.labels >= 2).astype(np.int64),
            probabilities=np.stack([1.0 - positive, positive], axis=1),
        )


def fused_cases(table: LabelledTable) -> Cases:
    """One row a core: mean log-probability of its scans, normed. A single scan stays as it is."""
    keys, first, owner = np.unique(table.core_keys, return_index=True, return_inverse=True)
    scans = rows_by_owner(owner, len(keys))
    patients = table.patients[first] if table.knows_patients else keys
    return Cases(
        keys=keys,
        slides=table.slides[first],
        patients=patients,
        labels=table.labels[first],
        probabilities=np.array([log_average(table.probabilities[rows]) for rows in scans]),
        parts=table.parts[first],
        repeat_counts=np.array([len(rows) for rows in scans], np.int64),
        quality={
            name: np.array([values[rows].mean() for rows in scans])
            for name, values in table.quality.items()
        },
    )


def rows_by_owner(owner: NDArray[np.intp], count: int) -> Sequence[NDArray[np.intp]]:
    """For each of `count` owners the rows that are its own."""
    order = np.argsort(owner, kind="stable")
    return np.split(order, np.searchsorted(owner[order], np.arange(1, count)))
