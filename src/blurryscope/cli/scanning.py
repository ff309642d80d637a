"""The commands that drive the microscope: plan, calibrate, scan."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blurryscope.basics.errors import BlurryScopeError, InputError
from blurryscope.basics.her2 import RESEARCH_USE_ONLY
from blurryscope.basics.percent import percent
from blurryscope.basics.progress import Progress
from blurryscope.classify.shipped import SHIPPED
from blurryscope.cli.app import app
from blurryscope.cli.options import Model, Out, Quiet, run_settings
from blurryscope.cli.outcome import say_outcome
from blurryscope.cli.progress import Screen, shown_progress

if TYPE_CHECKING:
    from blurryscope.pipeline.live import LiveResult
    from blurryscope.pipeline.microscopy import Calibrated, SlideEnd
    from blurryscope.pipeline.settings import RunSettings
    from blurryscope.rig import Rig
    from blurryscope.scan.calibration import Calibration
    from blurryscope.scan.drive import Microscope
    from blurryscope.scan.estimate import Estimate
    from blurryscope.scan.plan import FieldOfView, ScanPlan
    from blurryscope.scan.plan_file import ScanOrder, SlideOrder
    from blurryscope.scan.states import Controls, ScanStatus

PlanArgument = Annotated[Path, typer.Argument(metavar="PLAN", help="What to scan: plan.toml.")]
PlanFile = Annotated[Path, typer.Option("--plan", help="What to scan: plan.toml.")]
RigFile = Annotated[
    str, typer.Option("--rig", help="Which microscope: rig.toml, or the word simulated.")
]
Record = Annotated[
    Path | None,
    typer.Option("--calibration", help="Folder of the calibration; else beside rig.toml or --out."),
]
Pictures = Annotated[
    Path | None, typer.Option("--pictures", help="Folder for a picture of each slide's plan.")
]


@app.command()
def plan(
    plan_path: PlanArgument,
    rig_name: Annotated[
        str | None,
        typer.Option("--rig", help="For which microscope: its calibration, or else its guess."),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="Folder of the calibration; else beside rig.toml."),
    ] = None,
    pictures: Pictures = None,
    useq: Annotated[
        Path | None,
        typer.Option("--useq", help="Folder for stop-and-stare sequences, as useq-schema JSON."),
    ] = None,
) -> None:
    """Show what a plan costs and yields, or why it cannot work. Nothing moves.

    Example: blurryscope plan plan.toml --rig rig.toml --pictures plans
    """
    from blurryscope.artifacts.whole import refuse_unwritable, write_text_whole
    from blurryscope.pipeline.plan_maps import refuse_unreadable_maps
    from blurryscope.rig import load_rig
    from blurryscope.scan.calibration import FILE, read_calibration
    from blurryscope.scan.estimate import estimate
    from blurryscope.scan.plan_file import read_plan
    from blurryscope.scan.plan_picture import plan_picture
    from blurryscope.scan.refusals import refuse
    from blurryscope.scan.useq_export import to_useq

    order, rig = read_plan(plan_path), None if rig_name is None else load_rig(rig_name)
    refuse_unreadable_maps(order)
    for folder in (pictures, useq):
        if folder is not None:
            refuse_unwritable(folder)
    if rig is not None and calibration is None and _has_record(rig.folder):
        calibration = rig.folder
    record = None if calibration is None else read_calibration(calibration / FILE)
    guess = order.field or (None if rig is None else rig.guess)
    limits = None if record is None else record.geometry.limits()
    costs = []
    for slide in order.slides:
        each = _planned(order, slide, record, guess)
        refuse(f"{plan_path}, {slide.name}", each, limits, order.most_blur_um)
        costs += [estimate(each)] * slide.repeats
        _show(slide.name, each, slide.repeats)
        if pictures is not None:
            target = pictures / f"{slide.name}.svg"
            write_text_whole(target, plan_picture(each, slide.name, limits, slide.focus_um))
            print(f"picture: {target}")
        if useq is not None:
            target = useq / f"{slide.name}.json"
            write_text_whole(target, to_useq(each, slide.name))
            print(f"sequence: {target}")
    if len(costs) > 1:
        _show_sum(costs)


@app.command()
def calibrate(
    rig_name: RigFile,
    plan_path: PlanFile,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for the record; else beside rig.toml, of the simulated one ./calibration.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Measure the microscope on the first slide of a plan: pixels, rotation, read-out, backlash.

    Example: blurryscope calibrate --rig rig.toml --plan plan.toml
    """
    from blurryscope.artifacts.whole import refuse_unwritable
    from blurryscope.rig import load_rig
    from blurryscope.scan.plan_file import read_plan

    rig, order = load_rig(rig_name), read_plan(plan_path)
    folder = out or rig.folder or Path("calibration")
    refuse_unwritable(folder)
    with shown_progress(quiet) as screen, ExitStack() as stack:
        with _shown_while(screen, "open the microscope"):
            scope = stack.enter_context(rig.opened())
        known = _calibrate(scope, rig, order, folder, screen)
    _show_calibration(known.record)
    print(f"calibration: {known.path}")


