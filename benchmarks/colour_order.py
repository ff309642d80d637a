"""How often the pixels of a stack show which colour it stores first, and how often wrongly.

    blurryscope dataset build --simulate 32 --repeats 1 --pixel-size-um 0.72 --seed 77 --out SET
    python benchmarks/colour_order.py SHARED_DATA SET

All stacks here store red first; each is judged as it is, with its colours changed in ways that
devices and corrections may, and with its views blurred. Turning a stack's colours round turns the
verdict round, by construction, so nothing is judged twice.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.colour_order import evidence_of_order, is_blue_first
from blurryscope.artifacts.samples import read_stack
from blurryscope.artifacts.video import Video
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.dataset.build import open_data_set
from blurryscope.dataset.views import make_stack

_SHARP_PIXEL_UM = 0.23
_OF_A_REAL_CORE = 3
_EACH = 2
"""Times that each change is drawn for each stack."""
_VERDICTS = {False: "right", None: "nothing", True: "wrong"}

Wide = NDArray[np.floating]
Change = Callable[[Wide, np.random.Generator], Wide]


def main() -> None:
    shared, data_set = Path(sys.argv[1]), Path(sys.argv[2])
    rng = np.random.default_rng(1)
    everything: Counter[str] = Counter()
    for title, stacks in _sources(shared, data_set, rng):
        evidence = []
        counts = {"as they are": Counter[str]()} | {name: Counter[str]() for name in _CHANGES}
        for stack in stacks:
            evidence.append(evidence_of_order(stack))
            counts["as they are"][_verdict(stack)] += 1
            for name, change in _CHANGES.items():
                for _ in range(_EACH):
                    changed = to_uint8(change(stack.astype(np.float32), rng))
                    counts[name][_verdict(changed)] += 1
        right, wrong = np.array(evidence).T
        least, middle, most = np.quantile(right, [0.0, 0.5, 1.0])
        print(f"{title}: {len(right)} stacks, evidence {least:.1f}, {middle:.1f}, {most:.1f}")
        print(f"  for the other order at most {wrong.max():.1f}")
        for name, verdicts in counts.items():
            everything += verdicts
            told = ", ".join(f"{word} {verdicts[word]}" for word in _VERDICTS.values())
            print(f"  {name:28}{told}", flush=True)
    print(f"all together: {dict(everything)}")


def _verdict(stack: Rgb) -> str:
    return _VERDICTS[is_blue_first(stack)]


def _cast(wide: Wide, rng: np.random.Generator) -> Wide:
    return np.asarray(wide * rng.uniform(0.75, 1.3, 3))


def _slight_cast(wide: Wide, rng: np.random.Generator) -> Wide:
    return wide * rng.normal(1.0, 0.03, 3)


def _folded(wide: Wide, rng: np.random.Generator) -> Wide:
    """The authors' white balance by a glass of a wrong colour."""
    return np.asarray(255.0 - np.abs(wide - rng.integers(180, 250, 3)))


def _offset(wide: Wide, rng: np.random.Generator) -> Wide:
    return wide + rng.integers(-40, 40, 3)


def _gamma(wide: Wide, rng: np.random.Generator) -> Wide:
    return np.asarray(255.0 * (wide / 255.0) ** rng.uniform(0.6, 1.6))


def _mixed(wide: Wide, rng: np.random.Generator) -> Wide:
    """Another camera's colours."""
    return np.asarray(wide @ (np.eye(3) + rng.normal(0.0, 0.08, (3, 3))))


def _blurred(wide: Wide, rng: np.random.Generator) -> Wide:
    sigma = rng.uniform(0.3, 1.0)
    return np.stack([cv2.GaussianBlur(view, (0, 0), sigma) for view in wide])


_CHANGES: dict[str, Change] = {
    "colour cast": _cast,
    "slight colour cast": _slight_cast,
    "folded subtraction": _folded,
    "offset": _offset,
    "gamma": _gamma,
    "colours mixed": _mixed,
    "blurred": _blurred,
}


def _sources(
    shared: Path, data_set: Path, rng: np.random.Generator
) -> Iterator[tuple[str, Iterator[Rgb]]]:
    authors = sorted((shared / "blurryscope-stacks").glob("*.tif"))
    yield "the authors' stacks", (read_stack(path, bgr=True) for path in authors)
    cores = sorted((shared / "her2-cores").glob("*.jpg"))
    yield "crops of the real cores' JPEG", _crops_of_cores(cores, rng)
    yield (
        "stacks made of the real cores",
        (make_stack(_picture(path), pixel_size_um=_SHARP_PIXEL_UM) for path in cores),
    )
    yield "stacks made of drawn cores", _drawn(data_set)
    films = [shared / "scans" / scan / "scan.mp4" for scan in ("plain", "hard", "lost")]
    yield "frames of the recorded scans", chain.from_iterable(map(_frames, films))


def _picture(path: Path) -> Rgb:
    picture = cv2.imread(str(path))
    if picture is None:
        raise SystemExit(f"{path} cannot be read")
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def _crops_of_cores(paths: list[Path], rng: np.random.Generator) -> Iterator[Rgb]:
    """Five crops, pixel for pixel, as often as told."""
    for path in paths:
        core = _picture(path)
        rows, columns = (side - 512 for side in core.shape[:2])
        for _ in range(_OF_A_REAL_CORE):
            starts = [(rng.integers(rows), rng.integers(columns)) for _ in range(5)]
            yield np.stack([core[row : row + 512, column : column + 512] for row, column in starts])


def _drawn(data_set: Path) -> Iterator[Rgb]:
    for sample in open_data_set(data_set).samples:
        if sample.pixel_size_um is None:
            raise SystemExit(f"{data_set} holds no pictures of cores")
        yield make_stack(_picture(sample.path), pixel_size_um=sample.pixel_size_um)


def _frames(film: Path) -> Iterator[Rgb]:
    """Five frames of a second each, as stacks that were cut from a film would show them."""
    with Video(film) as frames:
        views = [frame.rgb() for frame in islice(frames, 0, 1500, 30)]
    for start in range(0, len(views) - 4, 5):
        yield np.stack(views[start : start + 5])


if __name__ == "__main__":
    main()
