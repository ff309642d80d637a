"""What becomes of scores when real stacks are changed as labs change pictures without meaning to.

    python benchmarks/changed_pictures.py SHARED_DATA [--cores 400] [--slides DIR …]

The authors' stacks and the seven real cores (at rest, blurred, two pixel sizes), as they are and
turned, brighter, darker, of another contrast or colour, compressed, out of focus. For each change:
how many get a score, how many of those stand on the right side of negative and positive, by how
much P(positive) moves, and the commonest reason of those that get none. DIR, as `blurryscope run`
leaves it with a lab's map, adds the cores of a slide.

With --cores so many drawn ones are scanned four times, each time through more glare, and scored
with the check of pale cores and without; and the numbers of `classify/contrast.py` are fitted.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from gate_figures import drawn_stacks
from score_real_material import real_material
from sklearn.metrics import roc_auc_score

from blurryscope.artifacts.predictions import Decision, Prediction
from blurryscope.artifacts.samples import sample_of_file
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.classify.gate import StackQuality, objection, stack_quality
from blurryscope.classify.predict import Classifier, load_model, prediction_of
from blurryscope.dataset.simulated import SimulatedCores
from blurryscope.dataset.sources import SlideSource, pictures_of_slides
from blurryscope.dataset.views import make_stack

Change = Callable[[Rgb], Rgb]
Named = tuple[str, int, Rgb]
"""Name, score and stack."""

_GLASS = 250.0
_VIEW_PIXEL_UM = 0.72
_CONTRASTS = (1.0, 0.6, 0.4, 0.25)
_LEARNT_CONTRASTS = (1.0, 0.4, 0.25)
_ANYTHING = sample_of_file(Path("S_1_A1.tif"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("shared_data", type=Path)
    parser.add_argument("--cores", type=int, default=0)
    parser.add_argument("--seed", type=int, default=902)
    parser.add_argument("--slides", type=Path, nargs="+", default=[])
    given = parser.parse_args()
    classifier = load_model()
    if given.cores:
        _report_glare(classifier, given.cores, given.seed)
    authors, *devices = [list(named) for _, named in real_material(given.shared_data)]
    cores = [named for device in devices for named in device]
    filmed = list(_filmed_cores(given.slides))
    for title, stacks in (
        ("authors' stacks", authors),
        ("real cores", cores),
        ("cores of slides", filmed),
    ):
        if not stacks:
            continue
        print(f"{title}: {len(stacks)}")
        before = _answers(classifier, stacks, _as_it_is)
        for name, change in _CHANGES.items():
            print(f"  {name:28}{_told(stacks, before, _answers(classifier, stacks, change))}")


def _filmed_cores(slides: Sequence[Path]) -> Iterator[Named]:
    """Cores of slides that `blurryscope run` has been through with a lab's map."""
    for picture in pictures_of_slides([SlideSource(folder=slide) for slide in slides]):
        pixel_um, score = picture.sample.pixel_size_um, picture.sample.score
        if pixel_um is None or score is None:
            raise SystemExit(f"{picture.sample.core} lacks its pixel size or its score")
        stack = make_stack(picture.pixels, pixel_size_um=pixel_um)
        yield str(picture.sample.core), int(score), stack


def _report_glare(classifier: Classifier, count: int, seed: int) -> None:
    """Drawn cores, the same ones through less and less contrast."""
    print(f"drawn cores: {count}; scored, right of four, wrong side; and without the check")
    reliefs = []
    for left in _CONTRASTS:
        wanted = SimulatedCores(
            core_count=count, scans_per_core=1, seed=seed, glare=round(1 - left, 6)
        )
        stacks = drawn_stacks(wanted, workers=1)  # forks of a process that scores may hang
        said = [classifier.score(_ANYTHING, stack) for _, stack in stacks]
        truth = [score for score, _ in stacks]
        unchecked = [_without_the_check(classifier, prediction) for prediction in said]
        print(f"  {left:4.0%} {_counts(truth, said)}   {_counts(truth, unchecked)}")
        reliefs.append(
            [q.relief for q in map(stack_quality, (stack for _, stack in stacks)) if _is_fit(q)]
        )
    _fit_contrast(reliefs)


def _without_the_check(classifier: Classifier, said: Prediction) -> Prediction:
    """What would be said if paleness were no reason."""
    if said.probabilities is None or not said.reason.startswith("pale:"):
        return said
    return prediction_of(_ANYTHING, np.array(said.probabilities), classifier.decision_rule())


def _counts(truth: Sequence[int], said: Sequence[Prediction]) -> str:
    given = [(label, p.score) for label, p in zip(truth, said, strict=True) if p.score is not None]
    right = sum(label == score for label, score in given)
    wrong_side = sum((label >= 2) != score.is_positive for label, score in given)
    return f"{len(given):4} {right:4} {wrong_side:4}"


def _is_fit(quality: StackQuality) -> bool:
    return objection(quality) is None


def _fit_contrast(reliefs: Sequence[Sequence[float]]) -> None:
    """The numbers in `classify/contrast.py`, from these cores, and how well relief tells."""
    for left, these in zip(_CONTRASTS[1:], reliefs[1:], strict=True):
        is_whole = np.arange(len(reliefs[0]) + len(these)) < len(reliefs[0])
        area = roc_auc_score(is_whole, [*reliefs[0], *these])
        print(f"  relief tells {left:.0%} of the contrast from all of it: AUC {area:.2f}")
    pale = np.quantile(reliefs[0], 0.15)
    learnt = [(left, r) for left, these in zip(_CONTRASTS, reliefs, strict=True) for r in these]
    lefts, seen = np.log([(left, r) for left, r in learnt if left in _LEARNT_CONTRASTS]).T
    power, offset = np.polyfit(seen, lefts, 1)
    print(f"  palest 15 % below {pale:.4f}; power {power:.3f}, full {np.exp(-offset / power):.4f}")


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


def _glaring(left: float) -> Change:
    return _by_value(lambda v: left * v + (1 - left) * _GLASS)


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
    "glare, 60 % of the contrast": _glaring(0.6),
    "glare, half of it": _glaring(0.5),
    "glare, 40 % of it": _glaring(0.4),
    "glare, a quarter of it": _glaring(0.25),
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
