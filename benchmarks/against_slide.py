"""How far a scan's truth is from what its film shows, and a stitched slide from that.

    python benchmarks/against_slide.py SCAN [DIR]

SCAN is the folder of a simulated scan: `scan.mp4`, `truth.json`, and `slide.jpg`, the slide at
rest. Every frame that shows tissue is looked for in the slide at rest around the place that the
truth gives it, blurred and sheared as the truth says, by normalised correlation. Across the scan
nothing is blurred, and that tells to a tenth of a pixel where the frame truly lay; along it the
blur leaves a pixel or two, so there the truth stands. DIR is the stitched folder: its errors within
cores by the truth alone, and with the film's own word for the direction across.
"""

import argparse
import itertools
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.frame_places import read_frame_places
from blurryscope.basics.image import Grey
from blurryscope.evaluate.placement import Errors, Truth, measure_placement, read_truth

_GLASS = 238.0
"""Grey level of empty glass in a slide at rest, about: only detail is compared."""
_RIM_PX = 60
"""How far a frame may lie from its truth."""
_DETAIL_SIGMA_PX = 24.0
_LEAST_DETAIL = 0.01
_LEAST_CORRELATION = 0.8
_SHADING_EVERY = 12
_REACH_PX = 800
"""Of the piece of slide that is warped into a frame, around its centre."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A simulated scan and its slide at rest."""

    truth: Truth
    told: dict[str, Any]
    """The truth's file, for what the virtual camera was."""
    absorbance: Grey
    """Of the slide at rest."""
    frames: list[NDArray[np.uint8]]
    shading: Grey


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("scan", type=Path, help="a simulated scan's folder")
    parser.add_argument("folder", type=Path, nargs="?", help="the folder it was stitched into")
    given = parser.parse_args()
    scan = read_scan(given.scan)
    found = found_across_px(scan)
    spread = np.array(list(found.values())) - np.median(list(found.values()))
    print(
        f"{len(found)} frames found in the slide at rest; across the scan they lie off their "
        f"truth by {np.median(np.abs(spread)):.2f} px (median), "
        f"{np.percentile(np.abs(spread), 95):.2f} px (95 %)"
    )
    if given.folder is not None:
        _print_errors(scan.truth, found, given.folder)
    return 0


def read_scan(folder: Path) -> Scan:
    """Read film, truth and slide."""
    with av.open(str(folder / "scan.mp4")) as film:
        decoded = film.decode(video=0)
        frames = [np.asarray(frame.to_ndarray(format="gray"), np.uint8) for frame in decoded]
    slide = cv2.imread(str(folder / "slide.jpg"), cv2.IMREAD_GRAYSCALE)
    if slide is None:
        raise SystemExit(f"{folder / 'slide.jpg'}: cannot be read")
    return Scan(
        truth=read_truth(folder / "truth.json"),
        told=json.loads((folder / "truth.json").read_text(encoding="utf-8")),
        absorbance=_absorbance(np.asarray(slide, np.uint8), np.float32(_GLASS)),
        frames=frames,
        shading=np.median(frames[::_SHADING_EVERY], axis=0).astype(np.float32),
    )


def found_across_px(scan: Scan) -> dict[int, float]:
    """How far each frame that is found lies from its truth across the scan, slide pixels."""
    detail = {
        frame: _detail(_absorbance(scan.frames[frame], scan.shading))
        for frame in np.flatnonzero(scan.truth.lanes >= 0).tolist()
    }
    richest = max(detail, key=lambda frame: float(detail[frame].std()))
    turns = itertools.product((0.0, 90.0, 180.0, 270.0), (1.0, -1.0))
    angle_deg = scan.told["angle_deg"]
    turn_deg = max(
        (base + sign * angle_deg for base, sign in turns),
        key=lambda turn: _looked_for(scan, richest, detail[richest], turn)[0],
    )
    found = {}
    for frame, picture in detail.items():
        correlation, across_px = _looked_for(scan, frame, picture, turn_deg)
        if correlation > _LEAST_CORRELATION:
            found[frame] = across_px
    return found


