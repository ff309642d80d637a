"""What to scan again and why, in words that somebody at the microscope can act on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.ndimage

from blurryscope.artifacts.scan_quality import Region, Rescan, RescanReason, lanes_in_words
from blurryscope.stitch.regions import LEAST_TISSUE_FRACTION, LaneTrack, ScanSurvey
from blurryscope.stitch.seams import TornSeam

_SOME_TISSUE = 0.03
"""Of a stretch: more than dust."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RescanSettings:
    """When a stretch of a lane is not good enough."""

    least_confidence: float = 0.5
    least_focus: float = 0.14
    """Whatever the slide; sharp tissue gives 0.2 to 0.45, a blur of sigma 3 px 0.10 to 0.15."""
    least_focus_share: float = 0.5
    """Of what the sharper quarter of the slide's stretches reach; pale cores reach 0.55."""
    most_saturated_fraction: float = 0.05
    least_glass_level: float = 110.0
    """Grey level; below, noise and the steps of 8 bits show in the stain."""
    most_unscanned_fraction: float = 0.02
    most_dropped_frames: int = 2
    """In one stretch; one lost frame still overlaps with its neighbours."""
    least_torn_um2: float = 5000.0
    """Of tissue that two lanes show differently: a hundredth of a core of 0.8 mm. Less is a sliver
    of a rim, which changes no score; a row of cores torn by 300 px came to 6,400 to 498,000 a seam.
    """
    least_lane_share: float = 0.8
    """Of the usual length of a lane."""


_CAUSES: Mapping[RescanReason, tuple[str, str]] = {
    RescanReason.REGISTRATION: (
        "a bubble, dirt on the cover slip, or a loose slide",
        "Wipe the slide, look for bubbles, clamp it again, and scan these lanes again.",
    ),
    RescanReason.TORN: (
        "the stage stuck or slipped, or the camera lost or repeated frames",
        "Look at the cores there: they may be torn, or a rim cut off. Check that the stage runs "
        "freely, and scan these lanes again.",
    ),
    RescanReason.FOCUS: (
        "the slide lies uneven there, or focus was set elsewhere",
        "Focus on the tissue there, level the slide, and scan these lanes again.",
    ),
    RescanReason.BRIGHT: (
        "too much light for the exposure",
        "Turn the lamp down or shorten the exposure, and scan again.",
    ),
    RescanReason.DARK: (
        "too little light for the exposure",
        "Turn the lamp up, and scan again; a longer exposure blurs more.",
    ),
    RescanReason.FRAMES: (
        "the computer or the cable was too slow for the camera",
        "Close other programs, use another USB port or cable, and scan these lanes again.",
    ),
    RescanReason.GAP: (
        "lanes lie too far apart, the stage slipped, or a frame was lost",
        "Check the lane pitch, the stage's coupling and the cable, and scan these lanes again.",
    ),
    RescanReason.CUT: (
        "the film begins or ends there: recording was started late, or the camera was unplugged",
        "Start recording before the stage, stop it after, and scan from this lane on.",
    ),
    RescanReason.SECOND: (
        "two scans were recorded in one go, and only the first is in the mosaic",
        "Nothing need be scanned: cut the film there, and give both parts as repeats.",
    ),
}


def rescan_list(survey: ScanSurvey, settings: RescanSettings | None = None) -> list[Rescan]:
    """Join bad stretches that touch into one entry each; from the top lane to the bottom one."""
    settings = settings or RescanSettings()
    found = [
        *_whole_slide(survey, settings),
        *_second_scan(survey),
        *_short_lanes(survey, settings),
    ]
    for reason, is_bad in _checks(survey, settings).items():
        groups = _joined(survey.regions, is_bad)
        found += [_entry(survey, settings, reason, regions) for regions in groups]
    return sorted(found, key=lambda entry: (entry.first_lane, entry.x_from_mm, entry.reason))


def _checks(
    survey: ScanSurvey, settings: RescanSettings
) -> dict[RescanReason, Callable[[Region], bool]]:
    focus = [region.focus for region in survey.regions if region.focus is not None]
    usual = float(np.quantile(focus, 0.75)) if focus else 0.0
    least_focus = max(settings.least_focus, settings.least_focus_share * usual)

    def has_tissue(region: Region) -> bool:
        return region.tissue_fraction >= LEAST_TISSUE_FRACTION

    return {
        RescanReason.REGISTRATION: lambda r: (
            has_tissue(r) and r.confidence is not None and r.confidence < settings.least_confidence
        ),
        RescanReason.TORN: lambda r: bool(_tears_at(r, survey, settings)),
        RescanReason.FOCUS: lambda r: r.focus is not None and r.focus < least_focus,
        RescanReason.BRIGHT: lambda r: r.saturated_fraction > settings.most_saturated_fraction,
        RescanReason.FRAMES: lambda r: (
            (r.dropped_frame_count > settings.most_dropped_frames and _is_near_tissue(r, survey))
            or _is_by_lost_frames(r, survey, settings)
        ),
        RescanReason.GAP: lambda r: (
            _is_costly_hole(r, survey, settings) and not _is_by_lost_frames(r, survey, settings)
        ),
    }


