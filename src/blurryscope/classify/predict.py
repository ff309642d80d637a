"""From stacks to probabilities, and from probabilities to a score or a reason why there is none."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn

from blurryscope.artifacts.decision_rule import DecisionRule, DecisionRules
from blurryscope.artifacts.predictions import (
    PALE,
    Decision,
    Prediction,
    Probabilities,
    most_probable,
)
from blurryscope.artifacts.samples import VIEW_PX, Sample
from blurryscope.artifacts.training_set import reduced_views
from blurryscope.basics.errors import InputError
from blurryscope.basics.fusing import log_average
from blurryscope.basics.image import Rgb
from blurryscope.classify.clean_views import without_dirt_in_views
from blurryscope.classify.contrast import PALE_RELIEF, likely_contrast, with_contrast
from blurryscope.classify.evidence import Seen, ViewEvidence, see, view_evidence
from blurryscope.classify.gate import StackQuality, objection, stack_quality
from blurryscope.classify.learners import as_views
from blurryscope.classify.limits import Limits, limits_beside
from blurryscope.classify.model_file import LoadedModel, ModelSettings, read_model
from blurryscope.classify.networks import class_probabilities
from blurryscope.classify.shipped import SHIPPED

_STACKS_AT_ONCE = {"corenet": 2, "efin": 1}
"""More do not help: from four on their planes no longer fit the memory that the process keeps, and
asking for it anew costs more than the network does."""
_SURE = 0.65
"""Confidence from which it makes no difference where the crops lie."""
_SIZES_OF_THE_GATE = (128, 256)
"""Of views, below the full one, that the gate sees as it sees full ones."""


class Answers(NamedTuple):
    """What a network says of some cores."""

    probabilities: NDArray[np.float64]
    """(core, 4) of 0, 1+, 2+, 3+; rows sum to 1."""
    features: NDArray[np.float32]
    """(core, feature), which tell how familiar a core is; of `efin` its logits."""
    seen: tuple[Seen | None, ...]
    """Of each core, what its map starts from; None where nobody asked or the network cannot tell.
    """


class Scored(NamedTuple):
    """A score, or why there is none, and what the network saw."""

    prediction: Prediction
    seen: Seen | None
    """None where nothing was asked of the network, or where it cannot tell."""


_NO_ANSWERS = Answers(np.empty((0, 4)), np.empty((0, 0), np.float32), ())


class Classifier:
    """A trained network, the settings that were fixed with it, and its limits where it has any."""

    def __init__(self, model: LoadedModel, limits: Limits | None = None) -> None:
        self.name = model.name
        self.sha256 = model.sha256
        self.settings = model.settings
        self.limits = limits
        self._network = model.network
        self._copies: list[nn.Module] = []

    @property
    def view_px(self) -> int:
        """Side of a view as the network sees it."""
        return self.settings.view_px

    @property
    def stack_px(self) -> int:
        """Side of views from which this model answers as it does from full ones, the gate too."""
        return self.view_px if self.view_px in _SIZES_OF_THE_GATE else VIEW_PX

    def predict(self, stacks: Rgb) -> NDArray[np.float64]:
        """Calibrated probabilities of 0, 1+, 2+, 3+ as (core, 4); each row sums to 1.

        `stacks` is (core, view, row, col, rgb) uint8 as `make_stack` makes them, of full size or
        reduced to `view_px`. Two-class answers follow: the probability of 2+/3+ is the sum of the
        last two columns.
        """
        return self.answers(stacks).probabilities

    def answers(self, stacks: Rgb, *, sees: bool = False) -> Answers:
        """Calibrated probabilities, as `predict` gives them, and features, from one pass.

        With `sees` what maps start from is kept, most of a megabyte a core.
        """
        if stacks.ndim != 5 or stacks.shape[-1] != 3 or stacks.dtype != np.uint8:
            raise ValueError(
                f"stacks must be (core, view, row, col, rgb) uint8, "
                f"got {stacks.dtype} {stacks.shape}"
            )
        if stacks.shape[2] % self.view_px:
            raise ValueError(
                f"stacks must have views of {self.view_px} pixels or of a multiple, "
                f"got {stacks.shape[2]}"
            )
        size = _STACKS_AT_ONCE[self.settings.network]
        forward = _FORWARD[self.settings.network]
        reduction = stacks.shape[2] // self.view_px
        starts = range(0, len(stacks), size)
        batches = (reduced_views(stacks[start : start + size], reduction) for start in starts)
        with self._copy() as own, torch.inference_mode():
            parts = [forward(own, batch, self.settings, sees) for batch in batches]
        if not parts:
            return _NO_ANSWERS
        joined = torch.cat([part.probabilities for part in parts]).numpy()
        if not np.isfinite(joined).all():
            raise InputError(self.name, "gives no numbers: its weights are damaged", "Train again")
        normed: NDArray[np.float64] = joined / joined.sum(axis=1, keepdims=True)
        return Answers(
            normed if self.limits is None else self.limits.tempered(normed),
            torch.cat([part.features for part in parts]).float().numpy(),
            tuple(seen for part in parts for seen in part.seen),
        )

    def decision_rule(self, threshold: float | None = None) -> DecisionRule:
        """When this model gives a score to one scan; its own threshold if None."""
        return self.decision_rules(threshold).of(1)

    def decision_rules(self, threshold: float | None = None) -> DecisionRules:
        """The same for one scan and for several; a `threshold` that is told holds for all."""
        own = DecisionRules((DecisionRule(threshold=self.settings.threshold),))
        rules = own if self.limits is None else self.limits.rules
        if threshold is None:
            return rules
        return DecisionRules(tuple(replace(rule, threshold=threshold) for rule in rules.by_count))

    def score(self, sample: Sample, stack: Rgb, threshold: float | None = None) -> Prediction:
        """Score one stack, or say why not; `threshold` is the model's own if None."""
        return self.score_all([sample], stack[None], threshold)[0]

    def score_all(
        self, samples: Sequence[Sample], stacks: Rgb, threshold: float | None = None
    ) -> list[Prediction]:
        """The same of several stacks, (core, view, row, col, rgb), at once."""
        return [one.prediction for one in self._scored(samples, stacks, threshold, sees=False)]

    def score_and_see(
        self,
        samples: Sequence[Sample],
        stacks: Rgb,
        threshold: float | None = None,
        *,
        further: Sequence[Rgb] | None = None,
    ) -> list[Scored]:
        """The same with what the network saw, which saves a map its first pass.

        `further` has stacks of other crops of each core, (stack, view, row, col, rgb); where a core
        is unsure, and not referred, their answers and its own are averaged. The paper's network,
        which takes seconds a stack, is left as it was published.
        """
        asked = further if self.settings.network == "corenet" else None
        return self._scored(samples, stacks, threshold, sees=True, further=asked)

    def _scored(
        self,
        samples: Sequence[Sample],
        stacks: Rgb,
        threshold: float | None,
        *,
        sees: bool,
        further: Sequence[Rgb] | None = None,
    ) -> list[Scored]:
        rule = self.decision_rule(threshold)
        with _matrix_libraries().limit(limits=1):
            clean = [without_dirt_in_views(stack) for stack in stacks]
            stacks = np.array(clean, np.uint8).reshape(stacks.shape)  # of none, too
            qualities = [stack_quality(stack) for stack in stacks]
            unfit = [objection(quality) for quality in qualities]
            fit = [number for number, why in enumerate(unfit) if why is None]
            answers = self.answers(stacks[fit], sees=sees) if fit else _NO_ANSWERS
            strange = [
                self._strangeness(features)
                or self._paleness(stacks[number], qualities[number], row, rule)
                for number, row, features in zip(
                    fit, answers.probabilities, answers.features, strict=True
                )
            ]
            settled = [
                row if further is None or unlike else self._settled(row, further[number])
                for number, row, unlike in zip(fit, answers.probabilities, strange, strict=True)
            ]
        rows = iter(zip(settled, strange, answers.seen, strict=True))
        scored = []
        for sample, why in zip(samples, unfit, strict=True):
            if why is not None:
                scored.append(Scored(withheld(sample, why), None))
                continue
            row, unlike, seen = next(rows)
            scored.append(Scored(prediction_of(sample, row, rule, unlike), seen))
        return scored

    def _settled(self, row: NDArray[np.float64], others: Rgb) -> NDArray[np.float64]:
        """The answer to one core, (4,), with those to stacks of its other crops where it is unsure.

        Limits are not fitted to such answers, which keep the promise of theirs (decision 0051).
        """
        if row.max() >= _SURE:
            return row
        return log_average(np.concatenate([row[None], self.predict(others)]))

    def _strangeness(self, features: NDArray[np.float32]) -> str | None:
        return None if self.limits is None else self.limits.strangeness(features[None])

    def _paleness(
        self, stack: Rgb, quality: StackQuality, row: NDArray[np.float64], rule: DecisionRule
    ) -> str | None:
        """Why an answer on a pale stack, (4,), counts for nothing: it hangs on its contrast."""
        if quality.relief >= PALE_RELIEF:
            return None
        brought_back = with_contrast(stack, likely_contrast(quality.relief))
        return contrast_doubt(row, self.predict(brought_back[None])[0], rule)

    @contextmanager
    def _copy(self) -> Iterator[nn.Module]:
        """Lend a network to one thread: what listens in on it must hear no other.

        Copies are kept, since to make one takes an eighth of the time of a map.
        """
        try:
            own = self._copies.pop()
        except IndexError:
            own = deepcopy(self._network)
        try:
            yield own
        finally:
            self._copies.append(own)

    def evidence(self, stack: Rgb, seen: Seen | None = None) -> ViewEvidence | None:
        """Where in the views of one core its score comes from; None where the network is not ours.

        `stack` is (view, row, col, rgb) uint8; `seen` is what `score_and_see` gave for it. The
        paper's network would need gigabytes for its gradients. Several threads may ask at once.
        """
        if self.settings.network != "corenet":
            return None
        reduction = max(stack.shape[1] // self.view_px, 1)
        with self._copy() as own, _one_thread():
            return view_evidence(own, as_views(reduced_views(stack[None], reduction)), seen)


def load_model(name_or_path: str | Path = SHIPPED) -> Classifier:
    """Load a shipped model by name, or any safetensors file; an `InputError` says what is wrong.

    Limits that lie beside the weights are loaded with them.
    """
    model = read_model(name_or_path)
    return Classifier(model, limits_beside(model))


def prediction_of(
    sample: Sample, row: NDArray[np.float64], rule: DecisionRule, strange: str | None = None
) -> Prediction:
    """Probabilities, (4,), to a score where `rule` allows it and nothing is `strange`."""
    probabilities = _probabilities(row)
    if strange is not None:
        decision, reason = Decision.REFER, strange
    else:
        decision, reason = rule.decide(probabilities, max(probabilities))
    return Prediction(
        slide=sample.slide,
        repeat=sample.repeat,
        core=sample.core,
        score=most_probable(probabilities) if decision is Decision.SCORED else None,
        probabilities=probabilities,
        p_positive=min(probabilities[2] + probabilities[3], 1.0),
        decision=decision,
        reason=reason,
    )


def _probabilities(row: NDArray[np.float64]) -> Probabilities:
    return float(row[0]), float(row[1]), float(row[2]), float(row[3])


def contrast_doubt(
    row: NDArray[np.float64], again: NDArray[np.float64], rule: DecisionRule
) -> str | None:
    """Why the probabilities of a pale core, (4,), hang on its contrast; None if they do not.

    `again` are those with the contrast brought back. They must take the same side of negative and
    positive, as surely as `rule` asks.
    """
    as_it_is, brought_back = _probabilities(row), _probabilities(again)
    now, then = most_probable(as_it_is), most_probable(brought_back)
    is_given, is_given_again = (
        rule.decide(one, max(one))[0] is Decision.SCORED for one in (as_it_is, brought_back)
    )
    if now.is_positive == then.is_positive and (is_given_again or not is_given):
        return None
    if not (is_given or is_given_again):
        return f"{PALE}unsure, whether or not the picture has lost contrast: read by eye"
    said = now.label if is_given else "unsure"
    said_again = then.label if is_given_again else "unsure"
    return f"{PALE}{said} as it is, {said_again} if the picture has lost contrast: read by eye"


def withheld(sample: Sample, reason: str) -> Prediction:
    """No score, because of `reason`."""
    return Prediction(
        slide=sample.slide,
        repeat=sample.repeat,
        core=sample.core,
        score=None,
        probabilities=None,
        p_positive=None,
        decision=Decision.WITHHELD,
        reason=reason,
    )


class _Pass(NamedTuple):
    """What one pass through a network gives; see `Answers`."""

    probabilities: Tensor
    features: Tensor
    seen: Sequence[Seen | None]


def _core_net_forward(
    network: nn.Module, stacks: Rgb, settings: ModelSettings, sees: bool
) -> _Pass:
    seen: Sequence[Seen | None] = [None] * len(stacks)
    with _one_thread():
        views = as_views(stacks)
        if sees:
            output, kept = see(network, views)
            seen = kept.by_core()
        else:
            output = network(views)
    logits = output.cumulative_logits.double() / settings.temperature
    return _Pass(class_probabilities(logits), output.features, seen)


@cache
def _matrix_libraries() -> ThreadpoolController:
    """What multiplies matrices for NumPy and OpenCV.

    Ours are small, and there too threads wait for each other: on a machine that does other work the
    gate alone took 0.085 processor seconds with two and 0.011 with one.
    """
    return ThreadpoolController().select(user_api="blas")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Our network is so small that threads which wait for each other cost more than they do.

    On two busy cores a core took 0.2 s with one thread and 1.0 s with two.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _efin_forward(network: nn.Module, stacks: Rgb, settings: ModelSettings, _: bool) -> _Pass:
    logits = network(as_views(stacks[..., ::-1] if settings.bgr else stacks).flatten(1, 2) / 255)
    probabilities = torch.softmax(logits.double() / settings.temperature, dim=1)
    if settings.classes == 2:  # nothing is known within the two; each gets half
        probabilities = probabilities.repeat_interleave(2, dim=1) / 2
    return _Pass(probabilities, logits, [None] * len(logits))


_FORWARD: dict[str, Callable[[nn.Module, Rgb, ModelSettings, bool], _Pass]] = {
    "corenet": _core_net_forward,
    "efin": _efin_forward,
}
