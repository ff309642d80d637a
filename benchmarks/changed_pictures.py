"""What becomes of scores when real stacks are changed as labs change pictures without meaning to.

    python benchmarks/changed_pictures.py SHARED_DATA

The authors' stacks and the seven real cores (at rest, blurred, two pixel sizes), as they are and
turned, brighter, darker, of another contrast or colour, compressed, out of focus. For each change:
how many get a score, how many of those stand on the right side of negative and positive, by how
much P(positive) moves, and the commonest reason of those that get none.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from score_real_material import real_material

from blurryscope.artifacts.predictions import Decision, Prediction
from blurryscope.artifacts.samples import sample_of_file
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.classify.predict import Classifier, load_model

Change = Callable[[Rgb], Rgb]
Named = tuple[str, int, Rgb]
"""Name, score and stack."""

_GLASS = 250.0
_VIEW_PIXEL_UM = 0.72
_ANYTHING = sample_of_file(Path("S_1_A1.tif"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("shared_data", type=Path)
    given = parser.parse_args()
    classifier = load_model()
    authors, *devices = [list(named) for _, named in real_material(given.shared_data)]
    cores = [named for device in devices for named in device]
    for title, stacks in (("authors' stacks", authors), ("real cores", cores)):
        print(f"{title}: {len(stacks)}")
        before = _answers(classifier, stacks, _as_it_is)
        for name, change in _CHANGES.items():
            print(f"  {name:28}{_told(stacks, before, _answers(classifier, stacks, change))}")


def _answers(classifier: Classifier, stacks: Sequence[Named], change: Change) -> list[Prediction]:
    return [classifier.score(_ANYTHING, np.ascontiguousarray(change(s))) for _, _, s in stacks]


def _told(stacks: Sequence[Named], before: list[Prediction], after: list[Prediction]) -> str:
    scored = [
        (truth >= 2, said.score.is_positive)
        for (_, truth, _), said in zip(stacks, after, strict=True)
        if said.score is not None
    ]
    moved = [
        abs(then.p_positive - now.p_positive)
        for then, now in zip(before, after, strict=True)
        if then.p_positive is not None and now.p_positive is not None
    ]
    reasons = Counter(
        said.reason.split(":")[0].split("(")[0].lstrip("0123456789% ")
        for said in after
        if said.decision in {Decision.WITHHELD, Decision.REFER}
    )
    right = sum(truth == said for truth, said in scored)
    shift = f"{np.mean(moved):.2f}" if moved else "-"
    told = ", ".join(f"{count} {why}" for why, count in reasons.most_common(1))
    return f"{len(scored):3} scored, {right:3} on the right side, P moves by {shift}  {told}"


def _as_it_is(stack: Rgb) -> Rgb:
    return stack


def _by_value(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda stack: to_uint8(change(stack.astype(np.float32)))


def _compressed(quality: int) -> Change:
    def change(stack: Rgb) -> Rgb:
        views = []
        for view in stack:
            _, coded = cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, quality])
            views.append(cv2.imdecode(coded, cv2.IMREAD_UNCHANGED))
        return np.asarray(views, np.uint8)

    return change


def _defocused(by_um: float) -> Change:
    sigma = by_um / _VIEW_PIXEL_UM
    return lambda stack: np.stack([cv2.GaussianBlur(view, (0, 0), sigma) for view in stack])


def _saturated(by: float) -> Change:
    def change(values: np.ndarray) -> np.ndarray:
        mean = values.mean(axis=-1, keepdims=True)
        return np.asarray(mean + by * (values - mean))

    return _by_value(change)


_CHANGES: Mapping[str, Change] = {
    "as it is": _as_it_is,
    "turned by 90 degrees": lambda stack: np.rot90(stack, 1, (1, 2)),
    "turned by 180 degrees": lambda stack: stack[:, ::-1, ::-1],
    "mirrored": lambda stack: stack[:, :, ::-1],
    "JPEG of quality 30": _compressed(30),
    "JPEG of quality 10": _compressed(10),
    "half as bright": _by_value(lambda v: 0.5 * v),
    "overexposed by 10 %": _by_value(lambda v: 1.1 * v),
    "overexposed by 30 %": _by_value(lambda v: 1.3 * v),
    "glare, half the contrast": _by_value(lambda v: 0.5 * v + 0.5 * _GLASS),
    "glare, a quarter of it": _by_value(lambda v: 0.25 * v + 0.75 * _GLASS),
    "gamma 0.6": _by_value(lambda v: 255 * (v / 255) ** 0.6),
    "gamma 1.6": _by_value(lambda v: 255 * (v / 255) ** 1.6),
    "red at 85 %": _by_value(lambda v: v * (0.85, 1, 1)),
    "blue at 85 %": _by_value(lambda v: v * (1, 1, 0.85)),
    "a third of the colour": _saturated(1 / 3),
    "twice the colour": _saturated(2.0),
    "out of focus by 3 um": _defocused(3.0),
    "out of focus by 6 um": _defocused(6.0),
    "out of focus by 12 um": _defocused(12.0),
    "red and blue swapped": lambda stack: stack[..., ::-1],
}


if __name__ == "__main__":
    main()
