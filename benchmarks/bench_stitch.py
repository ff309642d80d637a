"""How long stitching takes and how much memory, against decoding the same film in the same run.

    python benchmarks/bench_stitch.py [FILM] [--times N] [--no-live]

Without a film a small one is simulated. Each piece of work runs in a process of its own: decoding
the film alone, from its file to colour; stitching it, from its file to the finished pyramid; the
same with the film N times over (its lanes one below the other, copied, not encoded again), for
growth; the same in one process, by threads alone, for the CPU time of each stage; and stitching it
live, its frames handed over at the rate at which they were filmed. Then ratios with their limits.
CPU and memory are those of a process and of those it starts, the peak of both added up. On a
machine that is busy with something else frames a second say little; ratios of CPU times still do.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import av

from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.recording import Recording
from blurryscope.artifacts.video import Video
from blurryscope.basics.ahead import ahead
from blurryscope.simulator.presets import PLAIN
from blurryscope.simulator.scan import simulate_scan
from blurryscope.simulator.slide import SlideDesign
from blurryscope.stitch import laying as laying_module
from blurryscope.stitch.compose import Composer
from blurryscope.stitch.film import SlideStitcher, stitch_film
from blurryscope.stitch.placing import Placer
from blurryscope.stitch.stitcher import StitchSettings
from blurryscope.stitch.tracker import Tracker

_MOST_OF_DECODING = 3.0
_LEAST_FRAMES_PER_S = 250.0
_MOST_GIB = 1.2
_MOST_GROWTH = 1.15
"""CPU per frame of the long film to that of the short one: 1 is linear."""
_MOST_WAIT_S = 3.0
_MOST_OF_CORE = 0.6

_AHEAD = 64
"""Frames decoded beforehand where stages are timed."""
_WHOLE = StitchSettings(ends_at_second_scan=False)
"""The film several times over would end after the first time."""
_SLIDE = SlideDesign(rows=2, columns=3, core_diameter_um=700, pitch_um=1000, margin_um=800, seed=1)
# Each by the time of the thread that does it. Read-outs are tried by threads of their own, which
# count among the rest.
_STAGES: list[tuple[str, Any, str]] = [
    ("look at each frame", Tracker, "push"),
    ("shading", Tracker, "settle"),
    ("shading in colour", Tracker, "_colour_shading"),
    ("lay the first lanes out", Placer, "start"),
    ("place later lanes", Placer, "add"),
    ("even brightness", laying_module, "lane_brightness"),
    ("rectify frames", Composer, "_rectified"),
    ("lay frames", Composer, "_lay_picture"),
    ("halve and hand on rows", Composer, "write_above"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a piece of work took."""

    wall_s: float
    cpu_s: float
    peak_gib: float
    waited_s: float = 0.0
    """From the last frame to the end."""
    stages_s: dict[str, float] = field(default_factory=dict)
    """CPU time by stage."""


def main() -> int:
    """Measure, print the tables, and give 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("film", type=Path, nargs="?")
    parser.add_argument("--times", type=int, default=3, help="copies of the film for growth")
    parser.add_argument("--no-live", action="store_true", help="leave the paced run out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = given.film or simulate_scan(folder, design=_SLIDE, settings=PLAIN, seed=1).video
        with Video(film) as opened:
            count, rate_hz = opened.info.frame_count, opened.info.frame_rate_hz
        longer = repeated(film, given.times, folder / f"longer{film.suffix}")
        decoding = _alone(_decode, film)
        stitching = _alone(partial(_stitch, folder / "slide"), film)
        growing = _alone(partial(_stitch, folder / "longer"), longer)
        by_threads = _alone(partial(_stitch_by_threads, folder / "threads"), film)
        live = None if given.no_live else _alone(partial(_live, folder / "live"), film)
        rows, columns = Mosaic(folder / "slide" / "mosaic.ome.zarr").size_px
    print(
        f"{count} frames, {count / rate_hz:.0f} s of scan, mosaic of {rows} x {columns} px; ",
        end="",
    )
    print(f"{os.cpu_count()} cores, load {_load():.1f}")
    _print_costs(
        [
            ("decoding alone", decoding, count),
            ("stitching", stitching, count),
            (f"stitching {given.times} times the film", growing, given.times * count),
            ("stitching by threads alone", by_threads, count),
            *([] if live is None else [("stitching live", live, count)]),
        ]
    )
    _print_stages(decoding, by_threads, count)
    held = [
        _told("frames/s", count / stitching.wall_s, least=_LEAST_FRAMES_PER_S),
        _told("time, stitch / decode", stitching.wall_s / decoding.wall_s, most=_MOST_OF_DECODING),
        _told("CPU, stitch / decode", stitching.cpu_s / decoding.cpu_s),
        _told("peak GiB", stitching.peak_gib, most=_MOST_GIB),
        _told(f"peak GiB, {given.times} times the film", growing.peak_gib, most=_MOST_GIB),
        _told(
            f"CPU per frame, {given.times} times / once",
            growing.cpu_s / stitching.cpu_s / given.times,
            most=_MOST_GROWTH,
        ),
    ]
    if live is not None:
        held.append(_told("live: s after last frame", live.waited_s, most=_MOST_WAIT_S))
        held.append(_told("live: share of a core", live.cpu_s / live.wall_s, most=_MOST_OF_CORE))
    return 0 if all(held) else 1


def repeated(film: Path, times: int, out: Path) -> Path:
    """Write the film several times over, one copy after the other, without encoding it again."""
    with av.open(str(out), "w") as target:
        stream, offset = None, 0
        for _ in range(times):
            with av.open(str(film)) as source:
                template = source.streams.video[0]
                stream = stream or target.add_stream_from_template(template)
                packets = [packet for packet in source.demux(template) if packet.dts is not None]
                ticks = sorted(packet.pts or 0 for packet in packets)
                for packet in packets:
                    packet.pts = (packet.pts or 0) + offset
                    packet.dts = (packet.dts or 0) + offset
                    packet.stream = stream
                    target.mux(packet)
                offset += ticks[-1] - ticks[0] + (ticks[-1] - ticks[0]) // (len(ticks) - 1)
    return out


def _decode(film: Path) -> float:
    with Video(film) as frames:
        for frame in frames:
            frame.rgb()
    return 0.0


def _stitch(out: Path, film: Path) -> float:
    stitch_film(film, out, recording=Recording(), settings=_WHOLE)
    return 0.0


def _stitch_by_threads(out: Path, film: Path) -> float:
    with Video(film) as frames, SlideStitcher(film, out, Recording(), _WHOLE) as slide:
        for frame in ahead(frames, _AHEAD):
            slide.push(frame)
        slide.finish()
    return 0.0


def _live(out: Path, film: Path) -> float:
    """Hand each frame over when it would have been filmed; gives the wait after the last."""
    with Video(film) as frames, SlideStitcher(film, out, Recording()) as slide:
        begun_s = time.monotonic()
        for frame in frames:
            time.sleep(max(begun_s + frame.time_s - time.monotonic(), 0.0))
            slide.push(frame)
        ended_s = begun_s + frame.time_s
        slide.finish()
        return time.monotonic() - ended_s


def _alone(work: Callable[[Path], float], film: Path) -> Cost:
    """Run it in a fresh process, so that its peak of memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_cost, work, film).result()


