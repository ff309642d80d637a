"""What other stitchers make of the same scan, beside ours and beside decoding alone.

    python benchmarks/bench_peers.py [--preset plain|authentic] [--peer-python PYTHON] [--markdown]

A small slide is simulated. The others get its moving frames as tiles, turned so that lanes run
along x and sorted into lanes, with the positions that the scan plan gives them (speed x time since
the lane began, lane pitch); ours gets the film and nothing else. Errors are distances to the
simulator's truth as `evaluate.placement` measures them; a frame that a tool leaves out counts as
infinitely far. Tools live in the optional extra `peers`, or in the environment of PYTHON; one that
is missing or gives up is told so.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.frame_places import FramePlace, StageState, read_frame_places
from blurryscope.artifacts.recording import Recording
from blurryscope.artifacts.video import Video
from blurryscope.evaluate.placement import PlacementFigures, measure_placement, read_truth
from blurryscope.simulator.presets import PRESETS, ScanSettings
from blurryscope.simulator.scan import SimulatedScan, plan_zigzag, simulate_scan
from blurryscope.simulator.slide import Slide, SlideDesign
from blurryscope.simulator.stage import StagePath, StageSettings
from blurryscope.stitch.film import stitch_film

_DESIGN = SlideDesign(
    name="PEERS", rows=2, columns=3, core_diameter_um=700, pitch_um=1000, margin_um=700, seed=8
)
_TOOLS = ("opencv-scans", "m2stitch", "m2stitch-tuned", "ashlar", "ashlar-tuned")
_MOST_S = 900
_LEAST_TILES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a piece of work took, in a process of its own."""

    wall_s: float
    cpu_s: float
    peak_gib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the scan plan says of each frame of the film."""

    lanes: NDArray[np.int64]
    """(frames,), -1 outside lanes."""
    centres_px: NDArray[np.float64]
    """(frames, 2), x and y of the field's centre."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table; None where there is nothing to tell."""

    name: str
    figures: PlacementFigures | None
    cost: Cost | None
    note: str = ""


