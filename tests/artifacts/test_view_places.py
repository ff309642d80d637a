"""The table of views comes back as it was written, and a spoiled one is refused by its line."""

from pathlib import Path

import pytest

from blurryscope.artifacts.view_places import (
    ViewPlace,
    WeighedView,
    read_view_places,
    write_view_places,
)
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError

_VIEWS = (
    WeighedView(place=ViewPlace(top_px=-10.25, left_px=3.5, side_px=658.29), weight=0.75),
    WeighedView(place=ViewPlace(top_px=-40.0, left_px=-40.0, side_px=1400.0), weight=0.25),
)


def test_views_come_back_as_they_were_written(tmp_path: Path) -> None:
    cores = {CoreName.parse("A1"): _VIEWS, CoreName.parse("B12"): _VIEWS[::-1]}
    write_view_places(tmp_path / "views.csv", cores)
    assert read_view_places(tmp_path / "views.csv") == cores


def test_a_line_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    write_view_places(path, {CoreName.parse("A1"): _VIEWS})
    path.write_text(path.read_text(encoding="utf-8")[:-12], encoding="utf-8")
    with pytest.raises(InputError, match="line 3"):
        read_view_places(path)


def test_a_view_without_size_is_refused() -> None:
    with pytest.raises(ValueError, match="side_px must be positive"):
        ViewPlace(top_px=0.0, left_px=0.0, side_px=0.0)
