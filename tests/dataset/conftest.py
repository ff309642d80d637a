"""What tests of data sets share; each module builds its own `data` once."""

import shutil
from pathlib import Path

import pytest

from blurryscope.dataset.build import DataSet, open_data_set


@pytest.fixture
def copied(data: DataSet, tmp_path: Path) -> DataSet:
    """A copy, to do with as one likes."""
    return open_data_set(shutil.copytree(data.folder, tmp_path / "set"))