@app.command()
def scan(
    rig_name: RigFile,
    plan_path: PlanFile,
    out: Out,
    calibration: Record = None,
    model: Model = SHIPPED,
    quiet: Quiet = False,
) -> None:
    """Scan all slides of a plan, stitch them meanwhile, find and score the cores, write reports.

    Without a calibration the microscope is calibrated first. While it scans, p and Enter pause
    after the lane, r and Enter go on, a and Enter (or Ctrl-C) stop at once; the same command goes
    on where a scan stopped.

    Example: blurryscope scan --rig rig.toml --plan plan.toml --out slide-1
    """
    from blurryscope.artifacts.alone import alone_in
    from blurryscope.artifacts.whole import refuse_unwritable
    from blurryscope.pipeline.steps import scanned_folders
    from blurryscope.rig import load_rig
    from blurryscope.scan.calibration import FILE, read_calibration
    from blurryscope.scan.plan_file import read_plan

    rig, order = load_rig(rig_name), read_plan(plan_path)
    records = _record_folder(rig, calibration, out)
    if calibration is not None or _has_record(records):
        read_calibration(records / FILE)
    for results in (out, records):
        refuse_unwritable(results)
    with shown_progress(quiet) as screen, alone_in(out):
        with _shown_while(screen, "read network and maps"):
            settings = _readable(order, model)
        live_results, ends = _scan_and_report(rig, order, settings, out, calibration, screen)
    for result in live_results:
        words = f"{result.waited_s:.1f} s after the last frame"
        if not result.is_whole:
            words = f"made from the film after the scan, for {result.reason}"
        print(f"mosaic of {result.film}: {words}")
    for end in ends:
        if end.report is not None:
            slide_dir = end.report.parent
            say_outcome(slide_dir, scanned_folders(slide_dir), quiet=quiet)
            print(f"report: {end.report}")
    print(RESEARCH_USE_ONLY)
    _refuse_unfinished(ends)


def _readable(order: "ScanOrder", model: str) -> "RunSettings":
    """What takes seconds to load: the network, and all maps; what cannot be read is refused."""
    from blurryscope.pipeline.microscopy import refuse_unreadable

    settings = run_settings(model)
    refuse_unreadable(order, settings)
    return settings


def _record_folder(rig: "Rig", calibration: Path | None, out: Path) -> Path:
    return calibration or rig.folder or out / "calibration"


def _scan_and_report(
    rig: "Rig",
    order: "ScanOrder",
    settings: "RunSettings",
    out: Path,
    calibration: Path | None,
    screen: Screen,
) -> "tuple[list[LiveResult], list[SlideEnd]]":
    """Calibrate if need be, scan all slides, let the microscope go, and write the reports."""
    from blurryscope.pipeline.microscopy import (
        Session,
        load_calibrated,
        refuse_without_room,
        report_slides,
        scan_slides,
    )
    from blurryscope.scan.states import Controls

    folder = _record_folder(rig, calibration, out)
    with ExitStack() as stack:
        with _shown_while(screen, "open the microscope"):
            scope = stack.enter_context(rig.opened())
        if calibration is not None or _has_record(folder):
            known = load_calibrated(scope, folder)
        else:
            refuse_without_room(scope, order, rig.guess, out)
            known = _calibrate(scope, rig, order, folder, screen)
            _show_calibration(known.record)
        controls = Controls(scope.stage.hold)
        session = Session(
            scope=scope,
            known=known,
            controls=controls,
            on_status=_reporter(screen),
            settings=settings,
        )
        with _steered(controls, screen):
            filmed = scan_slides(session, order, out)
    return session.live_results, report_slides(filmed, screen)


