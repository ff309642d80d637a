"""A stitched slide looked at stretch by stretch: what was scanned, how surely, how sharply."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.frame_places import FramePlace, read_frame_places
from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.scan_quality import Region
from blurryscope.basics.image import is_unscanned
from blurryscope.basics.side_by_side import side_by_side
from blurryscope.stitch.focus import focus_across, mean_density, tissue_of
from blurryscope.stitch.seams import TornSeam
from blurryscope.stitch.trajectory import is_at_full_speed

REGION_UM = 500.0
"""Length of a stretch: three frames of the authors' device."""
SATURATED_FROM = 250
"""Grey level; shading correction takes a little off what the camera gave as 255."""
LEAST_TISSUE_FRACTION = 0.1
"""A stretch with less is glass, whose registration and focus nobody can tell or needs."""
_PIXEL_LEVEL = 2
"""Of the pyramid, for tissue and brightness; only focus needs full resolution."""
_FOCUS_SIDE_PX = 384
_GLASS_PERCENTILE = 90
"""Of the brightness of all that was scanned, where glass lies, however little of it there is."""
_NEAREST = 3
"""Frames that tell what holds at a place of their lane."""
_LONG_STEP = 1.6
"""In usual steps; from here on a frame is missing between two that were seen."""
_SEEN_CONFIDENCE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneTrack:
    """The placed frames of one lane in order of time; (n,) each, mosaic pixels."""

    lane: int
    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]
    time_s: NDArray[np.float64]
    confidence: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSurvey:
    """All stretches of a scan, and what they have in common."""

    regions: tuple[Region, ...]
    tracks: tuple[LaneTrack, ...]
    pixel_size_um: float
    size_px: tuple[int, int]
    """(rows, columns) of the mosaic."""
    field_px: tuple[float, float]
    """Across the lanes and along them, as far as rectified frames reach."""
    lane_ends_px: tuple[float, float]
    """Lowest and highest x of the frames of a lane, the median over the lanes."""
    white: tuple[float, float, float]
    """What empty glass gives."""
    second_scan_from_s: float | None = None
    """When the film began to show the same slide again."""
    torn: tuple[TornSeam, ...] = ()
    """Where lanes show other tissue than those above them."""


def survey_scan(
    slide_dir: Path, second_scan_from_s: float | None = None, torn: Sequence[TornSeam] = ()
) -> ScanSurvey:
    """Look at a stitched slide's folder: `frames.csv` and `mosaic.ome.zarr`.

    What only stitching itself can tell, of a second scan and of torn seams, is given.
    """
    mosaic = Mosaic(slide_dir / "mosaic.ome.zarr")
    tracks = lane_tracks(read_frame_places(slide_dir / "frames.csv"))
    field_px = _field_of(tracks, mosaic.size_px)
    white = white_of(mosaic, _GLASS_PERCENTILE)

    def of_lane(number: int) -> list[Region]:
        return _lane_regions(mosaic, white, tracks, number, field_px)

    return ScanSurvey(
        regions=tuple(chain.from_iterable(side_by_side(of_lane, range(len(tracks))))),
        tracks=tuple(tracks),
        pixel_size_um=mosaic.pixel_size_um,
        size_px=mosaic.size_px,
        field_px=field_px,
        lane_ends_px=_usual_ends(tracks, mosaic.size_px[1]),
        white=white,
        second_scan_from_s=second_scan_from_s,
        torn=tuple(torn),
    )


def lane_tracks(places: Sequence[FramePlace]) -> list[LaneTrack]:
    """Sort placed frames into their lanes, in the lanes' order."""
    rows: dict[int, list[tuple[float, float, float, float]]] = {}
    for place in places:
        if place.lane >= 0 and place.x_px is not None and place.y_px is not None:
            row = (place.x_px, place.y_px, place.time_s, place.confidence)
            rows.setdefault(place.lane, []).append(row)
    tracks = []
    for lane in sorted(rows):
        x_px, y_px, time_s, confidence = np.array(rows[lane]).T
        tracks.append(
            LaneTrack(lane=lane, x_px=x_px, y_px=y_px, time_s=time_s, confidence=confidence)
        )
    return tracks


def _field_of(tracks: Sequence[LaneTrack], size_px: tuple[int, int]) -> tuple[float, float]:
    """The mosaic reaches half a field beyond the outermost centres."""
    if not tracks:
        return float(size_px[0]), float(size_px[1])
    y_px = np.concatenate([track.y_px for track in tracks])
    x_px = np.concatenate([track.x_px for track in tracks])
    return (
        max(size_px[0] - 1 - float(np.ptp(y_px)), 1.0),
        max(size_px[1] - 1 - float(np.ptp(x_px)), 1.0),
    )


