"""Whatever the samples: nothing leaks, every core has its part, and scores are spread."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from blurryscope.artifacts.samples import Sample
from blurryscope.artifacts.split import Part, Split, Unit, bonds
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score
from blurryscope.dataset.splitting import Shares, holdout, k_fold, leave_one_slide_out

_HALVES = Shares(train=0.5, validate=0, calibrate=0, test=0.5)


@st.composite
def sets_of_samples(draw: st.DrawFn) -> list[Sample]:
    """Cores on a few slides; patients own some of them, perhaps on several slides."""
    places = draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=4, unique=True)
    )
    return [
        _sample(f"S{slide}", column, draw(st.integers(1, 9)), repeat, draw(st.sampled_from(Score)))
        for slide, column in places
        for repeat in range(1, draw(st.integers(1, 3)) + 1)
    ]


@given(sets_of_samples(), st.sampled_from(Unit), st.integers(0, 5))
def test_nothing_that_belongs_together_is_parted(
    samples: list[Sample], unit: Unit, seed: int
) -> None:
    try:
        split = holdout(samples, unit=unit, shares=_HALVES, seed=seed)
    except InputError:  # too few groups for two parts
        reject()
    assert _leaks(samples, split, unit) == []
    assert split == holdout(samples, unit=unit, shares=_HALVES, seed=seed)


def test_scores_and_shares_are_as_wanted_and_repeats_stay_together() -> None:
    samples = [
        _sample("S", column, column, repeat, Score(column % 4))
        for column in range(200)
        for repeat in (1, 2, 3)
    ]
    split = holdout(samples, unit=Unit.PATIENT, shares=Shares(), seed=1)
    counts = Counter((split.part_of(sample), sample.score) for sample in samples)
    wanted = {Part.TRAIN: 90, Part.VALIDATE: 15, Part.CALIBRATE: 15, Part.TEST: 30}
    assert counts == {(part, score): n for part, n in wanted.items() for score in Score}


def test_cores_that_are_learnt_from_in_any_case_leave_the_others_their_shares() -> None:
    drawn = [_sample("S", column, column, 1, Score(column % 4)) for column in range(40)]
    real = [_sample(f"real {n}", 0, 100 + n, 1, Score(n % 4)) for n in range(60)]
    shares, learnt = Shares(), [sample.slide for sample in real]
    alone = holdout(drawn, unit=Unit.PATIENT, shares=shares, seed=1)
    mixed = holdout(drawn + real, unit=Unit.PATIENT, shares=shares, seed=1, learnt_slides=learnt)
    assert {mixed.part_of(sample) for sample in real} == {Part.TRAIN}
    assert [mixed.part_of(sample) for sample in drawn] == [alone.part_of(s) for s in drawn]


def test_every_core_is_tested_in_exactly_one_fold() -> None:
    samples = [_sample(f"S{n % 3}", n, n // 2, 1, Score(n % 4)) for n in range(80)]
    folds = k_fold(samples, 4, unit=Unit.PATIENT, shares=Shares(), seed=1)
    tested = [
        key for split in folds.values() for key, part in split.parts.items() if part == "test"
    ]
    assert Counter(tested) == dict.fromkeys({(s.slide, s.core) for s in samples}, 1)
    assert all(_leaks(samples, split, Unit.PATIENT) == [] for split in folds.values())


def test_leaving_a_slide_out_tests_on_it_and_on_nothing_else() -> None:
    samples = [_sample(f"S{n % 3}", n, n, 1, Score(n % 4)) for n in range(90)]
    splits = leave_one_slide_out(samples, shares=Shares(), seed=1)
    assert sorted(splits) == ["without-S0", "without-S1", "without-S2"]
    for name, split in splits.items():
        tested = {slide for (slide, _), part in split.parts.items() if part is Part.TEST}
        assert tested == {name.removeprefix("without-")}


def test_slides_that_share_a_patient_are_left_out_together() -> None:
    samples = [_sample(f"S{n % 3}", n, n, 1, Score(n % 4)) for n in range(90)]
    samples += [_sample("S0", 99, 500, 1, Score.ONE), _sample("S1", 99, 500, 1, Score.ONE)]
    assert sorted(leave_one_slide_out(samples, shares=Shares(), seed=1)) == [
        "without-S0+S1",
        "without-S2",
    ]


def test_a_split_by_patient_without_patients_is_refused() -> None:
    with pytest.raises(InputError, match="nobody says of which patient"):
        holdout(
            [_sample("S", n, None, 1, Score.ONE) for n in range(9)],
            unit=Unit.PATIENT,
            shares=_HALVES,
            seed=1,
        )


def _leaks(samples: list[Sample], split: Split, unit: Unit) -> list[tuple[str, str]]:
    parts: dict[tuple[str, str], set[Part]] = {}
    for sample in samples:
        for bond in bonds(sample, unit):
            parts.setdefault(bond, set()).add(split.part_of(sample))
    return [bond for bond, sides in parts.items() if len(sides) > 1]


def _sample(slide: str, column: int, patient: int | None, repeat: int, score: Score) -> Sample:
    return Sample(
        slide=slide,
        case="" if patient is None else f"P{patient}",
        core=CoreName(0, column),
        repeat=repeat,
        score=score,
        path=Path("picture.png"),
    )