def main() -> None:
    """Simulate, let everybody stitch, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--preset", choices=list(PRESETS), default="plain")
    parser.add_argument("--peer-python", default=sys.executable, help="where the peers live")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        _work_alone(*given.alone)
        return
    settings = PRESETS[given.preset]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scan = simulate_scan(folder, design=_DESIGN, settings=settings, seed=6)
        plan = planned(scan, settings)
        tiles = np.flatnonzero(plan.lanes >= 0)
        _write_tiles(folder, scan, plan, tiles, settings)
        rows = [
            Row(name="decoding alone", figures=None, cost=_alone("decode", scan.video, folder)),
            Row(name="the plan's positions", figures=_measured(plan, scan), cost=None),
            _ours(scan, folder),
        ]
        rows += [_peer(tool, given.peer_python, folder, plan, tiles, scan) for tool in _TOOLS]
    print(f"{given.preset}: {len(tiles)} tiles of {plan.lanes.max() + 1} lanes\n")
    _print_table(rows, given.markdown)


def planned(scan: SimulatedScan, settings: ScanSettings) -> Plan:
    """Where each frame should lie if the stage were faultless since its lane began.

    Which frames are a lane's is given away: a user would cut the film at the rests.
    """
    slide = Slide(_DESIGN, settings.camera.pixel_size_um)
    told = settings.stage
    faultless = StageSettings(
        speed_um_per_s=told.speed_um_per_s,
        acceleration_um_per_s2=told.acceleration_um_per_s2,
        rest_s=told.rest_s,
    )
    zigzag = plan_zigzag(slide, settings)
    path = StagePath(zigzag, faultless, np.random.default_rng(0))
    lanes = read_truth(scan.truth).lanes
    centres = np.zeros((len(lanes), 2))
    for lane in range(zigzag.lane_count):
        rows = np.flatnonzero(lanes == lane)
        since_s = (rows - rows[0] + 0.5) / settings.camera.frame_rate_hz
        x_um, _ = path.position_um(told.rest_s + since_s)  # along the first lane
        if lane % 2:
            x_um = 2 * zigzag.start_x_um + zigzag.lane_length_um - x_um
        centres[rows, 0] = x_um
        centres[rows, 1] = zigzag.start_y_um + lane * zigzag.lane_pitch_um
    return Plan(lanes=lanes, centres_px=centres / settings.camera.pixel_size_um)


def _write_tiles(
    folder: Path,
    scan: SimulatedScan,
    plan: Plan,
    tiles: NDArray[np.int64],
    settings: ScanSettings,
) -> None:
    """Grey tiles, turned by quarters so that lanes run along x, and their nominal corners."""
    quarters = round(settings.camera.turn_deg / 90) % 4
    wanted = set(tiles.tolist())
    with Video(scan.video) as film:
        pictures = [np.rot90(f.luma(), -quarters).copy() for f in film if f.index in wanted]
    np.save(folder / "tiles.npy", np.stack(pictures))
    size = np.array(pictures[0].shape[::-1])
    corners = plan.centres_px[tiles] - (size - 1) / 2
    corners -= corners.min(axis=0)
    with (folder / "plan.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["tile", "lane", "column", "y_px", "x_px"])
        for number, (tile, (x, y)) in enumerate(zip(tiles, corners, strict=True)):
            lane = int(plan.lanes[tile])
            in_lane = plan.lanes[tiles] == lane
            column = int((corners[in_lane, 0] < x).sum())
            table.writerow([number, lane, column, y, x])


def _ours(scan: SimulatedScan, folder: Path) -> Row:
    cost = _alone("stitch", scan.video, folder / "slide")
    places = read_frame_places(folder / "slide" / "frames.csv")
    return Row(
        name="BlurryScope", figures=measure_placement(places, read_truth(scan.truth)), cost=cost
    )


def _alone(work: str, film: Path, out: Path) -> Cost:
    """Run this script again for one piece of work, so that its peak of memory is its own."""
    command = [sys.executable, __file__, "--alone", work, str(film), str(out)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return Cost(**json.loads(ended.stdout.splitlines()[-1]))


def _work_alone(work: str, film: str, out: str) -> None:
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    if work == "decode":
        with Video(Path(film)) as frames:
            for frame in frames:
                frame.rgb()
    else:
        stitch_film(Path(film), Path(out), recording=Recording())
    cost = {
        "wall_s": time.perf_counter() - began_s,
        "cpu_s": time.process_time() - began_cpu_s,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    print(json.dumps(cost))


def _peer(
    tool: str, python: str, folder: Path, plan: Plan, tiles: NDArray[np.int64], scan: SimulatedScan
) -> Row:
    script = Path(__file__).parent / "peers" / "align_tiles.py"
    try:
        ended = subprocess.run(
            [python, str(script), tool, str(folder)],
            capture_output=True, text=True, check=False, timeout=_MOST_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Row(name=tool, figures=None, cost=None, note=f"not done in {_MOST_S} s")
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        return Row(name=tool, figures=None, cost=None, note=last[:90])
    with (folder / f"{tool}.csv").open(encoding="utf-8", newline="") as file:
        corners = {
            int(tiles[int(row["tile"])]): (float(row["x_px"]), float(row["y_px"]))
            for row in csv.DictReader(file)
        }
    cost = Cost(**json.loads((folder / f"{tool}.json").read_text(encoding="utf-8")))
    if len(corners) < _LEAST_TILES:
        return Row(name=tool, figures=None, cost=cost, note=f"placed {len(corners)} tiles only")
    note = "" if len(corners) == len(tiles) else f"{len(corners)} of {len(tiles)} tiles placed"
    return Row(name=tool, figures=_measured(plan, scan, corners), cost=cost, note=note)


def _measured(
    plan: Plan, scan: SimulatedScan, corners: Mapping[int, tuple[float, float]] | None = None
) -> PlacementFigures:
    """Figures of the plan itself, or of corners that a tool gave the frames."""
    places = [
        FramePlace(
            frame=frame, time_s=0.0, state=StageState.MOVING, lane=int(lane),
            x_px=float(x), y_px=float(y), confidence=1.0,
        )
        for frame, (lane, (x, y)) in enumerate(zip(plan.lanes, plan.centres_px, strict=True))
    ]  # fmt: skip
    if corners is not None:
        places = [
            replace(place, x_px=None, y_px=None)
            if place.frame not in corners
            else replace(place, x_px=corners[place.frame][0], y_px=corners[place.frame][1])
            for place in places
        ]
    return measure_placement(places, read_truth(scan.truth))


def _print_table(rows: list[Row], is_markdown: bool) -> None:
    titles = [
        "",
        "core 50 %",
        "core 95 %",
        "slide 50 %",
        "slide 95 %",
        "wall s",
        "CPU s",
        "GiB",
        "",
    ]
    lines = [titles, *(_cells(row) for row in rows)]
    if is_markdown:
        lines.insert(1, ["---", *["--:"] * 7, "---"])
        for line in lines:
            print(f"| {' | '.join(line)} |")
        return
    for name, *figures, note in lines:
        print(f"{name:22}" + "".join(f"{figure:>11}" for figure in figures) + f"  {note}")


def _cells(row: Row) -> list[str]:
    placed, cost = row.figures, row.cost
    errors = [placed.within_cores, placed.over_slide] if placed else []
    told = [f"{v:.2f}" for error in errors for v in (error.median_px, error.ninety_five_px)]
    took = [f"{cost.wall_s:.1f}", f"{cost.cpu_s:.1f}", f"{cost.peak_gib:.2f}"] if cost else []
    return [row.name, *(told or ["–"] * 4), *(took or ["–"] * 3), row.note]


if __name__ == "__main__":
    main()