@contextmanager
def _shown_while(screen: Screen, words: str) -> Iterator[None]:
    """Name what takes some seconds before anything else can be told."""
    screen(words, 0.0)
    yield
    screen(words, 1.0)


def _refuse_unfinished(ends: "Sequence[SlideEnd]") -> None:
    """Say of all slides that have no report why."""
    without = [end for end in ends if end.report is None]
    if not without:
        return
    problems = " ".join(
        end.problem if _names_its_slide(end, ends) else f"{end.name}: {end.problem}"
        for end in without
    )
    raise BlurryScopeError(
        problems if len(ends) == 1
        else f"{len(without)} of {len(ends)} slides have no report. {problems}"
    )  # fmt: skip


def _names_its_slide(end: "SlideEnd", ends: "Sequence[SlideEnd]") -> bool:
    return len(ends) == 1 or end.problem.startswith(f"{end.name}: ")


def _has_record(folder: Path | None) -> bool:
    from blurryscope.scan.calibration import FILE

    return folder is not None and (folder / FILE).is_file()


def _planned(
    order: "ScanOrder",
    slide: "SlideOrder",
    record: "Calibration | None",
    guess: "FieldOfView | None",
) -> "ScanPlan":
    """The plan of a slide, by what was measured or else by a guess."""
    if record is not None:
        return order.plan_of(
            slide,
            record.field_of_view(order.speed_um_per_s, f"{order.path}, motion.speed_um_per_s"),
            acceleration_um_per_s2=_USUAL_ACCELERATION,
            backlash_um=record.backlash.backlash_um,
            focus=record.focus,
        )
    if guess is None:
        raise InputError(
            f"{order.path}, field",
            "nothing says what the camera sees",
            "Give --rig or --calibration, or guess in [field]",
        )
    return order.plan_of(slide, guess, acceleration_um_per_s2=_USUAL_ACCELERATION)


_USUAL_ACCELERATION = 100_000.0
"""µm/s²; what the stage is really set to is read when it scans."""


def _calibrate(
    scope: "Microscope", rig: "Rig", order: "ScanOrder", folder: Path, progress: Progress
) -> "Calibrated":
    from blurryscope.pipeline.microscopy import calibrate_into
    from blurryscope.scan.calibrate import CalibrateSettings

    settings = CalibrateSettings(focus=rig.focus)
    return calibrate_into(scope, order, rig.guess, folder, settings, progress)


def _show_calibration(record: "Calibration") -> None:
    from blurryscope.scan.calibration import doubts

    ratio = record.strip.readout_ratio
    stretch = "not seen, rows lie along the lanes" if ratio is None else f"{ratio:+.3f}"
    px, strip = record.pixels, record.strip
    off = percent(px.disagreement_fraction, 1)
    print(f"  pixel size      {px.pixel_size_um:.4f} µm (at rest {off} off)")
    print(f"  rotation        {px.turn_deg:.2f}° (residual {px.residual_px:.2f} px)")
    print(f"  read-out ratio  {stretch} at {strip.speed_um_per_s:.0f} µm/s ({strip.count} steps)")
    print(
        f"  frame rate      {strip.frame_rate_hz:.3f} Hz (jitter {1000 * strip.jitter_s:.2f} ms, "
        f"{strip.lost_count} lost)"
    )
    print(
        f"  backlash        {record.backlash.backlash_um:.1f} ± {record.backlash.spread_um:.1f} µm"
    )
    print(f"  light           {percent(record.falloff_fraction)} darker at the edge")
    print(f"  focus plane     within {record.focus.residual_um:.1f} µm")
    print(f"  homing          comes back to {record.home.repeatability_um:.1f} µm")
    for doubt in doubts(record):
        print(f"  DOUBT: {doubt}")


