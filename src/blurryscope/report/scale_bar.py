"""The bar that says how large a picture's tissue is."""

from dataclasses import dataclass

_LENGTHS_UM = (5000.0, 2000.0, 1000.0, 500.0, 200.0, 100.0, 50.0, 20.0)
_LONGEST = 22.0
"""Percent of the picture's width: it stays in a corner, beside the round core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleBar:
    """A bar over a picture, or under it."""

    label: str
    length: float
    """In percent of the picture's width."""


def scale_bar(width_um: float | None) -> ScaleBar | None:
    """The longest round bar that has room in a picture so wide; None where that is unknown."""
    if width_um is None:
        return None
    fitting = (length for length in _LENGTHS_UM if 100 * length / width_um <= _LONGEST)
    length_um = next(fitting, None)
    if length_um is None:
        return None
    label = f"{length_um / 1000:.0f} mm" if length_um >= 1000 else f"{length_um:.0f} µm"
    return ScaleBar(label=label, length=100 * length_um / width_um)
