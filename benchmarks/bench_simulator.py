"""How fast the simulator films and draws, and how much memory a full slide takes.

    python benchmarks/bench_simulator.py

Three figures, each with its limit: frames a second of a whole simulated scan (film on disk
included; at least 60 on two idle cores) and the ratio to a plain render that samples every pixel
at every moment of the exposure; seconds of CPU for a core of 1 mm; peak memory of looking all
over a slide of 20 x 25 mm at 0.72 µm per pixel.
"""

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np

from blurryscope.basics.her2 import Score
from blurryscope.simulator.appearance import random_appearance
from blurryscope.simulator.camera import Camera, field_offsets
from blurryscope.simulator.core import draw_core
from blurryscope.simulator.presets import AUTHENTIC
from blurryscope.simulator.scan import plan_zigzag, simulate_scan
from blurryscope.simulator.slide import Slide, SlideDesign
from blurryscope.simulator.stage import StagePath

_FRAMES_PER_S = 60.0
_CORE_S = 0.4
_MEMORY_GIB = 2.0
_PLAIN_SAMPLES = 54
"""One for each pixel that the stage moves during an exposure."""

_SMALL = SlideDesign(rows=2, columns=3, core_diameter_um=700, pitch_um=1000, margin_um=800, seed=1)
_FULL = SlideDesign(rows=16, columns=13, core_diameter_um=1000, pitch_um=1300, margin_um=1900)


def main() -> int:
    """Measure, print the table, and give 1 if a limit is broken."""
    load = _load()
    print(f"{os.cpu_count()} cores, {platform.machine()}, load {load:.1f} before the start")
    held = [_film(is_busy=load > 1.0), _render(), _draw(), _memory()]
    return 0 if all(held) else 1


def _film(*, is_busy: bool) -> bool:
    """Judge the time on the wall; on a busy machine, what the CPU time says of two free cores."""
    with tempfile.TemporaryDirectory() as folder:
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        scan = simulate_scan(Path(folder), design=_SMALL, settings=AUTHENTIC, seed=1)
        wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    rate = scan.frame_count / wall_s
    free_rate = 2 * scan.frame_count / cpu_s
    held = (free_rate if is_busy else rate) >= _FRAMES_PER_S
    more = f"{free_rate:.0f} by CPU time" + (", judged by that: the machine is busy" * is_busy)
    return _told("film, authentic, frames/s", rate, more, held)


def _render() -> bool:
    slide = Slide(_SMALL, AUTHENTIC.camera.pixel_size_um)
    rng = np.random.default_rng(0)
    path = StagePath(plan_zigzag(slide, AUTHENTIC), AUTHENTIC.stage, rng)
    camera = Camera(AUTHENTIC.camera, slide, path, rng)
    over_tissue_s = _moment_over(slide, path)
    camera.light(over_tissue_s)  # draws the core
    fast_s = _seconds(lambda: camera.light(over_tissue_s), 30)
    plain_s = _seconds(lambda: _plain_light(slide, path, over_tissue_s), 3)
    return _told(
        "plain render / fast render",
        plain_s / fast_s,
        f"{fast_s * 1e3:.1f} ms CPU a frame",
        plain_s > 5 * fast_s,
    )


def _draw() -> bool:
    draw_s = {px_um: _seconds(_drawing(px_um), 12) for px_um in (0.72, 1.12)}
    text = ", ".join(f"{s:.2f} s at {px} µm" for px, s in draw_s.items())
    return _told("draw a core of 1 mm, CPU s", draw_s[0.72], text, draw_s[0.72] <= _CORE_S)


def _drawing(px_um: float) -> Callable[[], object]:
    """Draw the next core each time it is called: all scores in turn, every look there is."""
    rng = np.random.default_rng(3)
    scores = cycle(Score)

    def draw() -> object:
        look = random_appearance(rng)
        return draw_core(
            next(scores), diameter_um=1000.0, pixel_size_um=px_um, rng=rng, appearance=look
        )

    return draw


def _memory() -> bool:
    slide = Slide(_FULL, 0.72)
    rows, columns = slide.size_px
    for left in range(0, columns, 640):  # two rows of cores fill the cache more than once
        slide.read(rows // 3, left, 2600, 640)
    for top in range(0, rows, 2000):
        slide.read(top, columns // 2, 640, 640)
    peak_gib = _peak_gib()
    size = f"{rows} x {columns} px, {rows * columns * 3 / 2**30:.1f} GiB if held whole"
    return _told("peak memory, full slide, GiB", peak_gib, size, peak_gib <= _MEMORY_GIB)


def _plain_light(slide: Slide, path: StagePath, start_s: float) -> None:
    camera = AUTHENTIC.camera
    off_column, off_row = field_offsets(camera)
    row_s = np.arange(camera.rows) * camera.readout_s / camera.rows
    left, top = (
        int(um[0] / camera.pixel_size_um) - 600 for um in path.position_um(np.array([start_s]))
    )
    region = slide.read(top, left, 1200, 1200).astype(np.float32)
    total = np.zeros((camera.rows, camera.columns, 3), np.float32)
    for share in (np.arange(_PLAIN_SAMPLES) + 0.5) / _PLAIN_SAMPLES:
        x_um, y_um = path.position_um(start_s + row_s + share * camera.exposure_s)
        column = off_column + (x_um / camera.pixel_size_um - 0.5 - left)[:, None]
        row = off_row + (y_um / camera.pixel_size_um - 0.5 - top)[:, None]
        total += cv2.remap(
            region, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR
        )
    total /= _PLAIN_SAMPLES


def _moment_over(slide: Slide, path: StagePath) -> float:
    times_s = np.arange(0, path.duration_s, 1 / 30)
    x_um, y_um = path.position_um(times_s)
    core = slide.cores[0]
    away = np.hypot(x_um - core.x_um, y_um - core.y_um) + 1e6 * (path.lane_at(times_s) < 0)
    return float(times_s[np.argmin(away)])


def _seconds(work: Callable[[], object], times: int) -> float:
    began_s = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began_s) / times


def _told(what: str, figure: float, more: str, held: bool) -> bool:
    print(f"{'ok  ' if held else 'LATE'} {what:<32} {figure:8.2f}   ({more})")
    return held


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def _peak_gib() -> float:
    if sys.platform == "win32":
        return float("nan")
    import resource

    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / 2**20 if sys.platform != "darwin" else kib / 2**30


if __name__ == "__main__":
    sys.exit(main())
