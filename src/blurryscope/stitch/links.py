"""Pairs of points, in two frames, that show the same spot of the slide."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERFECT_CORRELATION = 0.97
"""Links that correlate better than this are no more exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """n links as columns. Points are (row, col) in camera pixels from the centre of the field."""

    earlier: NDArray[np.int64]
    """Frame index, (n,)."""
    later: NDArray[np.int64]
    point_earlier: NDArray[np.float64]
    """(n, 2)."""
    point_later: NDArray[np.float64]
    correlation: NDArray[np.float64]
    """0 to 1, (n,)."""

    def __len__(self) -> int:
        return len(self.earlier)

    def only(self, chosen: NDArray[np.bool_]) -> "Links":
        """The links where `chosen` is true."""
        return Links(
            earlier=self.earlier[chosen],
            later=self.later[chosen],
            point_earlier=self.point_earlier[chosen],
            point_later=self.point_later[chosen],
            correlation=self.correlation[chosen],
        )


Link = tuple[int, int, tuple[float, float], tuple[float, float], float]
"""Earlier frame, later frame, point in each, correlation."""


def gathered(links: Iterable[Link]) -> Links:
    """Put single links together."""
    rows = list(links)
    return Links(
        earlier=np.array([row[0] for row in rows], np.int64),
        later=np.array([row[1] for row in rows], np.int64),
        point_earlier=np.array([row[2] for row in rows], np.float64).reshape(-1, 2),
        point_later=np.array([row[3] for row in rows], np.float64).reshape(-1, 2),
        correlation=np.array([row[4] for row in rows], np.float64),
    )


def joined(*parts: Links) -> Links:
    """All links of several collections, in order."""
    return Links(
        earlier=np.concatenate([part.earlier for part in parts]),
        later=np.concatenate([part.later for part in parts]),
        point_earlier=np.concatenate([part.point_earlier for part in parts]),
        point_later=np.concatenate([part.point_later for part in parts]),
        correlation=np.concatenate([part.correlation for part in parts]),
    )