def _tears_at(region: Region, survey: ScanSurvey, settings: RescanSettings) -> list[TornSeam]:
    """Where it shows other tissue than a neighbouring lane does: nobody knows which is right."""
    return [
        seam
        for seam in survey.torn
        if seam.lane - 1 <= region.lane <= seam.lane
        and seam.x_from_px < region.x_to_px
        and seam.x_to_px > region.x_from_px
        and seam.differing_px * survey.pixel_size_um**2 >= settings.least_torn_um2
    ]


def _is_by_lost_frames(region: Region, survey: ScanSurvey, settings: RescanSettings) -> bool:
    """Whether there is a hole that lost frames left; it may begin one stretch and end in the next.

    Both are told then: together they have the hole and the frames.
    """
    if _is_costly_hole(region, survey, settings):
        around = [region, *_touching_in_lane(region, survey)]
        return any(other.dropped_frame_count for other in around)
    return region.dropped_frame_count > 0 and any(
        _is_costly_hole(other, survey, settings) for other in _touching_in_lane(region, survey)
    )


def _touching_in_lane(region: Region, survey: ScanSurvey) -> list[Region]:
    return [
        other
        for other in survey.regions
        if other.lane == region.lane
        and (other.x_to_px == region.x_from_px or other.x_from_px == region.x_to_px)
    ]


def _is_hole(region: Region, survey: ScanSurvey, settings: RescanSettings) -> bool:
    """Whether something inside the scan was not covered; its ragged outer edge does not count.

    The first and the last lane have that edge all along: of them counts what is less covered than
    the rest of the lane, between its own first and last frame.
    """
    if region.overlap_fraction is not None and region.overlap_fraction < 0:
        return True
    low, high = survey.lane_ends_px
    edge_lane = {survey.tracks[end].lane: survey.tracks[end] for end in (0, -1)}.get(region.lane)
    if edge_lane is not None:
        low, high = max(low, edge_lane.x_px.min()), min(high, edge_lane.x_px.max())

    def is_inside(other: Region) -> bool:
        return other.frame_count > 0 and other.x_from_px > low and other.x_to_px < high

    usual = 0.0
    if edge_lane is not None:
        in_lane = [each for each in survey.regions if each.lane == region.lane and is_inside(each)]
        usual = float(np.median([each.unscanned_fraction for each in in_lane] or [0.0]))
    return (
        is_inside(region) and region.unscanned_fraction > usual + settings.most_unscanned_fraction
    )


def _is_costly_hole(region: Region, survey: ScanSurvey, settings: RescanSettings) -> bool:
    return _is_hole(region, survey, settings) and _is_near_tissue(region, survey)


def _is_near_tissue(region: Region, survey: ScanSurvey) -> bool:
    """Whether it or a stretch that touches it shows tissue: holes in empty glass cost nothing."""
    return any(
        other.tissue_fraction >= _SOME_TISSUE
        and abs(other.lane - region.lane) <= 1
        and other.x_from_px <= region.x_to_px
        and other.x_to_px >= region.x_from_px
        for other in survey.regions
    )