def _reporter(screen: Screen) -> "Callable[[ScanStatus], None]":
    """A bar for each slide and repeat; a line for its state when that changes, and each warning."""
    told: set[str] = set()
    last = ""

    def report(status: "ScanStatus") -> None:
        nonlocal last
        scan = f"{status.slide}, repeat {status.repeat}"
        screen(f"scan {scan}", status.fraction)
        is_over = status.state in {"aborted", "interrupted", "failed"}
        if status.note and not is_over and (note := f"{scan}: {status.note}") not in told:
            told.add(note)
            screen.say(note)
        if (now := f"{scan}: {status.state.value}") != last:
            last = now
            done = f", {status.lane} of {status.lane_count} lanes done" if status.lane else ""
            screen.say(f"{now}{done}{_NEXT.get(status.state, '')}")

    return report


_NEXT = {"paused": "; r and Enter go on", "done": "; its mosaic is finished next"}
"""What a person can do in a state, or has to wait for."""
_KEYS = "p pauses at the end of the lane, r goes on, a stops at once; each with Enter"


@contextmanager
def _steered(controls: "Controls", screen: Screen) -> Iterator[None]:
    """Let Ctrl-C, and p, r, a on a terminal, steer the scan; a second Ctrl-C waits for nothing."""

    def interrupted(*_: object) -> None:
        if controls.is_aborted:
            raise KeyboardInterrupt
        controls.abort()

    before = signal.signal(signal.SIGINT, interrupted)
    if sys.stdin.isatty():
        screen.say(_KEYS)
        threading.Thread(target=_read_keys, args=(controls, screen.say), daemon=True).start()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _read_keys(controls: "Controls", say: Callable[[str], None]) -> None:
    """Do what a key asks for, and say so at once: a lane may take a while to end."""
    wishes = {
        "p": (controls.pause, "will pause at the end of this lane; r and Enter go on"),
        "r": (controls.resume, "goes on"),
        "a": (controls.abort, "stops"),
    }
    for line in sys.stdin:
        wish, words = wishes.get(line.strip().lower()[:1], (None, _KEYS))
        say(words)
        if wish is not None:
            wish()


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _show_sum(costs: "Sequence[Estimate]") -> None:
    from blurryscope.scan.estimate import in_bytes

    minutes = sum(each.duration_s for each in costs) / 60
    film_bytes = sum(each.film_bytes for each in costs)
    print(
        f"in all: {len(costs)} scans, {minutes:.1f} min and what is before and after each, films "
        f"about {in_bytes(film_bytes)}"
    )


def _show(name: str, plan: "ScanPlan", repeats: int) -> None:
    from blurryscope.scan.estimate import PAPER_MM2_PER_S, in_bytes, throughput

    rows = throughput(plan)
    told = rows[0][2]
    field, stated = plan.field, "measured" if plan.field.is_measured else "assumed, not measured"
    print(f"{name}: {plan.area.width_um / 1000:g} x {plan.area.height_um / 1000:g} mm")
    print(f"  field     {field.along_um:.0f} x {field.across_um:.0f} µm ({stated})")
    print(
        f"  lanes     {plan.lane_count}, pitch {plan.lane_pitch_um:.1f} µm, overlap "
        f"{percent(told.lane_overlap_fraction)}, run-up {plan.over_travel_um:.0f} µm"
    )
    least, most = (f"{blur:.0f}" for blur in told.blur_px)
    in_px = most if least == most else f"{least} to {most}"
    print(f"  blur      {told.blur_um:.0f} µm = {in_px} px")
    print(
        f"  time      {told.duration_s / 60:.1f} min a scan, {_counted(repeats, 'scan')}, "
        f"{told.mm2_per_s:.2f} mm²/s"
    )
    # One stitcher at a time: two of them would take the processor from the frames that come.
    print(
        "            before and after each the landmark, 2 s, and the end of its mosaic: seconds, "
        "minutes on a slow computer"
    )
    print(
        f"  data      {told.frame_count} frames, film about {in_bytes(told.film_bytes)}, "
        f"mosaic {told.mosaic_px / 1e6:.0f} Mpx"
    )
    print(f"  the same area with other lenses (the paper says {PAPER_MM2_PER_S:g} mm²/s):")
    for label, each, other in rows[1:]:
        print(
            f"    {label:<36} pitch {each.lane_pitch_um:4.0f} µm {other.duration_s / 60:6.1f} min "
            f"{other.mm2_per_s:5.2f} mm²/s"
        )
