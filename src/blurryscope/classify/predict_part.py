"""One part of a data set through a network, or through colour alone: what an evaluation needs."""

from collections.abc import Iterator

import numpy as np

from blurryscope.artifacts.decision_rule import DecisionRule
from blurryscope.artifacts.predictions import Prediction
from blurryscope.artifacts.samples import VIEW_PX, Sample
from blurryscope.artifacts.split import Part
from blurryscope.artifacts.training_set import (
    REDUCTION,
    LabelledStacks,
    fixed_stacks,
    refuse_smaller_views,
    scores_of,
)
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score
from blurryscope.basics.progress import Progress, silent
from blurryscope.classify.colour_baseline import ColourBaseline
from blurryscope.classify.gate import MEASURED_PX
from blurryscope.classify.predict import Classifier, prediction_of

COLOUR_VIEW_PX = VIEW_PX // REDUCTION
"""Side of the views that the baseline sees."""
COLOUR = "colour"
"""Names the baseline where a model is asked for."""


def predicted_part(
    data: LabelledStacks,
    part: Part,
    classifier: Classifier,
    *,
    is_gated: bool = False,
    progress: Progress = silent,
) -> Iterator[tuple[Prediction, Sample, str]]:
    """A prediction for each sample of a part.

    With `is_gated`, stacks unfit to be scored get no probabilities, as in a slide's `scores.csv`;
    without, every stack gets them, so that two models are compared on the same ones.
    """
    seen_px = max(classifier.view_px, MEASURED_PX) if is_gated else classifier.view_px
    refuse_smaller_views(data, seen_px)
    indices = data.part(part)
    for number, index in enumerate(indices, start=1):
        sample = data.samples[index]
        if is_gated:
            prediction = classifier.score(sample, data.stack(index, data.largest_view_px))
        else:
            row = classifier.predict(data.stack(index, classifier.view_px)[None])[0]
            prediction = prediction_of(sample, row, classifier.decision_rule())
        yield prediction, sample, part.value
        progress(f"predict {part}", number / len(indices))


def fitted_on_colour(data: LabelledStacks) -> ColourBaseline:
    """The colour baseline of the training part, which must hold all four scores."""
    train = data.part(Part.TRAIN)
    scores = scores_of(data, train)
    if len(np.unique(scores)) < len(Score):
        raise InputError(
            data.name,
            "lacks a score among its training cores, from which the colour baseline learns",
            "Give cores of all four scores to train",
        )
    return ColourBaseline(fixed_stacks(data, train, COLOUR_VIEW_PX), scores)


def colour_predicted_part(
    data: LabelledStacks, part: Part
) -> Iterator[tuple[Prediction, Sample, str]]:
    """The same by six figures of colour, fitted on the training part."""
    indices = data.part(part)
    baseline = fitted_on_colour(data)
    if not indices:
        return
    rows = baseline.predict(fixed_stacks(data, indices, COLOUR_VIEW_PX))
    for index, row in zip(indices, np.clip(rows, 0.0, 1.0), strict=True):
        sample = data.samples[index]
        yield prediction_of(sample, row / row.sum(), DecisionRule()), sample, part.value
