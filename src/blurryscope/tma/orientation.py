"""The eight ways to lay an array on a slide."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Orientation(StrEnum):
    """How the array lies in the scan: turned clockwise against the map, as seen."""

    AS_SCANNED = "as-scanned"
    """Row A at the top, column 1 at the left."""
    TURNED_90 = "turned-90"
    TURNED_180 = "turned-180"
    TURNED_270 = "turned-270"
    MIRRORED = "mirrored"
    """Column 1 at the right, row A at the top; then the turns of that."""
    MIRRORED_90 = "mirrored-90"
    MIRRORED_180 = "mirrored-180"
    MIRRORED_270 = "mirrored-270"

    @property
    def is_mirrored(self) -> bool:
        return self.value.startswith("mirrored")

    @property
    def quarter_turns(self) -> int:
        """Clockwise."""
        digits = self.value.rpartition("-")[2]
        return int(digits) // 90 if digits.isdigit() else 0

    @property
    def swaps_axes(self) -> bool:
        """Whether the map's rows run down the scan."""
        return self.quarter_turns % 2 == 1

    def turned(self, quarter_turns: int) -> "Orientation":
        """The same turned on, clockwise."""
        turns = (self.quarter_turns + quarter_turns) % 4
        first = "mirrored" if self.is_mirrored else "turned"
        return Orientation(f"{first}-{90 * turns}" if turns else _UNTURNED[self.is_mirrored])

    def laid(self, places: NDArray[np.generic]) -> NDArray[np.generic]:
        """Turn a (rows, columns) table of the map into the one that the scan shows."""
        mirrored = np.fliplr(places) if self.is_mirrored else places
        return np.rot90(mirrored, -self.quarter_turns)


_UNTURNED = {False: "as-scanned", True: "mirrored"}
