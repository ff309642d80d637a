"""From a plan to reports: calibrate where needed, scan every slide and repeat, stitch meanwhile."""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.layout_file import read_layout
from blurryscope.artifacts.repeat_folders import repeat_folder
from blurryscope.artifacts.whole import write_text_whole
from blurryscope.basics.errors import InputError
from blurryscope.basics.progress import Progress, silent
from blurryscope.devices.errors import StageError
from blurryscope.pipeline.live import LiveResult, LiveSettings, LiveStitch
from blurryscope.pipeline.plan_maps import refuse_unreadable_maps
from blurryscope.pipeline.room import RoomWanted, refuse_full_disk
from blurryscope.pipeline.run import run
from blurryscope.pipeline.scoring import load_scorer
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import MOSAIC, repeat_folders
from blurryscope.pipeline.stitching import take_over_stitched
from blurryscope.scan.calibrate import CalibrateSettings, calibrate, geometry_of
from blurryscope.scan.calibration import (
    FILE,
    Calibration,
    read_calibration,
    read_flat_field,
    write_calibration,
)
from blurryscope.scan.drive import Microscope
from blurryscope.scan.job import ScanJob, is_done, is_to_begin, recording_of
from blurryscope.scan.plan import Area, FieldOfView, ScanPlan
from blurryscope.scan.plan_file import ScanOrder, SlideOrder
from blurryscope.scan.plan_picture import plan_picture
from blurryscope.scan.refusals import refuse, refuse_before_calibrating
from blurryscope.scan.runner import Supervision, run_scan
from blurryscope.scan.states import Controls, OnStatus, ScanState, ScanStatus
from blurryscope.scan.survey import survey, survey_lanes

logger = logging.getLogger(__name__)


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
    """Calibrate on the first slide of a plan and write the record into `folder`.

    What no calibration can make possible is refused before anything moves, for all slides.
    """
    _refuse_impossible(scope, order, guess)
    plan = first_plan(scope, order, guess)
    record, flat = calibrate(scope, plan, scope.name, settings, progress)
    path = write_calibration(folder, record, flat)
    return Calibrated(record=record, luma_flat=flat.luma(), path=path)


def _refuse_impossible(scope: Microscope, order: ScanOrder, guess: FieldOfView) -> None:
    limits = scope.stage.limits
    for slide in order.slides:
        plan = _guessed_plan(scope, order, slide, guess)
        where = f"{order.path}, {slide.name}"
        refuse_before_calibrating(where, plan, limits, order.most_blur_um)


def refuse_without_room(scope: Microscope, order: ScanOrder, guess: FieldOfView, out: Path) -> None:
    """Raise an `InputError` if films and mosaics, by a guess of the field, have no room in `out`.

    For a microscope that is yet to be calibrated: `scan_slides` looks again with what was measured.
    """
    wanted = [
        RoomWanted(
            folder=_folder_of(order, slide, out),
            plan=_guessed_plan(scope, order, slide, guess),
            repeats=slide.repeats,
        )
        for slide in order.slides
    ]
    refuse_full_disk(out, wanted)


def _guessed_plan(
    scope: Microscope, order: ScanOrder, slide: SlideOrder, guess: FieldOfView
) -> ScanPlan:
    seen = order.field or guess
    return order.plan_of(
        slide,
        replace(seen, exposure_s=scope.camera.settings.exposure_s or seen.exposure_s),
        acceleration_um_per_s2=scope.stage.limits.acceleration_um_per_s2,
    )


def load_calibrated(scope: Microscope, folder: Path) -> Calibrated:
    """Read the record of a microscope; an `InputError` if its geometry is another one now."""
    path = folder / FILE
    record = read_calibration(path)
    record.refuse_other(path, geometry_of(scope))
    grey = read_flat_field(path, record.geometry) @ np.array([0.299, 0.587, 0.114], np.float32)
    return Calibrated(record=record, luma_flat=grey / grey.mean(), path=path)


