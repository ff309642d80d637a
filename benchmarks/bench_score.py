"""From the pictures of a slide's cores to scores and maps, against the paper's 0.85 s a core.

    python benchmarks/bench_score.py [--cores 150]

The paper needs an RTX 3090 for its 0.85 s. Processor seconds are printed beside clock seconds,
since on a machine that does other work the clock says little. Drawn cores of 1 mm at 0.56 µm a
pixel, as PNG files of 4 MB. With bfloat16 as well, to see whether it is worth it.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from blurryscope.artifacts.samples import Sample
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Rgb
from blurryscope.classify.memory import most_memory_gib
from blurryscope.classify.predict import Classifier, load_model
from blurryscope.dataset.views import make_stack, prepare_core
from blurryscope.pipeline.core_stacks import core_stacks
from blurryscope.pipeline.why import open_why
from blurryscope.simulator.appearance import Appearance
from blurryscope.simulator.core import draw_core

_LIMIT_S = 0.85
_MAP_LIMIT_S = 0.1
_SLIDE_LIMIT_S = 60.0
_MEMORY_LIMIT_GIB = 1.0
_PIXEL_UM = 0.56
_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Seconds a core."""

    clock_s: float
    processor_s: float

    def __str__(self) -> str:
        return f"{self.clock_s:.3f} s by the clock, {self.processor_s:.3f} of processors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=150)
    given = parser.parse_args()
    classifier = load_model()
    with TemporaryDirectory() as folder:
        samples = _pictures(Path(folder), given.cores)
        for with_maps in (False, True):
            taken = _slide(samples, classifier, Path(folder), with_maps)
            slide_s = 150 * taken.clock_s
            what = "scores and maps" if with_maps else "scores"
            print(f"{what} of {given.cores} cores from their files, a core: {taken}")
            print(f"  150 cores: {slide_s:.0f} s, {slide_s / _SLIDE_LIMIT_S:.2f} of the limit")
        used = most_memory_gib(torch.device("cpu"))
        if used is not None:
            print(f"most memory: {used:.2f} GiB, {used / _MEMORY_LIMIT_GIB:.2f} of the limit")
        core = cv2.imdecode(np.fromfile(samples[0].path, np.uint8), cv2.IMREAD_COLOR_RGB)
        if core is None:
            raise SystemExit(f"{samples[0].path} cannot be read")
        is_slow = _steps(np.asarray(core, np.uint8), samples, classifier)
    if is_slow:
        raise SystemExit("too slow")


def _slide(samples: list[Sample], classifier: Classifier, folder: Path, with_maps: bool) -> Taken:
    """As `blurryscope score` does it."""

    def work() -> None:
        with open_why(folder, classifier) as why:
            group = []
            for core in core_stacks(samples, _PIXEL_UM, classifier.stack_px):
                group.append(core)
                if len(group) == _AT_ONCE or core.sample is samples[-1]:
                    stacks = np.stack([one.placed.stack for one in group])
                    scored = classifier.score_and_see(
                        [one.sample for one in group],
                        stacks,
                        further=[one.further for one in group],
                    )
                    if with_maps:
                        why.explain(group, scored)
                    group = []

    return _timed(work, len(samples))


def _steps(core: Rgb, samples: list[Sample], classifier: Classifier) -> bool:
    """What each step takes by itself; True if crops to probabilities are beyond the limit."""
    full = make_stack(core, pixel_size_um=_PIXEL_UM)
    prepared = prepare_core(core, pixel_size_um=_PIXEL_UM, view_px=classifier.stack_px)
    small, further = prepared.stack()[None], [prepared.further_stacks(2)]
    encoded = np.fromfile(samples[0].path, np.uint8)
    (scored,) = classifier.score_and_see(samples[:1], small)
    steps: dict[str, Callable[[], object]] = {
        "read the picture": lambda: cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB),
        "stack of full size": lambda: make_stack(core, pixel_size_um=_PIXEL_UM),
        "stack as needed": lambda: prepare_core(
            core, pixel_size_um=_PIXEL_UM, view_px=classifier.stack_px
        ).stack(),
        "gate and network": lambda: classifier.score_all(samples[:1], small),
        "other crops": lambda: prepared.further_stacks(len(further[0])),
        "gate and network, other crops at hand": lambda: classifier.score_and_see(
            samples[:1], small, further=further
        ),
        "network": lambda: classifier.answers(small),
        "map": lambda: classifier.evidence(small[0], scored.seen),
    }
    taken = {name: _timed(step, 1) for name, step in steps.items()}
    for name, one in taken.items():
        print(f"{name}: {one}")
    whole_s = taken["stack as needed"].clock_s + taken["gate and network"].clock_s
    print(f"crops to probabilities: {whole_s:.3f} s, {whole_s / _LIMIT_S:.2f} of {_LIMIT_S} s")
    print(f"a map: {taken['map'].clock_s / _MAP_LIMIT_S:.2f} of its limit of {_MAP_LIMIT_S} s")
    plain = classifier.predict(full[None])
    print(
        f"largest change of a probability, reduced stack: {_change(classifier, small, plain):.1e}"
    )
    with torch.autocast("cpu", torch.bfloat16):
        print(f"bfloat16: {_timed(lambda: classifier.answers(small), 1)}")
        print(f"largest change of a probability: {_change(classifier, small, plain):.1e}")
    return whole_s > _LIMIT_S


def _change(classifier: Classifier, stacks: Rgb, plain: NDArray[np.float64]) -> float:
    return float(np.abs(classifier.predict(stacks) - plain).max())


def _timed(work: Callable[[], object], count: int) -> Taken:
    """The median of three times for short work, once for long."""
    taken = []
    for _ in range(1 if count > 1 else 5):
        clock_s, processor_s = time.perf_counter(), time.process_time()
        work()
        taken.append((time.perf_counter() - clock_s, time.process_time() - processor_s))
    clock_s, processor_s = np.median(taken, axis=0) / count
    return Taken(clock_s=float(clock_s), processor_s=float(processor_s))


def _pictures(folder: Path, count: int) -> list[Sample]:
    """Three drawn cores by turns."""
    files = []
    for number, score in enumerate((Score.ONE, Score.TWO, Score.THREE)):
        drawn = draw_core(
            score,
            diameter_um=1000.0,
            pixel_size_um=_PIXEL_UM,
            rng=np.random.default_rng(number),
            appearance=Appearance(),
        )
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), cv2.cvtColor(drawn.rgb, cv2.COLOR_RGB2BGR))
        files.append(path)
    first = Sample(slide="S", case="", core=CoreName(0, 0), repeat=1, score=None, path=files[0])
    return [
        replace(first, core=CoreName(*divmod(n, 15)), path=files[n % len(files)])
        for n in range(count)
    ]


if __name__ == "__main__":
    main()
