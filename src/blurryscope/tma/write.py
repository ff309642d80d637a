"""What the cores stage leaves in a slide's folder: tables, a picture a core, an overview."""

from pathlib import Path

import cv2
import numpy as np

from blurryscope.artifacts.small_pictures import small_jpeg, small_picture_path
from blurryscope.artifacts.tissue_cores import (
    TissueCore,
    write_core_grid,
    write_tissue_cores,
)
from blurryscope.artifacts.whole import whole_folder
from blurryscope.basics.image import Rgb
from blurryscope.basics.side_by_side import side_by_side
from blurryscope.tma.candidates import draw_candidates
from blurryscope.tma.find import Dearrayed
from blurryscope.tma.overview import draw_overview
from blurryscope.tma.picture import SlidePicture, working_picture
from blurryscope.tma.white_balance import WhiteBalance

_CROP_DIAMETERS = 1.2
"""Width of a core's picture: some glass around shows that nothing was cut off."""


def write_cores(dearrayed: Dearrayed, picture: SlidePicture, out_dir: Path) -> None:
    """Write `cores/` (pictures, small ones, `overview.png`), `cores.json`, and last `cores.csv`.

    Where a person must choose a placement, `cores/candidates.png` shows what there is to choose.

    Each is there whole or not at all, so a `cores.csv` says that all the rest is there too.
    """
    shown = [core for core in dearrayed.cores if core.status.has_tissue]

    def coded(core: TissueCore) -> tuple[bytes, bytes]:
        rgb = core_picture(picture, core, dearrayed.white)
        return _png(rgb), small_jpeg(rgb)

    with whole_folder(out_dir / "cores") as folder:
        for core, (png, small) in zip(shown, side_by_side(coded, shown), strict=True):
            full = folder / f"{core.name}.png"
            full.write_bytes(png)
            small_picture_path(full).parent.mkdir(exist_ok=True)
            small_picture_path(full).write_bytes(small)
        working = working_picture(picture)
        (folder / "overview.png").write_bytes(_png(draw_overview(dearrayed, working)))
        choice = draw_candidates(dearrayed, working) if dearrayed.grid.needs_confirmation else None
        if choice is not None:
            (folder / "candidates.png").write_bytes(_png(choice))
    write_core_grid(out_dir / "cores.json", dearrayed.grid)
    write_tissue_cores(out_dir / "cores.csv", dearrayed.cores)


def core_picture(picture: SlidePicture, core: TissueCore, white: WhiteBalance) -> Rgb:
    """A core at full resolution with a rim of glass, white-balanced, (row, col, rgb) uint8."""
    side = 2 * int(_CROP_DIAMETERS * core.diameter_px / 2) + 1
    top, left = round(core.y_px) - side // 2, round(core.x_px) - side // 2
    return white.apply(picture.read(top, left, (side, side)))


def _png(rgb: Rgb) -> bytes:
    """Not by cv2.imwrite, which cannot write to all Windows paths."""
    encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1]
    return np.asarray(encoded).tobytes()
