"""Whether neighbouring lanes show the same where they overlap: pixels tell what links cannot.

Lanes may hang together by one core and be torn at the next. Links say nothing of that, since none
is found where both do not show the same; the rows that two lanes share do.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey, Rgb

_WINDOW_PX = 128
"""Length of what is compared at once; this and all below in pixels of the small pictures."""
_LEAST_ROWS = 12
_KNOWN_FRACTION = 0.95
_TOLERANCE_PX = 2
"""Lanes that lie this near to where they should count as whole: blur hides it."""
_LEAST_DETAIL = 0.015
"""Standard deviation of density over a window; less may be dirt, or what shading leaves."""
_LEAST_AGREEMENT = 0.4
"""Correlation of densities. Over the scans of the tests' kinds lanes that lie within 3 px of the
truth reach 0.65 to 1, lanes that are 10 px and more apart mostly -0.5 to 0.4."""


_LEAST_DIFFERING_PX = 1500
"""Of the mosaic. Over glass that lanes are joined across by turns alone one speck of dust, shown
twice, differs by 300 to 1,000; tissue that does not fit by thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TornSeam:
    """A stretch in which two lanes show different things in the rows that they share."""

    lane: int
    """The lower of both."""
    x_from_px: int
    x_to_px: int
    """In the mosaic, excluded."""
    agreement: float
    """Correlation of what both show, -1 to 1: the least of the stretch."""
    differing_px: int
    """Area where the density of one differs from that of the other, in pixels of the mosaic."""


class SharedRows:
    """What a lane and those above it show in the rows that they share; green only, and small.

    Parameters
    ----------
    top
        First shared row of the mosaic.
    size
        (rows, columns) in pixels of the mosaic.
    step
        Every so many pixels one is kept.
    """

    def __init__(self, top: int, size: tuple[int, int], step: int) -> None:
        self._top, self._step = top, step
        small = (size[0] // step + 1, size[1] // step + 1)
        self._above = np.zeros(small, np.uint8)
        self._here = np.zeros(small, np.uint8)

    def note(
        self, above: Rgb, here: Rgb, inside: NDArray[np.uint8], corner: tuple[int, int]
    ) -> None:
        """Keep what lies in the mosaic, and the part of a frame that is to be laid there.

        `inside` is 1 where the frame covers it; `corner` is (row, col) in the mosaic.
        """
        step = self._step
        rows = slice((self._top - corner[0]) % step, None, step)
        if corner[0] < self._top:
            rows = slice(self._top - corner[0], None, step)
        columns = slice(-corner[1] % step, None, step)
        first = (corner[0] + rows.start - self._top) // step
        left = (corner[1] + columns.start) // step
        room = np.array(self._above.shape) - (first, left)
        shown = inside[rows, columns]
        box = tuple(slice(0, max(int(n), 0)) for n in np.minimum(room, shown.shape))
        if not shown[box].size:
            return
        kept_above, kept_here = (kept[first:, left:][box] for kept in (self._above, self._here))
        # Where frames of this lane fade into each other, the mosaic shows this lane already.
        is_first = (kept_here == 0).view(np.uint8)
        cv2.copyTo(above[rows, columns, 1][box].copy(), is_first, kept_above)
        cv2.copyTo(here[rows, columns, 1][box].copy(), shown[box].copy(), kept_here)

    def torn(self, lane: int) -> list[TornSeam]:
        """Find where both views do not agree; stretches that touch are one."""
        above, here = _density(self._above), _density(self._here)
        known = np.isfinite(above) & np.isfinite(here)
        bad: list[TornSeam] = []
        for left in range(0, max(above.shape[1] - _WINDOW_PX, 0) + 1, _WINDOW_PX // 2):
            columns = slice(left, left + _WINDOW_PX)
            rows = np.flatnonzero(known[:, columns].mean(axis=1) > _KNOWN_FRACTION)
            if len(rows) < _LEAST_ROWS:
                continue
            box = slice(int(rows[0]), int(rows[-1]) + 1), columns
            agreement = _agreement(above[box], here[box])
            if agreement is None or agreement >= _LEAST_AGREEMENT:
                continue
            known_until = bad[-1].x_to_px // self._step - left if bad else 0
            differs = _differs(above[box], here[box])[:, max(known_until, 0) :]
            seam = TornSeam(
                lane=lane,
                x_from_px=left * self._step,
                x_to_px=columns.stop * self._step,
                agreement=agreement,
                differing_px=int(differs.sum()) * self._step**2,
            )
            _add(bad, seam)
        return [seam for seam in bad if seam.differing_px >= _LEAST_DIFFERING_PX]


def _add(bad: list[TornSeam], seam: TornSeam) -> None:
    """Add a window, joined to the last one if they touch; no area is in both."""
    if bad and bad[-1].x_to_px >= seam.x_from_px:
        last = bad.pop()
        seam = replace(
            seam,
            x_from_px=last.x_from_px,
            agreement=min(last.agreement, seam.agreement),
            differing_px=last.differing_px + seam.differing_px,
        )
    bad.append(seam)


def _density(levels: NDArray[np.uint8]) -> Grey:
    """Natural-log density with noise evened out a little; NaN where nothing was scanned."""
    is_known = levels > 0
    count = cv2.blur(is_known.astype(np.float32), (3, 3))
    total = cv2.blur(cv2.LUT(levels, _DENSITY_OF_LEVEL), (3, 3))
    even = np.divide(total, count, out=np.full_like(total, np.nan), where=is_known)
    return np.asarray(even, np.float32)


_DENSITY_OF_LEVEL = -np.log(np.maximum(np.arange(256, dtype=np.float32), 1))
"""0, which means unscanned, adds nothing to a mean."""


def _agreement(above: Grey, here: Grey) -> float | None:
    """Best correlation within the tolerance; None where both show nothing."""
    # Most windows are glass. Filled with its median a picture strays no more than it did.
    if max(_spread_of_known(above), _spread_of_known(here)) < _LEAST_DETAIL:
        return None
    above, here = _filled(above), _filled(here)
    if max(_spread(above), _spread(here)) < _LEAST_DETAIL:
        return None
    inner = here[_TOLERANCE_PX:-_TOLERANCE_PX, _TOLERANCE_PX:-_TOLERANCE_PX]
    if min(_spread(above), _spread(inner)) < 1e-4:
        return 0.0
    found = cv2.matchTemplate(above, inner, cv2.TM_CCOEFF_NORMED)
    return float(found.max())


def _differs(above: Grey, here: Grey) -> NDArray[np.bool_]:
    """Where the two views differ by more than the richer one strays: light differs by less."""
    apart = np.abs(above - here)
    strays = max(_spread(_filled(above)), _spread(_filled(here)), _LEAST_DETAIL)
    return np.asarray(np.nan_to_num(apart) > strays)


def _spread(picture: Grey) -> float:
    """Standard deviation, a quarter of the time that NumPy takes."""
    return float(cv2.meanStdDev(picture)[1].item())


def _spread_of_known(density: Grey) -> float:
    """The same, of what was scanned."""
    is_known = np.isfinite(density).view(np.uint8)
    return float(cv2.meanStdDev(density, mask=is_known)[1].item())


def _filled(density: Grey) -> Grey:
    """With the median where nothing was scanned."""
    is_known = np.isfinite(density)
    if is_known.all():
        return density
    return np.where(is_known, density, np.median(density[is_known])).astype(np.float32)
