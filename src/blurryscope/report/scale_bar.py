"""The bar that says how large a picture's tissue is."""

from dataclasses import dataclass

from blurryscope.report.pictures import EmbeddedPicture

_LENGTHS_UM = (1000.0, 500.0, 200.0, 100.0, 50.0, 20.0)
_LONGEST = 22.0
"""Percent of the picture's width: it stays in a corner, beside the round core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleBar:
    """A bar over a picture."""

    label: str
    length: float
    """In percent of the picture's width."""


def scale_bar(picture: EmbeddedPicture | None, pixel_size_um: float | None) -> ScaleBar | None:
    """The longest round bar that has room; None without a picture, or where its scale is unknown.

    `pixel_size_um` is that of the picture before it was made smaller.
    """
    if picture is None or pixel_size_um is None:
        return None
    width_um = picture.stored_width_px * pixel_size_um
    fitting = (length for length in _LENGTHS_UM if 100 * length / width_um <= _LONGEST)
    length_um = next(fitting, None)
    if length_um is None:
        return None
    return ScaleBar(label=f"{length_um:.0f} µm", length=100 * length_um / width_um)