def _joined(regions: Sequence[Region], is_bad: Callable[[Region], bool]) -> list[list[Region]]:
    """Groups of bad stretches that touch, in neighbouring lanes or along one."""
    bad = [region for region in regions if is_bad(region)]
    if not bad:
        return []
    length_px = max(region.x_to_px - region.x_from_px for region in regions)
    cells = [(region.lane, region.x_from_px // length_px) for region in bad]
    marked = np.zeros(np.max(cells, axis=0) + 1, np.bool_)
    marked[tuple(np.transpose(cells))] = True
    labels, count = scipy.ndimage.label(marked, np.ones((3, 3)))
    groups: list[list[Region]] = [[] for _ in range(int(count))]
    for region, cell in zip(bad, cells, strict=True):
        groups[int(labels[cell]) - 1].append(region)
    return groups


def _entry(
    survey: ScanSurvey, settings: RescanSettings, reason: RescanReason, regions: Sequence[Region]
) -> Rescan:
    x_px = (min(r.x_from_px for r in regions), max(r.x_to_px for r in regions))
    y_px = (min(r.y_from_px for r in regions), max(r.y_to_px for r in regions))
    lanes = sorted({region.lane for region in regions})
    what = _what(reason, regions, survey, settings)
    return _told(survey, reason, lanes, x_px, y_px, what)


def _what(
    reason: RescanReason, regions: Sequence[Region], survey: ScanSurvey, settings: RescanSettings
) -> str:
    if reason is RescanReason.FRAMES:
        count = sum(region.dropped_frame_count for region in regions)
        return f"lost {count} frame{'s' if count > 1 else ''}"
    if reason is RescanReason.GAP:
        gap = max(-(region.overlap_fraction or 0.0) for region in regions)
        if gap > 0:
            width_um = gap * survey.field_px[0] * survey.pixel_size_um
            return f"leave {width_um:.0f} µm to the lane before unscanned"
        return "were not scanned completely"
    if reason is RescanReason.FOCUS:
        return "are out of focus"
    if reason is RescanReason.TORN:
        tears = {seam for region in regions for seam in _tears_at(region, survey, settings)}
        area_mm2 = sum(seam.differing_px for seam in tears) * (survey.pixel_size_um / 1000) ** 2
        return f"do not show the same tissue on {area_mm2:.2g} mm² where they overlap,"
    if reason is RescanReason.BRIGHT:
        return "are overexposed"
    return "lost registration"


def _told(
    survey: ScanSurvey,
    reason: RescanReason,
    lanes: Sequence[int],
    x_px: tuple[float, float],
    y_px: tuple[float, float],
    what: str,
) -> Rescan:
    mm = survey.pixel_size_um / 1000
    cause, action = _CAUSES[reason]
    x_mm, y_mm = (x_px[0] * mm, x_px[1] * mm), (y_px[0] * mm, y_px[1] * mm)
    if len(lanes) == 1:
        what = (
            what.replace("are ", "is ", 1).replace("were ", "was ", 1).replace("leave ", "leaves ")
        )
    place = f"between x {x_mm[0]:.1f} and {x_mm[1]:.1f} mm"
    return Rescan(
        reason=reason,
        first_lane=min(lanes),
        last_lane=max(lanes),
        x_from_mm=x_mm[0],
        x_to_mm=x_mm[1],
        y_from_mm=y_mm[0],
        y_to_mm=y_mm[1],
        problem=f"{lanes_in_words(lanes)} {what} {place}: {cause}",
        action=action,
    )


def _whole_slide(survey: ScanSurvey, settings: RescanSettings) -> list[Rescan]:
    """Too dark is a matter of the lamp, not of a place."""
    if not survey.tracks or max(survey.white) >= settings.least_glass_level:
        return []
    lanes = [track.lane for track in survey.tracks]
    rows, columns = survey.size_px
    what = f"show empty glass at {max(survey.white):.0f} of 255"
    return [_told(survey, RescanReason.DARK, lanes, (0, columns), (0, rows), what)]


def _second_scan(survey: ScanSurvey) -> list[Rescan]:
    if survey.second_scan_from_s is None or not survey.tracks:
        return []
    lanes = [track.lane for track in survey.tracks]
    rows, columns = survey.size_px
    what = f"come a second time in the film, from {survey.second_scan_from_s:.0f} s on"
    return [_told(survey, RescanReason.SECOND, lanes, (0, columns), (0, rows), what)]


def _short_lanes(survey: ScanSurvey, settings: RescanSettings) -> list[Rescan]:
    """The first and the last lane, where the film shows only a part of them."""
    if len(survey.tracks) < 3:
        return []
    lengths = {track.lane: float(np.ptp(track.x_px)) for track in survey.tracks}
    usual_px = float(np.median(list(lengths.values())))
    inner = np.concatenate([track.x_px for track in survey.tracks[1:-1]])
    ends = (float(inner.min()), float(inner.max()))
    short = [
        track
        for track in (survey.tracks[0], survey.tracks[-1])
        if lengths[track.lane] < settings.least_lane_share * usual_px
    ]
    return [_short_lane(survey, track, ends) for track in short]


def _short_lane(survey: ScanSurvey, track: LaneTrack, ends: tuple[float, float]) -> Rescan:
    low, high = float(track.x_px.min()), float(track.x_px.max())
    missing = (ends[0], low) if low - ends[0] > ends[1] - high else (high, ends[1])
    y_px = float(np.median(track.y_px))
    half = survey.field_px[0] / 2
    return _told(
        survey, RescanReason.CUT, [track.lane], missing, (y_px - half, y_px + half), "is missing"
    )
