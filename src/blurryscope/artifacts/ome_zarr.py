"""What an OME-Zarr 0.4 folder says of its picture: the multiscale attributes and the OME-XML."""

from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

_CHANNELS = (("Red", "FF0000"), ("Green", "00FF00"), ("Blue", "0000FF"))


def multiscale_attributes(name: str, level_count: int, pixel_size_um: float) -> dict[str, Any]:
    """Attributes of the group: axes (c, y, x), one dataset a level, each half the one before."""
    datasets = [
        {
            "path": str(number),
            "coordinateTransformations": [
                {
                    "type": "scale",
                    "scale": [1.0, pixel_size_um * 2**number, pixel_size_um * 2**number],
                }
            ],
        }
        for number in range(level_count)
    ]
    axes = [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    channels = [
        {"label": label, "color": colour, "active": True,
         "window": {"min": 0, "max": 255, "start": 0, "end": 255}}
        for label, colour in _CHANNELS
    ]  # fmt: skip
    return {
        "multiscales": [{"version": "0.4", "name": name, "axes": axes, "datasets": datasets}],
        "omero": {"name": name, "channels": channels, "rdefs": {"model": "color"}},
    }


def write_ome_xml(folder: Path, name: str, size_px: tuple[int, int], pixel_size_um: float) -> None:
    """Write `OME/METADATA.ome.xml`, where Bio-Formats and QuPath look for it."""
    rows, columns = size_px
    channels = "".join(
        f'<Channel ID="Channel:0:{number}" Name="{label}" '
        f'Color="{_signed_rgba(colour)}" SamplesPerPixel="1"/>'
        for number, (label, colour) in enumerate(_CHANNELS)
    )
    size = f'SizeX="{columns}" SizeY="{rows}" SizeC="3" SizeZ="1" SizeT="1"'
    physical = (
        f'PhysicalSizeX="{pixel_size_um:.9g}" PhysicalSizeXUnit="µm" '
        f'PhysicalSizeY="{pixel_size_um:.9g}" PhysicalSizeYUnit="µm"'
    )
    (folder / "OME").mkdir()
    (folder / "OME" / ".zgroup").write_text('{"zarr_format": 2}', encoding="utf-8")
    (folder / "OME" / "METADATA.ome.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0" Name={quoteattr(name)}>'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" {size} {physical}>'
        f"{channels}<MetadataOnly/></Pixels></Image></OME>\n",
        encoding="utf-8",
    )


def _signed_rgba(rgb_hex: str) -> int:
    """Opaque RGBA as the signed 32-bit number of the OME schema."""
    return int.from_bytes(bytes.fromhex(rgb_hex + "FF"), "big", signed=True)
