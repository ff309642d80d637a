"""What may be said about an array beforehand; everything has a default that asks nothing."""

from dataclasses import dataclass

from blurryscope.artifacts.array_layout import Layout
from blurryscope.tma.orientation import Orientation


@dataclass(frozen=True, slots=True, kw_only=True)
class TmaSettings:
    """How cores are looked for and named."""

    core_diameter_um: float | None = None
    """Estimated from the slide where None."""
    orientation: Orientation | None = Orientation.AS_SCANNED
    """How the array lies in the scan; None weighs all four turns and lets the evidence choose."""
    layout: Layout | None = None
    """Blocks of rows and columns with gaps between them; None is one even grid."""
    may_be_mirrored: bool = False
    """Weigh mirrored arrays too, where `orientation` is None."""
    place: tuple[int, int] | None = None
    """A person's answer: names move by so many rows down and columns right against the best
    placement; (0, 0) confirms it. Nothing is asked then."""
    uses_stain: bool = True
    """Let brown stain against the map's scores choose among placements that are otherwise equal,
    and raise an alarm."""
    least_margin: float = 5.0
    """Nats by which the best placement must lead without the help of stain; 5 is odds of 150."""

    def __post_init__(self) -> None:
        if self.core_diameter_um is not None and self.core_diameter_um <= 0:
            raise ValueError(f"core_diameter_um must be positive, got {self.core_diameter_um}")
        if self.least_margin < 0:
            raise ValueError(f"least_margin must not be negative, got {self.least_margin}")