def _usual_ends(tracks: Sequence[LaneTrack], column_count: int) -> tuple[float, float]:
    if not tracks:
        return 0.0, float(column_count)
    return (
        float(np.median([track.x_px.min() for track in tracks])),
        float(np.median([track.x_px.max() for track in tracks])),
    )


def white_of(mosaic: Mosaic, percentile: float) -> tuple[float, float, float]:
    """What empty glass gives, (red, green, blue) grey levels: so bright is most that was scanned.

    Some of it is brighter still, by noise and by what shading leaves.
    """
    overview = mosaic.read_level(mosaic.level_count - 1)
    scanned = overview[~is_unscanned(overview)]
    if not len(scanned):
        return 255.0, 255.0, 255.0
    red, green, blue = np.percentile(scanned, percentile, axis=0).tolist()
    return red, green, blue


def _stretches(track: LaneTrack, mosaic: Mosaic, along_px: float) -> list[tuple[int, int]]:
    """Ends along x, on a grid that all lanes share, as far as the lane reaches."""
    length_px = max(round(REGION_UM / mosaic.pixel_size_um), 1)
    low = max(int(track.x_px.min() - along_px / 2), 0)
    high = min(int(track.x_px.max() + along_px / 2), mosaic.size_px[1] - 1)
    numbers = range(low // length_px, high // length_px + 1)
    return [
        (max(n * length_px, low), min((n + 1) * length_px, mosaic.size_px[1], high + 1))
        for n in numbers
    ]


def _lane_regions(
    mosaic: Mosaic,
    white: tuple[float, float, float],
    tracks: Sequence[LaneTrack],
    number: int,
    field_px: tuple[float, float],
) -> list[Region]:
    track = tracks[number]
    around = tracks[number - 1] if number > 0 else None, (*tracks, None)[number + 1]
    stretches = _stretches(track, mosaic, field_px[1])
    if not stretches:
        return []
    boxes = _boxes(track, around, stretches, field_px[0], mosaic.size_px[0])
    pixels = _LanePixels(mosaic, white, [box.rows for box in boxes])
    dropped = _dropped(track)
    return [_region(pixels, track, dropped, box) for box in boxes]


class _Box(NamedTuple):
    """Where a stretch lies."""

    edges: tuple[int, int]
    """Along x."""
    rows: tuple[int, int]
    """Halfway to the lanes above and below."""
    overlap_fraction: float | None
    """With the lane above."""


def _boxes(
    track: LaneTrack,
    around: tuple[LaneTrack | None, LaneTrack | None],
    stretches: Sequence[tuple[int, int]],
    across_px: float,
    row_count: int,
) -> list[_Box]:
    middle_px = np.mean(stretches, axis=1)
    y_px = _y_at(track, middle_px)
    above, below = (None if lane is None else _y_at(lane, middle_px) for lane in around)
    top = y_px - across_px / 2 if above is None else (above + y_px) / 2
    bottom = y_px + across_px / 2 if below is None else (below + y_px) / 2
    overlap = [None] * len(y_px) if above is None else (1 - (y_px - above) / across_px).tolist()
    return [
        _Box(edges, (max(int(low), 0), min(int(high) + 1, row_count)), shared)
        for edges, low, high, shared in zip(stretches, top, bottom, overlap, strict=True)
    ]


def _region(pixels: "_LanePixels", track: LaneTrack, dropped: "_Dropped", box: _Box) -> Region:
    edges, rows = box.edges, box.rows
    inside = (track.x_px >= edges[0]) & (track.x_px < edges[1])
    seen = pixels.seen(edges, rows)
    return Region(
        lane=track.lane,
        x_from_px=edges[0],
        x_to_px=edges[1],
        y_from_px=rows[0],
        y_to_px=rows[1],
        frame_count=int(inside.sum()),
        dropped_frame_count=dropped.within(edges),
        confidence=_confidence_at(track, seen.tissue_x_px, edges),
        overlap_fraction=box.overlap_fraction,
        tissue_fraction=seen.tissue_fraction,
        unscanned_fraction=seen.unscanned_fraction,
        saturated_fraction=seen.saturated_fraction,
        focus=seen.focus,
    )


def _confidence_at(
    track: LaneTrack, tissue_x_px: float | None, edges: tuple[int, int]
) -> float | None:
    """Median over the frames nearest to the tissue; where there is none, over the stretch's own.

    At the end of a lane the tissue of a stretch may lie in the fields of frames outside it.
    """
    if tissue_x_px is not None:
        nearest = np.argsort(np.abs(track.x_px - tissue_x_px))[:_NEAREST]
        return float(np.median(track.confidence[nearest]))
    inside = (track.x_px >= edges[0]) & (track.x_px < edges[1])
    return float(np.median(track.confidence[inside])) if inside.any() else None


def _y_at(track: LaneTrack, x_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the lane runs at each x; the nearest frames tell."""
    nearest = np.argsort(np.abs(track.x_px - x_px[:, None]), axis=1)[:, :_NEAREST]
    return np.asarray(np.median(track.y_px[nearest], axis=1))


class _Dropped(NamedTuple):
    """Frames that are missing between neighbours of a lane; (pair,) each."""

    middle_px: NDArray[np.float64]
    """Along x, between the two."""
    missing_count: NDArray[np.float64]

    def within(self, edges: tuple[int, int]) -> int:
        here = (self.middle_px >= edges[0]) & (self.middle_px < edges[1])
        return int(self.missing_count[here].sum())


def _dropped(track: LaneTrack) -> _Dropped:
    """Told by the time between two frames, and by the step between two that were both seen."""
    if len(track.x_px) < 3:
        return _Dropped(np.empty(0), np.empty(0))
    lasted, steps = np.diff(track.time_s), np.abs(np.diff(track.x_px))
    by_time = np.rint(lasted / np.median(lasted)) - 1
    seen = np.minimum(track.confidence[1:], track.confidence[:-1]) > _SEEN_CONFIDENCE
    # Ramps may be half of a short lane: its usual step is that of full speed.
    usual_px = max(float(np.median(steps[is_at_full_speed(steps)])), 1e-6)
    by_step = np.where(seen & (steps > _LONG_STEP * usual_px), np.rint(steps / usual_px) - 1, 0)
    middle_px = (track.x_px[1:] + track.x_px[:-1]) / 2
    return _Dropped(middle_px, np.maximum(np.maximum(by_time, by_step), 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the pixels of a stretch show; fractions as in `Region`."""

    tissue_fraction: float = 0.0
    tissue_x_px: float | None = None
    """Where the middle of the tissue lies; None where there is too little."""
    unscanned_fraction: float = 1.0
    saturated_fraction: float = 0.0
    focus: float | None = None


class _LanePixels:
    """The pixels of one lane, small, read at once: what lies in single stretches of it."""

    def __init__(
        self,
        mosaic: Mosaic,
        white: tuple[float, float, float],
        rows: Sequence[tuple[int, int]],
    ) -> None:
        self._mosaic, self._white = mosaic, white
        level = min(_PIXEL_LEVEL, mosaic.level_count - 1)
        self._shrink = 2**level
        self._top = min(top for top, _ in rows) // self._shrink
        height = max(bottom for _, bottom in rows) // self._shrink + 1 - self._top
        width = mosaic.size_px[1] // self._shrink + 1
        rgb = mosaic.read(self._top, 0, (height, width), level)
        self._unscanned = is_unscanned(rgb)
        self._density = mean_density(rgb, white)
        self._saturated = cv2.inRange(rgb, (0,) * 3, (SATURATED_FROM - 1,) * 3) == 0

    def seen(self, columns: tuple[int, int], rows: tuple[int, int]) -> _Seen:
        shrink = self._shrink
        height = max((rows[1] - rows[0]) // shrink, 1)
        width = max((columns[1] - columns[0]) // shrink, 1)
        top, left = rows[0] // shrink - self._top, columns[0] // shrink
        box = np.s_[top : top + height, left : left + width]
        unscanned = self._unscanned[box]
        count = unscanned.size - np.count_nonzero(unscanned)
        if not count:
            return _Seen()
        tissue = tissue_of(self._density[box], unscanned)
        seen = _Seen(
            tissue_fraction=np.count_nonzero(tissue) / count,
            unscanned_fraction=1 - count / unscanned.size,
            saturated_fraction=np.count_nonzero(self._saturated[box]) / count,
        )
        if seen.tissue_fraction < LEAST_TISSUE_FRACTION:
            return seen
        y_px, x_px = (
            start + shrink * _middle(np.count_nonzero(tissue, axis=axis))
            for axis, start in ((1, rows[0]), (0, columns[0]))
        )
        return replace(seen, tissue_x_px=x_px, focus=self._focus(y_px, x_px))

    def _focus(self, y_px: float, x_px: float) -> float | None:
        """Focus of a square of full-resolution pixels around the middle of the tissue."""
        top, left = (round(value) - _FOCUS_SIDE_PX // 2 for value in (y_px, x_px))
        square = self._mosaic.read(top, left, (_FOCUS_SIDE_PX, _FOCUS_SIDE_PX))
        return focus_across(square, self._white)


def _middle(counts: NDArray[np.integer]) -> float:
    """The median of places along an axis, each of which counts so many times."""
    upto = np.cumsum(counts)
    halves = (upto[-1] - 1) // 2, upto[-1] // 2
    return float(np.searchsorted(upto, halves, side="right").mean())
