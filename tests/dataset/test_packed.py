"""A packed set keeps the views that its cores are scored by, and gives them back as they were."""

from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.split import Unit
from blurryscope.artifacts.training_set import reduced_views
from blurryscope.basics.errors import InputError
from blurryscope.dataset.build import (
    DataSet,
    add_splits,
    build_packed_set,
    check_data_set,
)
from blurryscope.dataset.packed import VIEWS_FILE, Packing
from blurryscope.dataset.simulated import (
    SimulatedCores,
    simulated_pictures,
    simulated_views,
)
from blurryscope.dataset.splitting import Shares, holdout
from blurryscope.dataset.stacks import DataSetStacks
from blurryscope.dataset.views import prepare_core
from tests.conftest import ContentsOf

_WANTED = SimulatedCores(core_count=8, scans_per_core=2, pixel_size_um=6.0, seed=3)
_PACKING = Packing(view_px=64, crop_count=6)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Not to be changed."""
    return _built(tmp_path_factory.mktemp("packed") / "set")


@pytest.fixture(scope="module")
def stacks(data: DataSet) -> DataSetStacks:
    return DataSetStacks(data, data.split("holdout"))


def test_the_same_seed_gives_the_same_bytes(
    data: DataSet, tmp_path: Path, contents_of: ContentsOf
) -> None:
    assert contents_of(data.folder) == contents_of(_built(tmp_path / "again").folder)


def test_a_core_is_scored_by_the_views_that_its_picture_gives(stacks: DataSetStacks) -> None:
    pictures = list(simulated_pictures(_WANTED, workers=1))
    for number in (0, 5):
        size_um = pictures[number].sample.pixel_size_um
        assert size_um is not None
        whole = prepare_core(pictures[number].pixels, pixel_size_um=size_um, view_px=64)
        np.testing.assert_array_equal(stacks.stack(number, 64), whole.stack())


def test_crops_are_drawn_among_the_kept_ones_and_the_overview_stays(
    stacks: DataSetStacks,
) -> None:
    fixed = stacks.stack(1, 64)
    drawn = [stacks.stack(1, 64, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[2][4], fixed[4])
    assert (drawn[0][:4] != drawn[2][:4]).any()
    assert stacks.kept_views is not None
    kept = {view.tobytes() for view in stacks.kept_views[1]}
    assert all(view.tobytes() in kept for view in drawn[2])


def test_smaller_views_are_means_and_larger_ones_are_refused(stacks: DataSetStacks) -> None:
    half = stacks.stack(2, 32)
    np.testing.assert_array_equal(half, reduced_views(stacks.stack(2, 64)[None], 2)[0])
    with pytest.raises(InputError, match="keeps views of 64 pixels, and 128 are wanted"):
        stacks.stack(2, 128)


def test_a_set_that_was_cut_off_is_refused(copied: DataSet) -> None:
    views = copied.folder / VIEWS_FILE
    views.write_bytes(views.read_bytes()[:-1])
    with pytest.raises(InputError, match="bytes, not the"):
        DataSetStacks(copied, copied.split("holdout"))


def test_a_view_that_was_changed_is_found(copied: DataSet) -> None:
    check_data_set(copied.folder)
    views = copied.folder / VIEWS_FILE
    changed = bytearray(views.read_bytes())
    changed[len(changed) // 2] ^= 1
    views.write_bytes(changed)
    with pytest.raises(InputError, match="is not the picture that"):
        check_data_set(copied.folder)


def _built(folder: Path) -> DataSet:
    cores = simulated_views(_WANTED, _PACKING, workers=1)
    data = build_packed_set(folder, cores, _PACKING, recipe=_WANTED.recipe)
    shares = Shares(train=0.5, validate=0, calibrate=0, test=0.5)
    made = holdout(data.samples, unit=Unit.PATIENT, shares=shares, seed=1)
    return add_splits(data, {"holdout": made}, unit=Unit.PATIENT, scheme="holdout", seed=1)
