"""How long stitching takes and how much memory, against decoding the same film in the same run.

    python benchmarks/bench_stitch.py [FILM]

Without a film a small one is simulated. Three ratios, each with its limit: CPU time of the whole
stitch to that of decoding the film to colour once; CPU time
of the stitch to how long the scan took; memory beyond that of decoding to what a plain stitcher
holds, which is sums and weights of the whole mosaic. Each is measured in a process of its own.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.recording import Recording
from blurryscope.artifacts.video import Video
from blurryscope.simulator.presets import PLAIN
from blurryscope.simulator.scan import simulate_scan
from blurryscope.simulator.slide import SlideDesign
from blurryscope.stitch.film import stitch_film

_MOST_CPU = 20.0
_MOST_OF_SCAN = 1.0
"""One core then keeps up with the microscope."""
_MOST_MEMORY = 1.5
"""A short film is held whole until its camera is certain."""
_PLAIN_BYTES_PER_PX = 16
"""Three sums and a weight, float32."""

_SLIDE = SlideDesign(rows=2, columns=3, core_diameter_um=700, pitch_um=1000, margin_um=800, seed=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a piece of work took."""

    wall_s: float
    cpu_s: float
    peak_gib: float


def main() -> int:
    """Measure, print the table, and give 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("film", type=Path, nargs="?")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = given.film or simulate_scan(folder, design=_SLIDE, settings=PLAIN, seed=1).video
        with Video(film) as opened:
            scan_s = opened.info.frame_count / opened.info.frame_rate_hz
            frame_count = opened.info.frame_count
        decoding = _alone(_decode, film, folder / "slide")
        stitching = _alone(_stitch, film, folder / "slide")
        rows, columns = Mosaic(folder / "slide" / "mosaic.ome.zarr").size_px
    print(f"{frame_count} frames, {scan_s:.0f} s of scan, mosaic of {rows} x {columns} px")
    print(f"{'':22}{'wall s':>8}{'CPU s':>8}{'peak GiB':>10}")
    for title, cost in (("decoding", decoding), ("stitching", stitching)):
        print(f"{title:22}{cost.wall_s:8.1f}{cost.cpu_s:8.1f}{cost.peak_gib:10.2f}")
    beyond_gib = stitching.peak_gib - decoding.peak_gib
    plain_gib = rows * columns * _PLAIN_BYTES_PER_PX / 2**30
    held = [
        _told("CPU, stitch / decode", stitching.cpu_s / decoding.cpu_s, _MOST_CPU),
        _told("CPU, stitch / scan", stitching.cpu_s / scan_s, _MOST_OF_SCAN),
        _told("memory, stitch / plain", beyond_gib / plain_gib, _MOST_MEMORY),
    ]
    return 0 if all(held) else 1


def _decode(film: Path, out: Path) -> None:
    del out
    with Video(film) as frames:
        for frame in frames:
            frame.rgb()


def _stitch(film: Path, out: Path) -> None:
    stitch_film(film, out, recording=Recording())


def _alone(work: Callable[[Path, Path], None], film: Path, out: Path) -> Cost:
    """Run it in a fresh process, so that its peak of memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_cost, work, film, out).result()


def _cost(work: Callable[[Path, Path], None], film: Path, out: Path) -> Cost:
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    work(film, out)
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    return Cost(wall_s=wall_s, cpu_s=cpu_s, peak_gib=_peak_gib())


def _peak_gib() -> float:
    if sys.platform == "win32":
        return float("nan")
    import resource

    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / 2**20 if sys.platform != "darwin" else kib / 2**30


def _told(what: str, ratio: float, most: float) -> bool:
    held = not ratio > most  # memory cannot be told on Windows and is then not judged
    print(f"{'ok  ' if held else 'LATE'} {what:<26} {ratio:6.2f}   (at most {most:g})")
    return held


if __name__ == "__main__":
    sys.exit(main())