def plan_of_slide(
    scope: Microscope, order: ScanOrder, slide: SlideOrder, known: Calibrated
) -> ScanPlan:
    """Plan a slide with all that was measured, and refuse what cannot work."""
    record, limits = known.record, scope.stage.limits
    plan = order.plan_of(
        slide,
        record.field_of_view(order.speed_um_per_s, f"{order.path}, motion.speed_um_per_s"),
        acceleration_um_per_s2=limits.acceleration_um_per_s2,
        backlash_um=record.backlash.backlash_um,
        focus=record.focus,
    )
    refuse(f"{order.path}, {slide.name}", plan, limits, order.most_blur_um)
    return plan


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideEnd:
    """What became of one slide of a plan: a report, or the reason why there is none."""

    name: str
    report: Path | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _SlideWork:
    """One slide, how it is to be scanned, and where its results go."""

    slide: SlideOrder
    plan: ScanPlan
    folder: Path
    settings: RunSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Filmed:
    """A slide that was scanned, or could not be; `report_slides` makes the rest of it."""

    work: _SlideWork
    films: list[Path] | SlideEnd


def refuse_unreadable(order: ScanOrder, settings: RunSettings) -> None:
    """Read model, layouts and maps of a plan: what is wrong with them is told before a scan."""
    load_scorer(settings.model)
    refuse_unreadable_maps(order, settings.consensus)


def scan_slides(session: Session, order: ScanOrder, out: Path) -> list[Filmed]:
    """Scan all slides of a plan with their repeats; afterwards the microscope is free.

    One slide's results go into `out`, those of several each into a folder of its name there. A
    slide that cannot be scanned leaves the others be; a device that fails ends it all. The same
    call goes on with whatever is not done yet.
    """
    works = [_work_of(session, order, slide, out) for slide in order.slides]
    refuse_full_disk(
        out,
        [
            RoomWanted(folder=work.folder, plan=work.plan, repeats=work.slide.repeats)
            for work in works
        ],
    )
    try:
        return [Filmed(work=work, films=_ended(work, partial(_films, session))) for work in works]
    except StageError:
        session.controls.check()  # whoever aborts holds the stage, which is met here first
        raise


def report_slides(filmed: Sequence[Filmed], progress: Progress = silent) -> list[SlideEnd]:
    """Find and score the cores of what was scanned, and write a report for each slide."""
    return [_reported(each, progress) for each in filmed]


def _reported(filmed: Filmed, progress: Progress) -> SlideEnd:
    work, films = filmed.work, filmed.films
    if isinstance(films, SlideEnd):
        return films
    made = _ended(work, partial(_report, films=films, progress=progress))
    return made if isinstance(made, SlideEnd) else SlideEnd(name=work.slide.name, report=made)


def _work_of(session: Session, order: ScanOrder, slide: SlideOrder, out: Path) -> _SlideWork:
    plan = plan_of_slide(session.scope, order, slide, session.known)
    settings = _settings_of(slide, session.settings)
    folder = _folder_of(order, slide, out)
    return _SlideWork(slide=slide, plan=plan, folder=folder, settings=settings)


def _folder_of(order: ScanOrder, slide: SlideOrder, out: Path) -> Path:
    return out if len(order.slides) == 1 else out / slide.name


def _settings_of(slide: SlideOrder, settings: RunSettings) -> RunSettings:
    if slide.layout_path is None:
        return settings
    return replace(settings, tma=replace(settings.tma, layout=read_layout(slide.layout_path)))


_Made = TypeVar("_Made")


def _ended(work: _SlideWork, make: Callable[[_SlideWork], _Made]) -> _Made | SlideEnd:
    """Make something of a slide; what is wrong with this slide alone becomes its end."""
    try:
        return make(work)
    except InputError as error:
        logger.debug("slide %s", work.slide.name, exc_info=True)
        return SlideEnd(name=work.slide.name, problem=str(error))


def _films(session: Session, work: _SlideWork) -> list[Path]:
    """Scan a slide and its repeats, each stitched meanwhile."""
    jobs = _jobs(session, work)
    for job, result in zip(jobs, repeat_folders(work.folder, len(jobs)), strict=True):
        if not is_done(job):
            _scan_and_stitch(session, job, result, work.settings)
    return [job.film for job in jobs]


def _report(work: _SlideWork, *, films: Sequence[Path], progress: Progress) -> Path:
    return run(
        films,
        work.folder,
        map_path=work.slide.map_path,
        slide=work.slide.name,
        settings=work.settings,
        progress=progress,
    )


