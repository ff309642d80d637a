"""A test kit for those who build on this package: a clock that runs by hand, small pictures."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import cv2
import numpy as np

from blurryscope.basics.image import Rgb, to_uint8


@dataclass(slots=True)
class FakeClock:
    """A `Clock` that stands still until told to `advance`, or until somebody sleeps."""

    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    _elapsed_s: float = field(default=0.0, init=False)

    def advance(self, by_s: float) -> None:
        """Let time pass; it never runs backwards."""
        if by_s < 0:
            raise ValueError(f"by_s must not be negative, got {by_s}")
        self._elapsed_s += by_s

    def monotonic_s(self) -> float:
        return self._elapsed_s

    def utc_now(self) -> datetime:
        return self.start + timedelta(seconds=self._elapsed_s)

    def sleep(self, for_s: float) -> None:
        """Let that time pass at once."""
        self.advance(max(for_s, 0.0))


def smooth_picture(rng: np.random.Generator, size_px: tuple[int, int], grain_px: int = 8) -> Rgb:
    """Soft blobs of random colour, about `grain_px` wide; no pixel is (0, 0, 0)."""
    rows, columns = size_px
    coarse = rng.uniform(20, 250, (-(-rows // grain_px) + 1, -(-columns // grain_px) + 1, 3))
    smooth = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return to_uint8(np.asarray(smooth))
