"""A whole slide in one go on the simulated microscope, held against what that really did.

    python benchmarks/bench_scan.py [--rig RIG.toml] [--plan PLAN.toml] [--repeats N] --out DIR

Homes, calibrates, scans, stitches meanwhile, finds, names and scores the cores and reports, as
`blurryscope scan` does. Then it compares calibration, motion, mosaic and cores with the truth of
the simulated rig, and ends with 1 if a limit is broken. Without --rig and --plan: 20 x 10 mm with
72 cores, seen by the authors' device at half its resolution. DIR, or with several repeats the
folder of each in DIR, then holds `truth.json`, too, for `benchmarks/against_truth.py`.
"""

import argparse
import json
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.frame_places import read_frame_places
from blurryscope.artifacts.predictions import (
    CoreResult,
    Prediction,
    read_predictions,
    read_results,
)
from blurryscope.artifacts.tissue_cores import read_tissue_cores
from blurryscope.artifacts.video import Video
from blurryscope.artifacts.whole import write_text_whole
from blurryscope.basics.errors import BlurryScopeError
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import to_uint8
from blurryscope.classify.predict import load_model
from blurryscope.dataset.views import prepare_core
from blurryscope.evaluate.intervals import wilson
from blurryscope.evaluate.placement import (
    AUTHENTIC_LIMITS,
    Truth,
    measure_cores,
    measure_placement,
    read_truth,
    slide_fit,
)
from blurryscope.pipeline.live import LiveResult
from blurryscope.pipeline.microscopy import (
    Session,
    calibrate_into,
    plan_of_slide,
    report_slides,
    scan_slides,
)
from blurryscope.pipeline.steps import repeat_folders
from blurryscope.rig import Rig, load_rig
from blurryscope.scan.calibrate import CalibrateSettings
from blurryscope.scan.calibration import Calibration
from blurryscope.scan.journal import Entry, read_journal
from blurryscope.scan.plan import ScanPlan
from blurryscope.scan.plan_file import ScanOrder, read_plan
from blurryscope.scan.states import Controls, ScanStatus
from blurryscope.simulator.rig import SimulatedRig
from blurryscope.simulator.rig_truth import TrueLane, rig_truth, true_lanes
from blurryscope.simulator.slide import Slide
from blurryscope.simulator.truth import map_of

RIG = """
name = "half the authors' resolution"

[simulated]
shrink = 2
speed = 1  # of real time: frames come as a camera sends them, not as fast as they are drawn
"""
PLAN = """
repeats = 1

[[slides]]
name = "SIM"
area = { left_um = 7600, top_um = 4000, width_um = 20000, height_um = 10000 }
"""
LIVE_LIMIT_S = 3.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One demand, and what became of it."""

    what: str
    told: str
    wanted: str
    holds: bool


def main() -> int:
    """Scan, measure, print, and give 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rig", type=Path, help="a rig.toml with [simulated]")
    parser.add_argument("--plan", type=Path, help="a plan.toml with one slide")
    parser.add_argument("--repeats", type=int, help="scans of the slide; else as the plan says")
    parser.add_argument("--out", type=Path, required=True, help="a new folder for everything")
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    rig = load_rig(str(_file(given.rig, given.out / "rig.toml", RIG)))
    order = read_plan(_file(given.plan, given.out / "plan.toml", PLAN))
    if given.repeats is not None:
        order = replace(order, slides=(replace(order.slides[0], repeats=given.repeats),))
    figures = list(scan_and_measure(rig, order, given.out))
    for figure in figures:
        mark = "" if figure.holds else "   BROKEN"
        print(f"{figure.what:42}{figure.told:>26}   {figure.wanted}{mark}")
    return 0 if all(figure.holds for figure in figures) else 1


def _file(given: Path | None, target: Path, text: str) -> Path:
    if given is None:
        target.write_text(text, encoding="utf-8")
    return given or target


def scan_and_measure(rig: Rig, order: ScanOrder, out: Path) -> Iterator[Figure]:
    """Do it all into `out`, then give the figures one by one."""
    began_s = time.monotonic()
    with rig.opened_with_truth() as (scope, behind):
        write_text_whole(out / "map.csv", map_of(behind.slide))
        slide = replace(order.slides[0], map_path=out / "map.csv")
        order = replace(order, slides=(slide,))
        known = calibrate_into(
            scope, order, rig.guess, out / "calibration", CalibrateSettings(focus=rig.focus)
        )
        session = Session(scope=scope, known=known, controls=Controls(), on_status=_unheard)
        plan = plan_of_slide(scope, order, slide, known)
        (end,) = report_slides(scan_slides(session, order, out))
        if end.report is None:
            raise BlurryScopeError(end.problem)
        took_s = time.monotonic() - began_s
        results = repeat_folders(out, slide.repeats)
        ways = [
            _true_way(behind, out / "films" / f"repeat-{number}", result)
            for number, result in enumerate(results, 1)
        ]
    yield from _of_the_calibration(known.record, behind)
    for lanes, result, live in zip(ways, results, session.live_results, strict=True):
        if len(results) > 1:
            yield Figure(result.name, "", "", holds=True)
        yield from _of_the_motion(lanes, plan)
        yield from _of_the_mosaic(result, read_truth(result / "truth.json"))
        yield _of_the_wait(live)
    predictions = read_predictions(out / "scores.csv")
    yield from _of_the_scores(predictions, behind.slide)
    if len(results) > 1:
        yield from _of_the_fused(read_results(out / "results.csv"), predictions, behind.slide)
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = f"{took_s:.0f} s, {used.ru_utime + used.ru_stime:.0f} s CPU"
    yield Figure("in all", told, "", holds=True)


