"""The shipped model on stacks as the authors' device makes them, from pieces of the real cores.

    python benchmarks/pieces_of_real_cores.py SHARED_DATA [--count 84] [--seed 3]

Each of the seven cores again and again: at 0.7 to 1.2 µm a pixel, mirrored at random, blurred by
39 µm along x, its white balance divided, tinted, folded (255 - |frame - glass|) or left out, noisy,
compressed; four native crops of 512 pixels at random, half of them with a seam, and the whole core.
Nothing is told of the size of a pixel, which stacks do not tell either.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from sklearn.metrics import roc_auc_score

from blurryscope.artifacts.predictions import Decision, Prediction
from blurryscope.artifacts.samples import VIEW_PX, sample_of_file
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.classify.predict import load_model
from blurryscope.dataset.views import CROP_COUNT
from blurryscope.simulator.exposure import blur_along_scan

_SHARP_PIXEL_UM, _BLUR_UM = 0.23, 39.0
_BALANCES = ("divided", "tinted", "folded", "none")
_NOISE = 1.5
_REACH_PX = 60
"""How far beyond the middle half of a core crops may lie."""
_ANYTHING = sample_of_file(Path("S_1_A1.tif"))


@dataclass(frozen=True, slots=True)
class _Case:
    core: str
    score: int
    balance: str
    said: Prediction

    @property
    def is_answered(self) -> bool:
        return self.said.p_positive is not None

    @property
    def is_right_side(self) -> bool:
        return self.said.score is not None and self.said.score.is_positive == (self.score >= 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared_data", type=Path)
    parser.add_argument("--count", type=int, default=84)
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    classifier = load_model()
    rng = np.random.default_rng(given.seed)
    cases = [
        _Case(path.stem[:10], int(path.stem[0]), balance, classifier.score(_ANYTHING, stack))
        for path, balance, stack in _stacks(given.shared_data / "her2-cores", given.count, rng)
    ]
    _say("all", cases)
    for balance in _BALANCES:
        _say(balance, [case for case in cases if case.balance == balance])
    for core in sorted({case.core for case in cases}):
        _say(core, [case for case in cases if case.core == core])
    unfit = [case.said.reason for case in cases if not case.is_answered]
    for reason, count in Counter(unfit).most_common():
        print(f"  {count} {reason}")


def _say(title: str, cases: list[_Case]) -> None:
    decisions = Counter(case.said.decision for case in cases)
    answered = [case for case in cases if case.is_answered]
    positive = [case.score >= 2 for case in answered]
    p_positive = [case.said.p_positive or 0.0 for case in answered]
    area = f"{roc_auc_score(positive, p_positive):.2f}" if len(set(positive)) == 2 else "-"
    wrong = [
        max(case.said.probabilities or (0.0,))
        for case in cases
        if case.said.score is not None and not case.is_right_side
    ]
    surest = f" at {max(wrong):.2f} at most" if wrong else ""
    print(
        f"{title:11} {len(cases):3} stacks, AUC {area:>4}, P(2+ or 3+) {min(p_positive):.2f} to "
        f"{max(p_positive):.2f}; {decisions[Decision.SCORED]} scored, {len(wrong)} of them on the "
        f"wrong side{surest}; {decisions[Decision.INDETERMINATE]} unsure, "
        f"{decisions[Decision.REFER]} referred, {decisions[Decision.WITHHELD]} refused"
    )


def _stacks(folder: Path, count: int, rng: np.random.Generator) -> Iterator[tuple[Path, str, Rgb]]:
    paths = sorted(folder.glob("*.jpg"))
    for number in range(count):
        path = paths[number % len(paths)]
        balance = _BALANCES[number // len(paths) % len(_BALANCES)]
        yield path, balance, _stack(_scanned(path, balance, rng), rng)


def _scanned(path: Path, balance: str, rng: np.random.Generator) -> Rgb:
    """The whole core as the device's mosaic shows it."""
    sharp = cv2.imread(str(path))
    if sharp is None:
        raise SystemExit(f"{path} cannot be read")
    pixel_um = rng.uniform(0.7, 1.2)
    scale = _SHARP_PIXEL_UM / pixel_um
    small = cv2.resize(sharp, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    mirrored = small[:: int(rng.choice((1, -1))), :: int(rng.choice((1, -1))), ::-1]
    light = np.ascontiguousarray(mirrored, np.uint8)
    seen = _balanced(blur_along_scan(light, _BLUR_UM / pixel_um), balance, rng)
    noisy = to_uint8(seen + rng.normal(0.0, _NOISE, seen.shape))
    _, coded = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 90))])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_UNCHANGED), np.uint8)


def _balanced(light: Rgb, balance: str, rng: np.random.Generator) -> np.ndarray:
    glass = np.percentile(light[::8, ::8].reshape(-1, 3), 97, axis=0)
    values = light.astype(np.float32)
    match balance:
        case "divided":
            return values / glass * rng.uniform(235, 250)
        case "tinted":
            return values / glass * rng.uniform(228, 250, 3)
        case "folded":
            return 255 - np.abs(values - (glass + rng.normal(0.0, 4.0, 3)))
        case _:
            return values * rng.uniform(0.8, 1.0)


def _stack(core: Rgb, rng: np.random.Generator) -> Rgb:
    """Crops from around the middle half, and the whole core."""
    lacking = [max(VIEW_PX - side, 0) for side in core.shape[:2]]
    large = cv2.copyMakeBorder(core, 0, lacking[0], 0, lacking[1], cv2.BORDER_REPLICATE)
    crops = []
    for _ in range(CROP_COUNT):
        top, left = (_corner(side, rng) for side in large.shape[:2])
        crop = np.array(large[top : top + VIEW_PX, left : left + VIEW_PX], np.uint8)
        crops.append(_with_seam(crop, rng) if rng.random() < 0.5 else crop)
    overview = cv2.resize(core, (VIEW_PX, VIEW_PX), interpolation=cv2.INTER_CUBIC)
    return np.stack([*crops, overview]).astype(np.uint8)


def _corner(side_px: int, rng: np.random.Generator) -> int:
    last = side_px - VIEW_PX
    lowest = min(max(side_px // 4 - _REACH_PX, 0), last)
    highest = min(max(3 * side_px // 4 - VIEW_PX + _REACH_PX, lowest), last)
    return int(rng.integers(lowest, highest + 1))


def _with_seam(crop: Rgb, rng: np.random.Generator) -> Rgb:
    """What lies behind a column belongs a few rows further on, and is a little brighter or not."""
    column, shift = int(rng.integers(100, 412)), int(rng.integers(-12, 12))
    beyond = np.roll(crop, shift, axis=0)[:, column:].astype(np.float32)
    crop[:, column:] = to_uint8(beyond + rng.integers(-3, 4))
    return crop


if __name__ == "__main__":
    main()
