"""The picture of the documentation: an authentic simulated slide, stitched, beside itself at rest.

    python benchmarks/draw_stitching.py docs/images/stitching-authentic.jpg

Above the whole slide, below one core: at rest, as stitched, and with the motion blur undone.
"""

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np

from blurryscope.artifacts.frame_places import read_frame_places
from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.recording import read_recording
from blurryscope.basics.image import Rgb, is_unscanned
from blurryscope.evaluate.placement import RigidFit, read_truth, slide_fit
from blurryscope.simulator.presets import AUTHENTIC
from blurryscope.simulator.scan import SimulatedScan, simulate_scan
from blurryscope.simulator.slide import SlideDesign
from blurryscope.stitch.deblur import deblur_slide
from blurryscope.stitch.film import stitch_film

_DESIGN = SlideDesign(
    name="DOCS", rows=2, columns=3, core_diameter_um=1000, pitch_um=1400, margin_um=1000, seed=5
)
_SHOWN = 3
"""The core of the lower row, counted along the map."""
_WIDTH_PX, _GAP_PX, _QUALITY = 1500, 12, 82


def main() -> None:
    """Simulate, stitch, and put the pictures side by side."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scan = simulate_scan(folder, design=_DESIGN, settings=AUTHENTIC, seed=4)
        stitch_film(scan.video, folder / "slide", recording=read_recording(scan.recording))
        deblurred = Mosaic(deblur_slide(folder / "slide"))
        page = _page(scan, folder / "slide", deblurred)
    cv2.imwrite(str(given.out), page[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])


def _page(scan: SimulatedScan, slide_dir: Path, deblurred: Mosaic) -> Rgb:
    mosaic = Mosaic(slide_dir / "mosaic.ome.zarr")
    truth = read_truth(scan.truth)
    fit = slide_fit(read_frame_places(slide_dir / "frames.csv"), truth)
    x, y = fit.apply(truth.cores[_SHOWN].centre_px)
    side = round(0.62 * truth.core_diameter_px)
    corner = (round(float(y)) - side // 2, round(float(x)) - side // 2)
    at_rest = _laid_on_mosaic(scan.slide_picture, fit, mosaic.size_px)
    whole = [at_rest, mosaic.read_level(0)]
    rest_core = at_rest[corner[0] : corner[0] + side, corner[1] : corner[1] + side]
    cores = [rest_core, *(layer.read(*corner, (side, side)) for layer in (mosaic, deblurred))]
    return np.concatenate([_row(whole), _row(cores)])


def _laid_on_mosaic(picture: Path, fit: RigidFit, size_px: tuple[int, int]) -> Rgb:
    """The slide at rest in the mosaic's pixels; its own pixels have their centres at i + 0.5."""
    stored = cv2.imread(str(picture), cv2.IMREAD_COLOR)
    if stored is None:
        raise SystemExit(f"{picture} cannot be read")
    origin = fit.apply(np.array([0.5, 0.5]))
    along = fit.apply(np.array([1.5, 0.5])) - origin
    down = fit.apply(np.array([0.5, 1.5])) - origin
    affine = np.column_stack([along, down, origin])
    laid = cv2.warpAffine(stored, affine, size_px[::-1], borderValue=(255, 255, 255))
    return np.asarray(laid[:, :, ::-1], np.uint8)


def _row(pictures: list[Rgb]) -> Rgb:
    """Side by side over the page's width, unscanned white, a gap below and between."""
    width = (_WIDTH_PX - _GAP_PX * (len(pictures) - 1)) // len(pictures)
    parts = []
    for number, picture in enumerate(pictures):
        paper = np.where(is_unscanned(picture)[:, :, None], np.uint8(255), picture)
        height = round(paper.shape[0] * width / paper.shape[1])
        small = cv2.resize(paper, (width, height), interpolation=cv2.INTER_AREA)
        left = 0 if number == 0 else _GAP_PX
        parts.append(np.pad(small, ((0, _GAP_PX), (left, 0), (0, 0)), constant_values=255))
    row = np.concatenate(parts, axis=1)
    right = _WIDTH_PX - row.shape[1]
    return np.asarray(np.pad(row, ((0, 0), (0, right), (0, 0)), constant_values=255), np.uint8)


if __name__ == "__main__":
    main()
