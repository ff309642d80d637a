"""A drawn data set is the same each time, opens as it was written, and shows what was changed."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.samples import sample_of_file, write_stack
from blurryscope.artifacts.split import Part, Unit
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.her2 import Score
from blurryscope.dataset.build import (
    DataSet,
    add_splits,
    build_data_set,
    check_data_set,
    open_data_set,
)
from blurryscope.dataset.simulated import (
    SimulatedCores,
    planned_samples,
    simulated_pictures,
)
from blurryscope.dataset.sources import pictures_of_stacks
from blurryscope.dataset.splitting import Shares, holdout
from blurryscope.dataset.stacks import DataSetStacks
from tests.conftest import ContentsOf

_WANTED = SimulatedCores(core_count=16, scans_per_core=2, pixel_size_um=6.0, seed=3)
_HALVES = Shares(train=0.5, validate=0, calibrate=0, test=0.5)
_REAL = Path(__file__).parents[2].parent / "shared" / "data" / "blurryscope-stacks"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Not to be changed."""
    return _built(tmp_path_factory.mktemp("drawn") / "set")


def test_the_same_seed_gives_the_same_bytes(
    data: DataSet, tmp_path: Path, contents_of: ContentsOf
) -> None:
    again = _built(tmp_path / "again")
    assert contents_of(again.folder) == contents_of(data.folder)


def test_glare_that_was_not_asked_for_is_not_in_the_recipe() -> None:
    assert "glare" not in SimulatedCores(core_count=1).recipe
    assert SimulatedCores(core_count=1, glare=0.5).recipe["glare"] == 0.5
    with pytest.raises(ValueError, match="glare must be 0 to below 1, got 1"):
        SimulatedCores(core_count=1, glare=1.0)


def test_slides_patients_and_scores_are_as_in_an_array(data: DataSet) -> None:
    # Eight of each were drawn; a reader calls some near a bound otherwise.
    counts = Counter(sample.score for sample in data.samples)
    assert counts.keys() == set(Score)
    assert all(abs(count - 8) <= 2 for count in counts.values())
    per_patient = Counter(sample.case for sample in data.samples)
    assert set(per_patient.values()) == {4}
    assert len({sample.slide for sample in data.samples}) == 4


def test_what_a_set_will_list_is_known_before_it_is_drawn(data: DataSet) -> None:
    first_scans = [sample for sample in data.samples if sample.repeat == 1]
    planned = planned_samples(_WANTED)
    assert [(each.slide, each.case, each.core) for each in planned] == [
        (each.slide, each.case, each.core) for each in first_scans
    ]
    read = [sample.score for sample in first_scans]
    assert sum(each.score is score for each, score in zip(planned, read, strict=True)) >= 12


def test_a_set_that_cannot_be_split_is_not_left_behind(tmp_path: Path) -> None:
    def divide(data: DataSet) -> DataSet:
        made = holdout(data.samples, unit=Unit.PATIENT, shares=_HALVES, seed=1)
        return add_splits(data, {"holdout": made}, unit=Unit.PATIENT, scheme="holdout", seed=1)

    two = SimulatedCores(core_count=2, scans_per_core=1, pixel_size_um=6.0)  # of one patient
    with pytest.raises(InputError, match="1 group is too few for 2 parts"):
        build_data_set(
            tmp_path / "set", simulated_pictures(two, workers=1), recipe={}, divide=divide
        )
    assert list(tmp_path.iterdir()) == []


def test_a_split_goes_with_its_set_and_a_changed_one_is_refused(copied: DataSet) -> None:
    stacks = DataSetStacks(copied, copied.split("holdout"))
    assert len(stacks.part(Part.TRAIN)) == len(stacks.part(Part.TEST)) == 16
    table = copied.folder / "splits" / "holdout.csv"
    table.write_text(
        table.read_text(encoding="utf-8").replace("test", "train"), encoding="utf-8", newline="\n"
    )
    with pytest.raises(InputError, match="was changed"):
        open_data_set(copied.folder).split("holdout")
    with pytest.raises(InputError, match="has no split 'fold-1'"):
        copied.split("fold-1")