def _jobs(session: Session, work: _SlideWork) -> list[ScanJob]:
    scope, known, slide, plan = session.scope, session.known, work.slide, work.plan
    films = work.folder / "films"
    if slide.only_tissue:
        plan = _only_tissue(session, slide, plan, films / "tissue.json")
    points_um = known.record.focus_points_um
    picture = plan_picture(plan, slide.name, scope.stage.limits, points_um)
    write_text_whole(films / "plan.svg", picture)
    return [
        ScanJob(
            slide=slide.name,
            repeat=number,
            plan=plan,
            folder=repeat_folder(films, number),
            flat=known.luma_flat,
            glass=known.glass,
            skew_deg=known.record.steps.skew_deg,
            landmark_hints=tuple(plan.place(x_um, y_um) for x_um, y_um, _ in points_um[:1]),
        )
        for number in range(1, slide.repeats + 1)
    ]


def _scan_and_stitch(session: Session, job: ScanJob, result: Path, settings: RunSettings) -> None:
    """Scan once, stitching meanwhile; a mosaic that came out is taken over as a finished step."""
    scope = session.scope
    # Half a scan was not seen from its beginning, and a mosaic is never written over.
    if not is_to_begin(job) or (result / MOSAIC).exists():
        run_scan(scope, job, Supervision(session.controls, session.on_status))
        return
    recording = recording_of(job, scope.name)
    live_settings = settings.for_film(recording)
    recording = replace(recording, pixel_size_um=settings.pixel_size_um)
    with LiveStitch(job.film, result, recording, live_settings, session.live) as stitch:
        told = Supervision(
            session.controls, session.on_status, (stitch.take,), (stitch.set_off,), (stitch.end,)
        )
        run_scan(scope, job, told)
        ended = stitch.finish()
    session.live_results.append(ended)
    if ended.is_whole:
        take_over_stitched(job.film, result, settings=settings)


def _only_tissue(session: Session, slide: SlideOrder, plan: ScanPlan, remembered: Path) -> ScanPlan:
    """The plan shrunk to the tissue that a coarse look finds; looked for once a slide and plan."""
    checksum = hashlib.sha256(json.dumps(asdict(plan), sort_keys=True).encode()).hexdigest()
    area = _tissue_seen(remembered, checksum) if remembered.is_file() else None
    if area is None:
        area = _look_for_tissue(session, slide, plan)
        write_text_whole(remembered, json.dumps({"plan": checksum, "area": asdict(area)}) + "\n")
    return replace(plan, area=area)


def _tissue_seen(remembered: Path, checksum: str) -> Area | None:
    """Where an earlier look found tissue; None if it looked at another plan."""
    try:
        told = json.loads(remembered.read_text(encoding="utf-8"))
        return Area(**told["area"]) if told["plan"] == checksum else None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            remembered, "does not tell where the tissue is", "Remove it; the scan looks again"
        ) from error


def _look_for_tissue(session: Session, slide: SlideOrder, plan: ScanPlan) -> Area:
    scope, controls = session.scope, session.controls
    if not scope.stage.status().is_homed:
        _tell(session, slide, ScanState.HOMING)
        scope.stage.home()
    controls.check()
    _tell(session, slide, ScanState.LOOKING)
    pitch_um = _SURVEY_PITCH * plan.field.across_um
    lanes = survey_lanes(plan, pitch_um, most_count=1000)
    seen = survey(scope, lanes, plan.motion, watch=lambda _: controls.check())
    found = seen.tissue_area(pitch_um)
    if found is None:
        raise InputError(
            slide.name, "shows no tissue in the area of its plan", "Check area and slide"
        )
    return found.within(plan.area)


def _tell(session: Session, slide: SlideOrder, state: ScanState) -> None:
    """Say what is done for a slide before its first scan."""
    session.on_status(
        ScanStatus(
            slide=slide.name,
            repeat=1,
            state=state,
            lane=0,
            lane_count=1,
            frame_count=0,
            lost_count=0,
        )
    )


_SURVEY_PITCH = 1.5
"""Fields between two lanes of the coarse look; no core is narrower than that."""