def _unheard(status: ScanStatus) -> None:
    """Nobody watches."""


def _true_way(behind: SimulatedRig, scan: Path, result: Path) -> list[TrueLane]:
    """The lanes of one repeat as the carriage ran them; writes the truth beside its results."""
    journal = read_journal(scan / "journal.jsonl")
    lanes = true_lanes(behind, _windows(journal))
    truth = rig_truth(behind, _frames_began_s(journal, scan / "scan.mkv"), lanes)
    write_text_whole(result / "truth.json", json.dumps(truth) + "\n")
    return lanes


def _windows(journal: Sequence[Entry]) -> list[tuple[float, float]]:
    """From the beginning of each lane to its end, by the answers of the stage."""
    begins = [_number(e, "stage_s") for e in journal if e.event == "lane begins"]
    ends = [_number(e, "stage_s") for e in journal if e.event == "lane is at its end"]
    return list(zip(begins, ends, strict=True))


def _frames_began_s(journal: Sequence[Entry], path: Path) -> NDArray[np.float64]:
    """When each frame of the film was exposed, on the clock of stage and camera."""
    began_s = next(_number(e, "film_began_s") for e in journal if e.event == "lane is at its end")
    times_s: list[float] = []
    last = np.empty((0, 0), np.uint8)
    with Video(path) as film:
        for frame in film:
            luma = frame.luma()
            # A camera that is late sends its last picture again: it shows where that was taken.
            is_repeat = np.array_equal(luma, last)
            times_s.append(times_s[-1] if is_repeat else frame.time_s)
            last = luma.copy()
    return np.asarray(began_s + np.array(times_s) - times_s[0])


def _number(entry: Entry, name: str) -> float:
    return float(str(entry.facts[name]))


def _of_the_calibration(record: Calibration, behind: SimulatedRig) -> Iterator[Figure]:
    camera, stage = behind.settings.scan.camera, behind.settings.scan.stage
    px, size_um = record.pixels, camera.pixel_size_um
    off = px.pixel_size_um / size_um - 1
    yield Figure(
        "pixel size", f"{px.pixel_size_um:.4f} µm, {off:+.2%}", "within 0.5 %", abs(off) <= 0.005
    )
    # The lanes define x, and the simulated y axis is skew to them.
    turn = px.turn_deg - (camera.turn_deg - stage.skew_deg)
    yield Figure("rotation", f"{px.turn_deg:.3f}°, {turn:+.3f}°", "within 0.1°", abs(turn) <= 0.1)
    true_ratio = record.strip.speed_um_per_s * camera.readout_s / (camera.rows * size_um)
    ratio = (record.strip.readout_ratio or 0.0) - true_ratio
    yield Figure(
        "read-out ratio", f"{ratio + true_ratio:.4f}, {ratio:+.4f}", "within 0.02",
        abs(ratio) <= 0.02,
    )  # fmt: skip
    backlash_um = record.backlash.backlash_um - stage.backlash_um
    yield Figure(
        "backlash",
        f"{record.backlash.backlash_um:.2f} µm, {backlash_um:+.2f} µm",
        "within 2 µm",
        abs(backlash_um) <= 2,
    )


def _of_the_motion(lanes: Sequence[TrueLane], plan: ScanPlan) -> Iterator[Figure]:
    speeds = np.array([lane.cruise_um_per_s for lane in lanes])
    off = float(np.abs(speeds / plan.motion.speed_um_per_s - 1).max())
    yield Figure("speed in the lanes, worst", f"{off:+.3%}", "within 1 %", off <= 0.01)
    pitches = np.diff([lane.y_um for lane in lanes])
    pitch = float(np.abs(pitches - plan.lane_pitch_um).max(initial=0.0))
    yield Figure("lane pitch, worst", f"{pitch:.2f} µm off", "within 2 µm", pitch <= 2)
    rested_s = min(lane.rested_s for lane in lanes)
    wanted_s = plan.motion.rest_s
    yield Figure(
        f"rest before each of {len(lanes)} lanes",
        f"at least {rested_s:.3f} s",
        f"{wanted_s} s",
        rested_s >= wanted_s - 1e-6,
    )


