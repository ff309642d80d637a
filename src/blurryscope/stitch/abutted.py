"""A mosaic as the paper's authors paste it: whole frames edge to edge. For parity studies only.

Their published pictures show every frame of a lane beside the one before, none cropped, none
blended, none straightened: what two frames share stands there twice, and lanes that run one way are
stretched against the others. Networks trained on such pictures can be compared on this layer.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.derived_mosaic import Told, derived_mosaic
from blurryscope.artifacts.frame_places import FramePlace, read_frame_places
from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.recording import read_recording
from blurryscope.artifacts.stitch_facts import read_stitch_facts
from blurryscope.artifacts.video import Video
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb
from blurryscope.basics.progress import Progress, silent

ABUTTED = "mosaic-abutted.ome.zarr"
_BAND_ROWS = 128


def abut_film(video: Path, slide_dir: Path, *, progress: Progress = silent) -> Path:
    """Write `mosaic-abutted.ome.zarr` into the folder of a slide stitched from this film.

    Each lane is a row of whole frames in order of place, turned by quarters so that lanes run along
    x; lanes stand one below the other without overlap. Frames at rest are left out. Holds one lane.

    Returns the folder written; an `InputError` says if the film is not the one that was stitched.
    """
    places = read_frame_places(slide_dir / "frames.csv")
    lanes = _lanes(places)
    quarters = _quarter_turns(slide_dir / "stitch.json")
    if not lanes:
        raise InputError(slide_dir / "frames.csv", "holds no lane", "Stitch the slide again")
    with Video(video, is_mirrored=_is_mirrored(slide_dir / "recording.json")) as film:
        rows, columns = film.info.height_px, film.info.width_px
        high, wide = (columns, rows) if quarters % 2 else (rows, columns)
        size_px = (high * len(lanes), wide * max(len(lane) for lane in lanes))
        told: Told = {
            "derived_from": "the film",
            "how": "whole frames edge to edge, as the paper's authors did; no overlap is removed",
            "for": "parity with their pictures; not to scale, measure on mosaic.ome.zarr",
        }
        scale = Mosaic(slide_dir / "mosaic.ome.zarr").pixel_size_um
        with derived_mosaic(slide_dir / ABUTTED, size_px, scale, told) as writer:
            for number, frames in enumerate(_lane_by_lane(film, lanes, quarters)):
                for band in _bands(frames, (high, size_px[1])):
                    writer.write_rows(band)
                progress("paste frames edge to edge", (number + 1) / len(lanes))
    return slide_dir / ABUTTED


def _is_mirrored(path: Path) -> bool:
    return path.is_file() and bool(read_recording(path).is_mirrored)


def _lanes(places: Sequence[FramePlace]) -> list[list[int]]:
    """Frame indices of each lane, from the left end of the slide to the right one."""
    lanes: dict[int, list[FramePlace]] = {}
    for place in places:
        if place.lane >= 0 and place.x_px is not None:
            lanes.setdefault(place.lane, []).append(place)
    ordered = []
    for number in sorted(lanes):
        frames = [place.frame for place in lanes[number]]
        first, last = lanes[number][0].x_px or 0.0, lanes[number][-1].x_px or 0.0
        ordered.append(frames if last >= first else frames[::-1])
    return ordered


def _quarter_turns(path: Path) -> int:
    """How many quarters counter-clockwise bring the scan's +x to the right of a frame."""
    told = read_stitch_facts(path).get("camera_rotation_deg")
    try:
        return round(float(str(told)) / 90) % 4
    except (ValueError, OverflowError) as error:  # no number, or none that can be rounded
        raise InputError(
            path, "does not say how the camera was turned", "Stitch the slide again"
        ) from error


def _lane_by_lane(
    film: Video, lanes: Sequence[Sequence[int]], quarters: int
) -> Iterator[list[Rgb]]:
    """The turned frames of each lane in order of place."""
    lane_of = {frame: number for number, lane in enumerate(lanes) for frame in lane}
    under_way: dict[int, Rgb] = {}
    number = 0
    for frame in film:
        if lane_of.get(frame.index) != number:
            continue
        under_way[frame.index] = np.ascontiguousarray(np.rot90(frame.rgb(), quarters))
        if len(under_way) == len(lanes[number]):
            yield [under_way[index] for index in lanes[number]]
            under_way, number = {}, number + 1
    if number < len(lanes):
        raise InputError(
            film.path,
            f"ends before lane {number} of frames.csv is complete",
            "Give the film that was stitched into this folder",
        )


def _bands(frames: Sequence[Rgb], size_px: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Rows of a lane, a few at a time; black, which is unscanned, right of its last frame."""
    for top in range(0, size_px[0], _BAND_ROWS):
        parts = [frame[top : top + _BAND_ROWS] for frame in frames]
        band = np.zeros((len(parts[0]), size_px[1], 3), np.uint8)
        pasted = np.maximum(np.concatenate(parts, axis=1), 1)
        band[:, : pasted.shape[1]] = pasted
        yield band
