"""What would change nothing, or too much, is told before anything is evaluated or fitted."""

from pathlib import Path

import pytest

from blurryscope.classify.shipped import SHIPPED
from tests.conftest import Refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--column", "lable=truth"), "--column: there is no column 'lable'. Name one of slide"),
        (("--protocol", "paper", "--against", "b.csv"), "--against: has no place in the paper's"),
    ],
)
def test_an_option_that_would_change_nothing_is_told(
    refused: Refused, tmp_path: Path, options: tuple[object, ...], said: str
) -> None:
    assert said in refused("evaluate", "a.csv", *options, "--out", tmp_path / "out")


def test_limits_that_came_with_the_program_are_not_replaced(
    refused: Refused, tmp_path: Path
) -> None:
    said = refused("fit-limits", tmp_path / "set")
    assert f"--out: is not given, and the limits that {SHIPPED} is shipped with" in said