def _of_the_mosaic(out: Path, truth: Truth) -> Iterator[Figure]:
    places = read_frame_places(out / "frames.csv")
    placement = measure_placement(places, truth)
    cores = measure_cores(read_tissue_cores(out / "cores.csv"), truth, slide_fit(places, truth))
    inside, over, limits = placement.within_cores, placement.over_slide, AUTHENTIC_LIMITS
    yield Figure(
        "frames told in their lane",
        f"{placement.right_lane_fraction:.2%}",
        f"at least {limits.least_right_lane_fraction:.0%}",
        placement.right_lane_fraction >= limits.least_right_lane_fraction,
    )
    yield Figure(
        "frames within cores, median / 95 %",
        f"{inside.median_px:.2f} / {inside.ninety_five_px:.2f} px",
        f"{limits.median_px:g} / {limits.ninety_five_px:g} px",
        inside.median_px <= limits.median_px and inside.ninety_five_px <= limits.ninety_five_px,
    )
    yield Figure(
        "frames over the slide, median / 95 %",
        f"{over.median_px:.2f} / {over.ninety_five_px:.2f} px",
        f"95 % within {limits.over_slide_px:g} px",
        over.ninety_five_px <= limits.over_slide_px,
    )
    yield Figure(
        "cores found and rightly named",
        f"{len(cores.found)} of {cores.present_count}",
        "all, none invented",
        not cores.lost and not cores.invented,
    )


def _of_the_scores(predictions: Sequence[Prediction], slide: Slide) -> Iterator[Figure]:
    """What the network said of the film, beside what it says of the same cores at rest."""
    true = {core.name: core.score for core in slide.cores if not core.missing}
    filmed = [
        (true[row.core], most)
        for row in predictions
        if row.core in true and (most := row.most_probable) is not None
    ]
    for title, pairs in (("as filmed", filmed), ("at rest", list(_scored_at_rest(slide)))):
        four = sum(score is most for score, most in pairs)
        two = sum(score.is_positive is most.is_positive for score, most in pairs)
        told = f"{_share(four, len(pairs))}, {_share(two, len(pairs))}"
        yield Figure(f"four classes, two; cores {title}", told, "", holds=True)


def _scored_at_rest(slide: Slide) -> Iterator[tuple[Score, Score]]:
    """True and most probable score of each core, cut from the slide's own light."""
    model = load_model()
    half_px = round(_CUT_DIAMETERS / 2 * slide.design.core_diameter_um / slide.pixel_size_um)
    for core in slide.cores:
        if core.missing:
            continue
        row, column = (round(um / slide.pixel_size_um) for um in (core.y_um, core.x_um))
        light = slide.read(row - half_px, column - half_px, 2 * half_px, 2 * half_px)
        lit = to_uint8(light * np.float32(_LAMP))
        prepared = prepare_core(lit, pixel_size_um=slide.pixel_size_um, view_px=model.stack_px)
        yield core.score, Score(int(model.predict(prepared.stack()[None])[0].argmax()))


_CUT_DIAMETERS = 1.24
"""Side of the picture that is cut out of a core."""
_LAMP = 246 / 255
"""Glass is not quite white in a film that is exposed well."""


def _share(hits: int, trials: int) -> str:
    bounds = wilson(hits, trials)
    told = "" if bounds is None else f" ({bounds.low:.0%} to {bounds.high:.0%})"
    return f"{hits} of {trials}{told}"


def _of_the_fused(
    results: Sequence[CoreResult], predictions: Sequence[Prediction], slide: Slide
) -> Iterator[Figure]:
    """What all repeats together say of the cores, and how often they agree."""
    true = {core.name: core.score for core in slide.cores if not core.missing}
    given = [
        (true[row.core], row.score) for row in results if row.core in true and row.score is not None
    ]
    four = sum(score is fused for score, fused in given)
    two = sum(score.is_positive is fused.is_positive for score, fused in given)
    told = f"{_share(four, len(given))}, {_share(two, len(given))}"
    yield Figure("four classes, two; fused, where scored", told, "", holds=True)
    answers = defaultdict(set)
    for row in predictions:
        answers[row.core].add(row.most_probable)
    alike = sum(len(answers[core]) == 1 for core in true)
    yield Figure("most probable alike in all repeats", _share(alike, len(true)), "", holds=True)
    decisions = Counter(row.decision for row in results if row.core in true)
    told = ", ".join(f"{decision} {count}" for decision, count in decisions.most_common())
    yield Figure("fused answers", told, "", holds=True)


def _of_the_wait(live: LiveResult) -> Figure:
    told = f"{live.waited_s:.1f} s" if live.is_whole else f"given up: {live.reason}"
    holds = live.is_whole and live.waited_s <= LIVE_LIMIT_S
    return Figure("last frame to finished mosaic", told, f"at most {LIVE_LIMIT_S:g} s", holds)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BlurryScopeError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