def _looked_for(scan: Scan, frame: int, picture: Grey, turn_deg: float) -> tuple[float, float]:
    """Correlation of a frame with the slide at its place, and its way off across the scan, px."""
    expected, matrix = _expected(scan, frame, picture.shape, turn_deg)
    middle = _detail(expected)[_RIM_PX:-_RIM_PX, _RIM_PX:-_RIM_PX]
    if middle.std() < _LEAST_DETAIL:
        return 0.0, 0.0
    surface = cv2.matchTemplate(picture, middle, cv2.TM_CCOEFF_NORMED)
    _, correlation, _, (column, row) = cv2.minMaxLoc(surface)
    if not (0 < row < surface.shape[0] - 1 and 0 < column < surface.shape[1] - 1):
        return 0.0, 0.0
    moved = np.array(
        [
            column + _peak(surface[row, column - 1 : column + 2]) - _RIM_PX,
            row + _peak(surface[row - 1 : row + 2, column]) - _RIM_PX,
        ]
    )
    # What lies farther on in the frame than expected was filmed from farther back.
    return correlation, float(-(matrix @ moved)[1])


def _expected(
    scan: Scan, frame: int, shape: tuple[int, ...], turn_deg: float
) -> tuple[Grey, NDArray[np.float64]]:
    """The slide at rest as this frame should show it, and (x, y) of the slide by (column, row)."""
    told, (x_px, y_px) = scan.told, scan.truth.centres_px[frame]
    around = scan.truth.centres_px[[frame - 1, min(frame + 1, len(scan.frames) - 1)], 0]
    speed_px_per_s = float(np.diff(around)[0]) / 2 * told["fps"]
    angle = np.deg2rad(turn_deg)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix[0, 1] += speed_px_per_s * told["readout_s"] / shape[0]
    blur_px = max(round(abs(speed_px_per_s) * told["exposure_s"]), 1)
    left, top = max(int(x_px) - _REACH_PX, 0), max(int(y_px) - _REACH_PX, 0)
    piece = scan.absorbance[top : top + 2 * _REACH_PX, left : left + 2 * _REACH_PX]
    centre = (np.array(shape[1::-1]) - 1) / 2
    offset = np.array([x_px - left, y_px - top]) - matrix @ centre
    warped = cv2.warpAffine(
        cv2.blur(piece, (blur_px, 1)),
        np.column_stack([matrix, offset]),
        (shape[1], shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    return np.asarray(warped, np.float32), matrix


def _absorbance(picture: NDArray[np.uint8], white: Grey | np.float32) -> Grey:
    light = np.maximum(picture.astype(np.float32), 1) / np.maximum(white, 1)
    return np.asarray(-np.log(light), np.float32)


def _detail(picture: Grey) -> Grey:
    return np.asarray(picture - cv2.GaussianBlur(picture, (0, 0), _DETAIL_SIGMA_PX), np.float32)


def _peak(three: NDArray[Any]) -> float:
    """Where a parabola through three neighbours has its top, from the middle one."""
    before, here, after = (float(value) for value in three)
    return (before - after) / (2 * (before - 2 * here + after))


def _print_errors(truth: Truth, found: dict[int, float], folder: Path) -> None:
    places = read_frame_places(folder / "frames.csv")
    is_found = np.isin(np.arange(len(truth.lanes)), list(found))
    only = replace(truth, lanes=np.where(is_found, truth.lanes, -1))
    centres_px = truth.centres_px.copy()
    centres_px[list(found), 1] += list(found.values())
    print(f"\n{'within cores, frames that were found, px':44}{'frames':>7}{'median':>9}{'95 %':>9}")
    for title, against in (
        ("by the truth", only),
        ("across the scan by the film itself", replace(only, centres_px=centres_px)),
    ):
        _print_line(title, measure_placement(places, against).within_cores)


def _print_line(title: str, errors: Errors) -> None:
    print(f"{title:44}{errors.count:7}{errors.median_px:9.2f}{errors.ninety_five_px:9.2f}")


if __name__ == "__main__":
    sys.exit(main())
