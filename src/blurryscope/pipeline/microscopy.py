"""From a plan to reports: calibrate where needed, scan every slide and repeat, stitch meanwhile."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.whole import write_text_whole
from blurryscope.basics.errors import InputError
from blurryscope.basics.progress import Progress, silent
from blurryscope.pipeline.live import LiveResult, LiveSettings, LiveStitch
from blurryscope.pipeline.run import run, take_over_stitched
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import MOSAIC, repeat_folders
from blurryscope.scan.calibrate import CalibrateSettings, calibrate, geometry_of
from blurryscope.scan.calibration import (
    FILE,
    Calibration,
    read_calibration,
    read_flat_field,
    write_calibration,
)
from blurryscope.scan.drive import Microscope
from blurryscope.scan.plan import Area, FieldOfView, ScanPlan
from blurryscope.scan.plan_file import ScanOrder, SlideOrder
from blurryscope.scan.plan_picture import plan_picture
from blurryscope.scan.refusals import refuse
from blurryscope.scan.runner import ScanJob, Supervision, is_done, recording_of, run_scan
from blurryscope.scan.states import Controls, OnStatus
from blurryscope.scan.survey import survey, survey_lanes


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A microscope's record with its flat field."""

    record: Calibration
    luma_flat: NDArray[np.float32]
    """(row, col), mean 1."""
    path: Path

    @property
    def glass(self) -> float:
        """What empty glass gives, grey levels."""
        return float(np.dot(self.record.white, (0.299, 0.587, 0.114)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A calibrated microscope, who steers it, and who is told."""

    scope: Microscope
    known: Calibrated
    controls: Controls
    on_status: OnStatus
    live: LiveSettings = field(default_factory=LiveSettings)
    live_results: list[LiveResult] = field(default_factory=list)
    """Gets how the live stitching of each scan ended."""
    settings: RunSettings = field(default_factory=RunSettings)
    progress: Progress = silent


def first_plan(scope: Microscope, order: ScanOrder, guess: FieldOfView) -> ScanPlan:
    """The plan of the first slide as guessed, to calibrate on its area."""
    limits = scope.stage.limits
    return order.plan_of(
        order.slides[0], order.field or guess, acceleration_um_per_s2=limits.acceleration_um_per_s2
    )


def calibrate_into(
    scope: Microscope,
    order: ScanOrder,
    guess: FieldOfView,
    folder: Path,
    settings: CalibrateSettings,
    progress: Progress = silent,
) -> Calibrated:
    """Calibrate on the first slide of a plan and write the record into `folder`."""
    plan = first_plan(scope, order, guess)
    record, flat = calibrate(scope, plan, scope.name, settings, progress)
    path = write_calibration(folder, record, flat)
    return Calibrated(record=record, luma_flat=flat.luma(), path=path)


def load_calibrated(scope: Microscope, folder: Path) -> Calibrated:
    """Read the record of a microscope; an `InputError` if its geometry is another one now."""
    path = folder / FILE
    record = read_calibration(path)
    record.refuse_other(path, geometry_of(scope))
    grey = read_flat_field(path) @ np.array([0.299, 0.587, 0.114], np.float32)
    return Calibrated(record=record, luma_flat=grey / grey.mean(), path=path)


def plan_of_slide(
    scope: Microscope, order: ScanOrder, slide: SlideOrder, known: Calibrated
) -> ScanPlan:
    """Plan a slide with all that was measured, and refuse what cannot work."""
    record, limits = known.record, scope.stage.limits
    plan = order.plan_of(
        slide,
        record.field_of_view(order.speed_um_per_s),
        acceleration_um_per_s2=limits.acceleration_um_per_s2,
        backlash_um=record.backlash.backlash_um,
        focus=record.focus,
    )
    refuse(f"{order.path}, {slide.name}", plan, limits, order.most_blur_um)
    return plan


def scan_slides(session: Session, order: ScanOrder, out: Path) -> list[Path]:
    """Scan all slides of a plan with their repeats and write a report for each.

    One slide's results go into `out`, those of several each into a folder of its name there. The
    same call goes on with whatever is not done yet.
    """
    alone = len(order.slides) == 1
    plans = [plan_of_slide(session.scope, order, slide, session.known) for slide in order.slides]
    return [
        _scan_slide(session, slide, plan, out if alone else out / slide.name)
        for slide, plan in zip(order.slides, plans, strict=True)
    ]


def _scan_slide(session: Session, slide: SlideOrder, plan: ScanPlan, folder: Path) -> Path:
    session = replace(session, settings=_with_rests_of(plan, session.settings))
    jobs = _jobs(session, slide, plan, folder / "films")
    for job, result in zip(jobs, repeat_folders(folder, len(jobs)), strict=True):
        if not is_done(job):
            _scan_and_stitch(session, job, result)
    return run(
        [job.film for job in jobs],
        folder,
        map_path=slide.map_path,
        slide=slide.name,
        settings=session.settings,
        progress=session.progress,
    )


def _with_rests_of(plan: ScanPlan, settings: RunSettings) -> RunSettings:
    """Tell the stitcher how long the stage really stands between lanes: it finds them by that."""
    return replace(settings, stitch=replace(settings.stitch, rest_s=round(plan.stand_s, 3)))


def _jobs(session: Session, slide: SlideOrder, plan: ScanPlan, films: Path) -> list[ScanJob]:
    scope, known = session.scope, session.known
    if slide.only_tissue:
        plan = _only_tissue(scope, slide, plan, films / "tissue.json")
    points_um = known.record.focus_points_um
    picture = plan_picture(plan, slide.name, scope.stage.limits, points_um)
    write_text_whole(films / "plan.svg", picture)
    return [
        ScanJob(
            slide=slide.name,
            repeat=number,
            plan=plan,
            folder=films / f"repeat-{number}",
            flat=known.luma_flat,
            glass=known.glass,
            landmark_hints=tuple(plan.place(x_um, y_um) for x_um, y_um, _ in points_um[:1]),
        )
        for number in range(1, slide.repeats + 1)
    ]


def _scan_and_stitch(session: Session, job: ScanJob, result: Path) -> None:
    """Scan once, stitching meanwhile; a mosaic that came out is taken over as a finished step."""
    scope, settings = session.scope, session.settings
    # Half a scan was not seen from its beginning, and a mosaic is never written over.
    if job.folder.exists() or (result / MOSAIC).exists():
        run_scan(scope, job, Supervision(session.controls, session.on_status))
        return
    recording = replace(recording_of(job, scope.name), pixel_size_um=settings.pixel_size_um)
    with LiveStitch(job.film, result, recording, settings, session.live) as stitch:
        told = Supervision(session.controls, session.on_status, takers=(stitch.take,))
        run_scan(scope, job, told)
        ended = stitch.finish()
    session.live_results.append(ended)
    if ended.is_whole:
        take_over_stitched(job.film, result, settings=settings)


def _only_tissue(
    scope: Microscope, slide: SlideOrder, plan: ScanPlan, remembered: Path
) -> ScanPlan:
    """The plan shrunk to the tissue that a coarse look finds; looked for once a slide."""
    if remembered.is_file():
        area = Area(**json.loads(remembered.read_text(encoding="utf-8")))
    else:
        if not scope.stage.status().is_homed:
            scope.stage.home()
        lanes = survey_lanes(plan, _SURVEY_PITCH * plan.field.across_um, most_count=1000)
        found = survey(scope, lanes, plan.motion).tissue_area(_SURVEY_PITCH * plan.field.across_um)
        if found is None:
            raise InputError(
                slide.name, "shows no tissue in the area of its plan", "Check area and slide"
            )
        area = found.within(plan.area)
        write_text_whole(remembered, json.dumps(asdict(area)) + "\n")
    return replace(plan, area=area)


_SURVEY_PITCH = 1.5
"""Fields between two lanes of the coarse look; no core is narrower than that."""