def test_a_picture_that_was_changed_is_found(copied: DataSet) -> None:
    check_data_set(copied.folder)
    copied.samples[3].path.write_bytes(copied.samples[4].path.read_bytes())
    with pytest.raises(InputError, match="is not the picture that"):
        check_data_set(copied.folder)


def test_crops_are_drawn_afresh_and_the_overview_stays(data: DataSet) -> None:
    stacks = DataSetStacks(data, data.split("holdout"))
    fixed = stacks.stack(0, 64)
    drawn = [stacks.stack(0, 64, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[2][4], fixed[4])
    assert (drawn[0][:4] != drawn[2][:4]).any()
    np.testing.assert_array_equal(stacks.stack(0, 64), fixed)


def test_a_set_holds_no_more_in_memory_than_it_may(data: DataSet) -> None:
    small = DataSetStacks(data, data.split("holdout"), kept_bytes=1)
    first = small.stack(0, 64)
    small.stack(1, 64)
    assert len(small._kept) == 1
    np.testing.assert_array_equal(small.stack(0, 64), first)


def test_a_folder_without_a_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="holds no data set"):
        open_data_set(tmp_path)


@pytest.mark.parametrize(("note", "why"), [("{", "the file: Invalid JSON"), ("{}", "is missing")])
def test_a_note_that_cannot_be_read_is_told_by_its_field(
    tmp_path: Path, note: str, why: str
) -> None:
    (tmp_path / "dataset.json").write_text(note)
    with pytest.raises(InputError, match=rf"dataset\.json, .*{why}"):
        open_data_set(tmp_path)


def test_a_split_whose_name_leads_elsewhere_is_refused(copied: DataSet) -> None:
    made = holdout(copied.samples, unit=Unit.CORE, shares=_HALVES, seed=1)
    with pytest.raises(InputError, match="cannot be the name of a file"):
        add_splits(copied, {"../../mine": made}, unit=Unit.CORE, scheme="holdout", seed=1)
    assert open_data_set(copied.folder) == copied


def test_a_picture_with_two_scores_is_refused(tmp_path: Path) -> None:
    stack = np.full((5, 512, 512, 3), 200, np.uint8)
    for name in ("S_1_A1_0.tif", "S_1_A2_3.tif"):
        write_stack(tmp_path / name, stack)
    pictures = pictures_of_stacks(sorted(tmp_path.glob("*.tif")), bgr=False)
    with pytest.raises(InputError, match="with another score"):
        build_data_set(tmp_path / "set", pictures, recipe={})


@pytest.mark.skipif(not _REAL.is_dir(), reason="the authors' stacks are not in shared/data")
def test_the_authors_stacks_are_turned_red_first(tmp_path: Path) -> None:
    path = _REAL / "BR20812_3_J12_3.tif"
    data = build_data_set(tmp_path / "set", pictures_of_stacks([path], bgr=True), recipe={})
    split = add_splits(
        data,
        {"all": holdout(data.samples, unit=Unit.CORE, shares=_all(), seed=1)},
        unit=Unit.CORE,
        scheme="holdout",
        seed=1,
    ).split("all")
    overview = DataSetStacks(data, split).stack(0, 64)[4].reshape(-1, 3).astype(float)
    tissue = overview[overview.min(axis=1) < 200]
    assert tissue[:, 0].mean() > tissue[:, 2].mean() + 10  # brown
    assert data.samples[0].score == sample_of_file(path).score


def _all() -> Shares:
    return Shares(train=1.0, validate=0, calibrate=0, test=0)


def _built(folder: Path) -> DataSet:
    pictures = simulated_pictures(_WANTED, workers=1)
    data = build_data_set(folder, pictures, recipe=_WANTED.recipe)
    made = holdout(data.samples, unit=Unit.PATIENT, shares=_HALVES, seed=1)
    return add_splits(data, {"holdout": made}, unit=Unit.PATIENT, scheme="holdout", seed=1)
