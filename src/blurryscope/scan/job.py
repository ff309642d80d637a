"""What is to be scanned: one repeat of one slide, and what is known of it before it begins."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.provenance import current_versions
from blurryscope.artifacts.recording import Recording
from blurryscope.devices.contracts import StagePoint
from blurryscope.scan.film_parts import FILM
from blurryscope.scan.past import read_past
from blurryscope.scan.plan import ScanPlan

JOURNAL = "journal.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanJob:
    """One repeat of one slide."""

    slide: str
    repeat: int
    plan: ScanPlan
    folder: Path
    """Journal, landmark, live picture and in the end `scan.mkv` with `recording.json`."""
    flat: NDArray[np.float32]
    """The field over empty glass, (row, col), mean 1."""
    glass: float = 230.0
    """What empty glass gives, grey levels."""
    skew_deg: float | None = None
    """How far the stage's axes are from a right angle, if that was measured."""
    landmark_hints: tuple[StagePoint, ...] = ()
    """Places where tissue is known to be."""

    @property
    def film(self) -> Path:
        return self.folder / FILM

    def checksum(self) -> str:
        """Says whether a scan that broke off was this one."""
        told = json.dumps([self.slide, self.repeat, asdict(self.plan)], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


def is_done(job: ScanJob) -> bool:
    """Whether this very scan was finished before."""
    past = read_past(job.folder / JOURNAL)
    return past.is_done and past.plan == job.checksum() and job.film.is_file()


def is_to_begin(job: ScanJob) -> bool:
    """Whether the scan would be filmed from its very beginning."""
    return not job.folder.exists() or read_past(job.folder / JOURNAL).went_astray


def recording_of(job: ScanJob, rig: str) -> Recording:
    """What is known of a scan before it begins."""
    plan = job.plan
    return Recording(
        slide=job.slide,
        repeat=job.repeat,
        pixel_size_um=plan.field.pixel_size_um,
        speed_um_per_s=plan.motion.speed_um_per_s,
        exposure_s=plan.field.exposure_s,
        frame_rate_hz=plan.field.frame_rate_hz,
        lane_pitch_um=plan.lane_pitch_um,
        rest_s=round(plan.stand_s, 3),
        skew_deg=None if job.skew_deg is None else round(job.skew_deg, 4),
        rig=rig,
        versions=current_versions(),
    )
