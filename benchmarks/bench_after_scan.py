"""What the user waits for once a film is stitched, step by step, against stitching it in this run.

    python benchmarks/bench_after_scan.py [FILM] [--map MAP]

Without a film a small one is simulated. A film is decoded, stitched, judged, its cores named, cut
out and scored, and the report written, as `blurryscope run` does it. On a machine that is busy with
something else only the ratios of processor seconds mean anything.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from blurryscope.artifacts.recording import Recording
from blurryscope.artifacts.video import Video
from blurryscope.pipeline.cores import cores, read_map
from blurryscope.pipeline.scoring import load_scorer, score
from blurryscope.pipeline.settings import RunSettings
from blurryscope.report import write_report
from blurryscope.report.scan_quality_picture import draw_scan_quality
from blurryscope.simulator.presets import PLAIN
from blurryscope.simulator.scan import simulate_scan
from blurryscope.simulator.slide import SlideDesign
from blurryscope.stitch.film import stitch_film
from blurryscope.stitch.scan_quality import judge_scan

_MOST_OF_STITCHING = {"judge the scan": 0.15, "all after stitching": 1.0}
"""Processor seconds by those of stitching."""
_SLIDE = SlideDesign(rows=2, columns=3, core_diameter_um=700, pitch_um=1000, margin_um=800, seed=1)
_DECODE, _STITCH = "decode the film", "stitch it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a step took."""

    clock_s: float
    processor_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("film", type=Path, nargs="?")
    parser.add_argument("--map", type=Path)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        film = (
            given.film or simulate_scan(Path(folder), design=_SLIDE, settings=PLAIN, seed=1).video
        )
        steps = _steps(film, Path(folder) / "slide", given.map)
        taken = {name: _timed(step) for name, step in steps.items()}
    after = [one for name, one in taken.items() if name not in {_DECODE, _STITCH}]
    taken["all after stitching"] = Taken(
        clock_s=sum(one.clock_s for one in after),
        processor_s=sum(one.processor_s for one in after),
    )
    _tell(taken)


def _steps(film: Path, out: Path, map_path: Path | None) -> dict[str, Callable[[], object]]:
    """In the order in which they are done."""
    settings = RunSettings()
    classifier = load_scorer(settings.model)
    given = read_map(map_path, None, settings)
    return {
        _DECODE: lambda: _decode(film),
        _STITCH: lambda: stitch_film(film, out, recording=Recording()),
        "judge the scan": lambda: judge_scan(out),
        "draw how it went": lambda: draw_scan_quality(out),
        "name and cut out cores": lambda: cores([out], given, settings=settings),
        "score and explain": lambda: score(
            [out], out, slide="slide", classifier=classifier, settings=settings
        ),
        "write the report": lambda: write_report(out),
    }


def _decode(film: Path) -> None:
    with Video(film) as video:
        for frame in video:
            frame.rgb()


def _timed(step: Callable[[], object]) -> Taken:
    clock_s, processor_s = time.perf_counter(), _processor_s()
    step()
    return Taken(clock_s=time.perf_counter() - clock_s, processor_s=_processor_s() - processor_s)


def _processor_s() -> float:
    """With the processes that it started and that have ended."""
    return sum(os.times()[:4])


def _tell(taken: dict[str, Taken]) -> None:
    print(f"{'':24}{'clock s':>9}{'processor s':>13}{'by decoding':>13}{'by stitching':>14}")
    for name, one in taken.items():
        by_decoding = one.processor_s / taken[_DECODE].processor_s
        by_stitching = one.processor_s / taken[_STITCH].processor_s
        print(
            f"{name:24}{one.clock_s:9.2f}{one.processor_s:13.2f}"
            f"{by_decoding:13.2f}{by_stitching:14.2f}"
        )
    slow = [
        f"{name}: more than {most} of stitching"
        for name, most in _MOST_OF_STITCHING.items()
        if taken[name].processor_s > most * taken[_STITCH].processor_s
    ]
    if slow:
        raise SystemExit("too slow: " + "; ".join(slow))


if __name__ == "__main__":
    main()
