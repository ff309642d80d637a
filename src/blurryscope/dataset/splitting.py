"""Dealing cores into parts: by patient, core or slide, scores alike in each, repeats together."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.samples import Sample, as_file_name
from blurryscope.artifacts.split import (
    CoreKey,
    Part,
    Split,
    Unit,
    bound_groups,
    checked_split,
    core_key,
)
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score

_LEARNING = (Part.TRAIN, Part.VALIDATE, Part.CALIBRATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How many of the cores each part gets, as fractions that sum to 1."""

    train: float = 0.6
    validate: float = 0.1
    calibrate: float = 0.1
    test: float = 0.2
    """As in the paper."""

    def __post_init__(self) -> None:
        shares = [self.of(part) for part in Part]
        adds_up = abs(sum(shares) - 1.0) <= 1e-6  # NaN does not
        if min(shares) < 0 or self.train <= 0 or not adds_up:
            raise ValueError(f"shares must be 0 or more, train above 0, and sum to 1: {shares}")

    def of(self, part: Part) -> float:
        """The share of one part."""
        return {
            Part.TRAIN: self.train,
            Part.VALIDATE: self.validate,
            Part.CALIBRATE: self.calibrate,
            Part.TEST: self.test,
        }[part]


def holdout(
    samples: Sequence[Sample],
    *,
    unit: Unit,
    shares: Shares,
    seed: int,
    learnt_slides: Collection[str] = (),
) -> Split:
    """One split into all four parts.

    Cores of `learnt_slides` all go to training, as does what is bound to them; the others are dealt
    as if those were not there.
    """
    groups = _groups(samples, unit)
    learnt = [any(samples[index].slide in learnt_slides for index in group) for group in groups]
    others = [group for group, is_learnt in zip(groups, learnt, strict=True) if not is_learnt]
    wanted = [part for part in Part if shares.of(part) > 0]
    dealt = iter(_dealt(samples, others, [shares.of(part) for part in wanted], seed))
    parts = [Part.TRAIN if is_learnt else wanted[next(dealt)] for is_learnt in learnt]
    return _split(samples, groups, parts, unit)


def k_fold(
    samples: Sequence[Sample], count: int, *, unit: Unit, shares: Shares, seed: int
) -> dict[str, Split]:
    """`count` splits, `fold-1` …; each core is in the test part of exactly one."""
    groups = _groups(samples, unit)
    if not 2 <= count <= len(groups):
        raise InputError(
            "--folds", f"{count} folds cannot be made of {len(groups)} {unit}s",
            f"Give 2 to {len(groups)}",
        )  # fmt: skip
    dealt = _dealt(samples, groups, [1 / count] * count, seed)
    tests = [{group for group, place in enumerate(dealt) if place == fold} for fold in range(count)]
    return {
        f"fold-{fold}": _tested_on(samples, groups, test, unit, shares, seed + fold)
        for fold, test in enumerate(tests, start=1)
    }


def leave_one_slide_out(
    samples: Sequence[Sample], *, shares: Shares, seed: int
) -> dict[str, Split]:
    """A split for every slide, named after it, whose test part is that slide alone.

    The rest is dealt by patient where patients are known, else by core. Slides that share a
    patient cannot be told apart and stand for each other's test.
    """
    groups = _groups(samples, Unit.SLIDE)
    if len(groups) < 2:
        slides = len({sample.slide for sample in samples})
        raise InputError(
            "--scheme leave-one-slide-out",
            f"the {slides} slides hang together by common patients",
            "Split by patient instead",
        )
    inner = _groups(samples, Unit.CORE)
    splits = {}
    for group in groups:
        name = "+".join(sorted({samples[index].slide for index in group}))
        inside = set(group)
        test = {number for number, members in enumerate(inner) if members[0] in inside}
        splits[f"without-{as_file_name(name)}"] = _tested_on(
            samples, inner, test, Unit.CORE, shares, seed
        )
    return splits


def _groups(samples: Sequence[Sample], unit: Unit) -> list[list[int]]:
    nameless = [sample for sample in samples if not sample.case]
    if unit is Unit.PATIENT and nameless:
        raise InputError(
            f"{nameless[0].slide} {nameless[0].core}",
            "nobody says of which patient it is"
            + (f", nor of {len(nameless) - 1} other pictures" if len(nameless) > 1 else ""),
            "Give a map with a column 'case', or split with --by slide or --by core",
        )
    return bound_groups(samples, unit)


def _tested_on(
    samples: Sequence[Sample],
    groups: list[list[int]],
    test: set[int],
    unit: Unit,
    shares: Shares,
    seed: int,
) -> Split:
    """Some groups to test on; the others dealt to the parts that learn."""
    rest = [number for number in range(len(groups)) if number not in test]
    wanted = [part for part in _LEARNING if shares.of(part) > 0]
    learning = [shares.of(part) / (1.0 - shares.test) for part in wanted]
    dealt = _dealt(samples, [groups[number] for number in rest], learning, seed)
    parts = dict.fromkeys(test, Part.TEST)
    parts |= {number: wanted[place] for number, place in zip(rest, dealt, strict=True)}
    return _split(samples, groups, [parts[number] for number in range(len(groups))], unit)


def _split(
    samples: Sequence[Sample], groups: list[list[int]], parts: Sequence[Part], unit: Unit
) -> Split:
    by_core: dict[CoreKey, Part] = {
        core_key(samples[index]): part
        for group, part in zip(groups, parts, strict=True)
        for index in group
    }
    return checked_split("the split", samples, by_core, unit)


def _dealt(
    samples: Sequence[Sample], groups: Sequence[list[int]], shares: Sequence[float], seed: int
) -> list[int]:
    """For each group the place it goes to, so that every place gets its share of every score.

    The largest groups go first, in a drawn order among equals; each goes where most is missing of
    the scores that it brings, rare scores counting more, and of cores in all.
    """
    brought = np.array([_core_counts(samples, group) for group in groups], np.float64)
    totals = np.maximum(brought.sum(axis=0), 1.0)
    missing: NDArray[np.float64] = np.outer(shares, brought.sum(axis=0))
    order = np.random.default_rng(seed).permutation(len(groups))
    places = [0] * len(groups)
    for number in sorted(order, key=lambda group: -brought[group].sum()):
        place = int(np.argmax(missing @ (brought[number] / totals)))
        missing[place] -= brought[number]
        places[number] = place
    counts = Counter(places)
    if any(counts[place] == 0 for place in range(len(shares))):
        told = "1 group is" if len(groups) == 1 else f"{len(groups)} groups are"
        raise InputError(
            "the split", f"{told} too few for {len(shares)} parts",
            "Add cores, or leave out a part: --shares",
        )  # fmt: skip
    return places


def _core_counts(samples: Sequence[Sample], group: Sequence[int]) -> list[int]:
    """Cores, not repeats, of each score, and all of them."""
    scores: Mapping[CoreKey, Score | None] = {
        core_key(samples[index]): samples[index].score for index in group
    }
    return [*(sum(score is one for score in scores.values()) for one in Score), len(scores)]
