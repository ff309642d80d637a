"""Let one other stitcher place the tiles of a folder: `python align_tiles.py TOOL FOLDER`.

Runs with nothing but numpy and the tool itself, so that it may live in another environment than
ours. Reads `tiles.npy` (tile, row, col) uint8 and `plan.csv` (tile, lane, column, y_px, x_px: the
nominal corners); writes `TOOL.csv` (tile, y_px, x_px) and `TOOL.json` (wall_s, cpu_s, peak_gib).
"""

import csv
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PIXEL = 1.0  # nothing is in µm here


def opencv_scans(tiles: Any, _plan: Any) -> dict[int, tuple[float, float]]:
    """OpenCV's Stitcher in SCANS mode; it takes no nominal positions."""
    import cv2

    stitcher = cv2.Stitcher.create(cv2.Stitcher_SCANS)
    status = stitcher.estimateTransform([cv2.cvtColor(tile, cv2.COLOR_GRAY2BGR) for tile in tiles])
    if status != cv2.Stitcher_OK:
        sys.exit(f"refuses: status {status}")
    scale = stitcher.workScale()
    # An affine map per image that was joined, at working scale.
    corners = [np.asarray(camera.R)[:2, 2] / scale for camera in stitcher.cameras()]
    return {
        int(tile): (float(y), float(x))
        for tile, (x, y) in zip(np.ravel(stitcher.component()), corners, strict=True)
    }


def m2stitch(tiles: Any, plan: Any, ncc_threshold: float = 0.5) -> dict[int, tuple[float, float]]:
    """MIST in Python: needs rows and columns; takes nominal positions as a first guess."""
    import m2stitch as library

    frame, _ = library.stitch_images(
        tiles,
        position_indices=plan[:, 1:3].astype(int),
        position_initial_guess=plan[:, 3:5].astype(int),
        row_col_transpose=False,
        ncc_threshold=ncc_threshold,
    )
    return {
        int(tile): (float(y), float(x))
        for tile, y, x in zip(frame.index, frame["y_pos"], frame["x_pos"], strict=True)
    }


def m2stitch_tuned(tiles: Any, plan: Any) -> dict[int, tuple[float, float]]:
    """With the threshold lowered, as bright-field pictures need."""
    return m2stitch(tiles, plan, ncc_threshold=0.003)


def ashlar(
    tiles: Any,
    plan: Any,
    max_shift_px: float = 15.0,
    sigma: float = 0.0,
    max_error: float | None = None,
) -> dict[int, tuple[float, float]]:
    """ASHLAR's edge aligner, fed from memory."""
    from ashlar import reg

    class Plan(reg.Metadata):  # type: ignore[misc]  # the library ships no types
        _num_images = len(tiles)
        num_channels = 1
        pixel_size = PIXEL
        pixel_dtype = np.dtype(np.uint8)

        def tile_position(self, i: int) -> Any:
            return plan[i, 3:5]

        def tile_size(self, i: int) -> Any:
            return np.array(tiles[i].shape)

    class Tiles(reg.Reader):  # type: ignore[misc]  # the library ships no types
        metadata = Plan()

        def read(self, series: int, c: int) -> Any:  # noqa: ARG002 - the library's signature
            # The library looks for bright tissue on a dark ground.
            return 255 - tiles[series]

    aligner = reg.EdgeAligner(
        Tiles(),
        max_shift=max_shift_px,
        filter_sigma=sigma,
        max_error=max_error,
        do_make_thumbnail=False,
    )
    aligner.run()
    return {tile: (float(y), float(x)) for tile, (y, x) in enumerate(aligner.positions)}


def ashlar_tuned(tiles: Any, plan: Any) -> dict[int, tuple[float, float]]:
    """With what long blur needs, and a threshold told.

    Its own threshold is drawn from strips that do not overlap; where frames of a lane share their
    whole height it finds none.
    """
    return ashlar(tiles, plan, max_shift_px=100.0, sigma=4.0, max_error=2.0)


TOOLS: dict[str, Callable[[Any, Any], dict[int, tuple[float, float]]]] = {
    "opencv-scans": opencv_scans,
    "m2stitch": m2stitch,
    "m2stitch-tuned": m2stitch_tuned,
    "ashlar": ashlar,
    "ashlar-tuned": ashlar_tuned,
}


def main(tool: str, folder: Path) -> None:
    """Align, and write where the tiles lie and what it took."""
    tiles = np.load(folder / "tiles.npy")
    plan = np.loadtxt(folder / "plan.csv", delimiter=",", skiprows=1)
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    corners = TOOLS[tool](tiles, plan)
    cost = {
        "wall_s": time.perf_counter() - began_s,
        "cpu_s": time.process_time() - began_cpu_s,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    with (folder / f"{tool}.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["tile", "y_px", "x_px"])
        table.writerows([tile, y, x] for tile, (y, x) in corners.items())
    (folder / f"{tool}.json").write_text(json.dumps(cost), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