def _cost(work: Callable[[Path], float], film: Path) -> Cost:
    stages_s = dict.fromkeys((title for title, _, _ in _STAGES), 0.0)
    for title, owner, name in _STAGES:
        setattr(owner, name, _timed(getattr(owner, name), title, stages_s))
    began_s, began_cpu_s = time.perf_counter(), _cpu_s()
    waited_s = work(film)
    wall_s, cpu_s = time.perf_counter() - began_s, _cpu_s() - began_cpu_s
    return Cost(
        wall_s=wall_s, cpu_s=cpu_s, peak_gib=_peak_gib(), waited_s=waited_s, stages_s=stages_s
    )


def _timed(work: Callable[..., Any], title: str, stages_s: dict[str, float]) -> Callable[..., Any]:
    def timed(*given: Any, **named: Any) -> Any:
        began_s = time.thread_time()
        try:
            return work(*given, **named)
        finally:
            stages_s[title] += time.thread_time() - began_s

    return timed


def _cpu_s() -> float:
    """Of this process and of those that it has started and waited for."""
    taken = os.times()
    return taken.user + taken.system + taken.children_user + taken.children_system


def _peak_gib() -> float:
    if sys.platform == "win32":
        return float("nan")
    import resource

    peaks = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    kib = sum(peak.ru_maxrss for peak in peaks)
    return kib / 2**20 if sys.platform != "darwin" else kib / 2**30


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def _print_costs(costs: Sequence[tuple[str, Cost, int]]) -> None:
    print(f"\n{'':26}{'wall s':>8}{'CPU s':>8}{'ms a frame':>12}{'peak GiB':>10}")
    for title, cost, frames in costs:
        each_ms = 1e3 * cost.cpu_s / frames
        print(f"{title:26}{cost.wall_s:8.1f}{cost.cpu_s:8.1f}{each_ms:12.2f}{cost.peak_gib:10.2f}")


def _print_stages(decoding: Cost, stitching: Cost, count: int) -> None:
    """CPU of the stitch by stage; the share of decoding is that of decoding alone."""
    rest_s = stitching.cpu_s - sum(stitching.stages_s.values()) - decoding.cpu_s
    stages_s = {"decode": decoding.cpu_s, **stitching.stages_s, "find lanes, store, rest": rest_s}
    print(f"\n{'stage':26}{'CPU ms a frame':>16}{'/ decode':>10}")
    for title, cpu_s in stages_s.items():
        print(f"{title:26}{1e3 * cpu_s / count:16.2f}{cpu_s / decoding.cpu_s:10.2f}")
    print()


def _told(what: str, value: float, *, least: float = 0.0, most: float = float("inf")) -> bool:
    held = not (value < least or value > most)  # what cannot be told is not judged
    limit = f"(at least {least:g})" if least else f"(at most {most:g})" if most < 1e9 else ""
    print(f"{'ok  ' if held else 'LATE'} {what:<30} {value:8.2f}   {limit}")
    return held


if __name__ == "__main__":
    sys.exit(main())
