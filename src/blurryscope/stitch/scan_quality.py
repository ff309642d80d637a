"""How good a stitched scan is, for people: `regions.csv`, `rescan.csv`, and both in `stitch.json`.

Works on the folder that stitching left, whoever stitched it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from blurryscope.artifacts.scan_quality import Region, Rescan, write_regions, write_rescans
from blurryscope.artifacts.stitch_facts import read_stitch_facts
from blurryscope.artifacts.whole import write_text_whole
from blurryscope.basics.errors import InputError
from blurryscope.stitch.regions import LEAST_TISSUE_FRACTION, ScanSurvey, survey_scan
from blurryscope.stitch.rescan import RescanSettings, rescan_list
from blurryscope.stitch.seams import TornSeam

REGIONS = "regions.csv"
RESCANS = "rescan.csv"


def judge_scan(slide_dir: Path, settings: RescanSettings | None = None) -> list[Rescan]:
    """Judge a stitched slide's folder and write what was found beside the mosaic.

    Writes `regions.csv` and `rescan.csv`, and adds `lane_quality` and `rescan` to `stitch.json`.
    An `InputError` says what the folder lacks.

    Returns
    -------
    What should be scanned again, from the top lane to the bottom one; empty for a good scan.
    """
    facts = read_stitch_facts(slide_dir / "stitch.json")
    survey = survey_scan(
        slide_dir, _seconds(facts.get("second_scan_from_s")), _torn(slide_dir, facts)
    )
    rescans = rescan_list(survey, settings)
    write_regions(slide_dir / REGIONS, survey.regions)
    write_rescans(slide_dir / RESCANS, rescans)
    facts["lane_quality"] = [_lane_quality(survey, track.lane) for track in survey.tracks]
    facts["rescan"] = [_rounded(asdict(entry)) for entry in rescans]
    write_text_whole(slide_dir / "stitch.json", json.dumps(facts, indent=2) + "\n")
    return rescans


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _torn(slide_dir: Path, facts: dict[str, object]) -> list[TornSeam]:
    seams = facts.get("torn_seams", [])
    try:
        return [TornSeam(**seam) for seam in seams] if isinstance(seams, list) else []
    except TypeError as error:
        where = f"{slide_dir / 'stitch.json'}, torn_seams"
        raise InputError(where, f"cannot be read ({error})", "Stitch the slide again") from error


def _lane_quality(survey: ScanSurvey, lane: int) -> dict[str, object]:
    """One lane in figures; those of registration and focus only where there is tissue."""
    regions = [region for region in survey.regions if region.lane == lane]
    tissue = [r for r in regions if r.tissue_fraction >= LEAST_TISSUE_FRACTION]
    return _rounded(
        {
            "lane": lane,
            "overlap_fraction": _median([r.overlap_fraction for r in regions]),
            "confidence": _median([r.confidence for r in tissue]),
            "focus": _median([r.focus for r in tissue]),
            "tissue_fraction": _mean(regions, "tissue_fraction"),
            "saturated_fraction": _mean(regions, "saturated_fraction"),
            "unscanned_fraction": _mean(regions, "unscanned_fraction"),
            "dropped_frame_count": sum(r.dropped_frame_count for r in regions),
        }
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _mean(regions: Sequence[Region], name: str) -> float:
    return float(np.mean([getattr(region, name) for region in regions])) if regions else 0.0


def _rounded(row: dict[str, object]) -> dict[str, object]:
    return {key: round(v, 4) if isinstance(v, float) else v for key, v in row.items()}
