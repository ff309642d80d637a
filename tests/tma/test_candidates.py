"""A person who is asked where the names lie is shown what there is to choose from."""

from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.tissue_cores import CoreStatus
from blurryscope.tma.candidates import draw_candidates
from blurryscope.tma.find import Dearrayed, find_cores
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.picture import PlainPicture, working_picture
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.toy_slides import ToySlide, map_of
from blurryscope.tma.write import write_cores

ROW_LOST = ToySlide(rows=3, columns=4, missing=frozenset(f"A{n}" for n in range(1, 5)))


@pytest.fixture(scope="module")
def asked() -> Dearrayed:
    return find_cores(ROW_LOST.picture(), ROW_LOST.map(), TmaSettings())


def lost_row(found: Dearrayed) -> set[str]:
    return {str(core.name) for core in found.cores if core.status is CoreStatus.MISSING}


def test_each_candidate_tells_the_answer_that_chooses_it(asked: Dearrayed) -> None:
    told = set()
    for alternative in asked.alternatives[:2]:
        words = alternative.candidate.answer.split()
        down, right = (int(steps) for steps in words[3].split(","))
        settings = TmaSettings(orientation=Orientation(words[1]), place=(down, right))
        answered = find_cores(ROW_LOST.picture(), ROW_LOST.map(), settings)
        expected = {str(name) for name, place in alternative.places.items() if not place.has_tissue}
        assert lost_row(answered) == expected
        told.add("".join(sorted(expected)))
    assert told == {"A1A2A3A4", "C1C2C3C4"}


def test_the_picture_shows_a_panel_for_each_placement_that_fits_as_well(asked: Dearrayed) -> None:
    drawn = draw_candidates(asked, working_picture(ROW_LOST.picture()))
    assert drawn is not None
    left, right = drawn[:, :1000].astype(int), drawn[:, 1000:].astype(int)
    red = [np.argwhere((half[..., 0] > 180) & (half[..., 1] < 80)) for half in (left, right)]
    assert red[0][:, 0].mean() < red[1][:, 0].mean() - 50 or (
        red[1][:, 0].mean() < red[0][:, 0].mean() - 50
    )


def test_what_is_missing_is_told_by_its_shape_too_not_by_its_colour_alone(asked: Dearrayed) -> None:
    drawn = draw_candidates(asked, working_picture(ROW_LOST.picture()))
    assert drawn is not None
    key = drawn[-56:].astype(int)
    red = (key[..., 0] > 180) & (key[..., 1] < 80) & (key[..., 2] < 80)
    blue = (key[..., 2] > 170) & (key[..., 0] < 80)
    assert 0.3 * blue.sum() < red.sum() < 0.75 * blue.sum()


def test_the_picture_is_written_only_while_somebody_is_asked(
    asked: Dearrayed, tmp_path: Path
) -> None:
    picture = ROW_LOST.picture()
    write_cores(asked, picture, tmp_path)
    assert (tmp_path / "cores" / "candidates.png").is_file()
    answered = find_cores(picture, ROW_LOST.map(), TmaSettings(place=(0, 0)))
    write_cores(answered, picture, tmp_path)
    assert not (tmp_path / "cores" / "candidates.png").exists()


def test_a_slide_scanned_through_its_back_is_noticed_where_a_mark_exists() -> None:
    slide = ToySlide(rows=4, columns=5, missing=frozenset({"A1", "A2", "B1"}))
    listed = [str(name) for name in slide.names() if str(name) not in slide.missing]
    mirrored = np.ascontiguousarray(slide.picture().read_level(0)[:, ::-1])
    found = find_cores(PlainPicture(mirrored, 10.0), map_of(listed), TmaSettings())
    assert found.grid.needs_confirmation
    assert any("mirrored" in reason for reason in found.grid.reasons)
    assert any(each.candidate.orientation == "mirrored" for each in found.alternatives[:2])
