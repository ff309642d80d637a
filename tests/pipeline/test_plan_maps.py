"""What a plan names beside itself is looked at before anything moves."""

from pathlib import Path

import pytest

from blurryscope.basics.errors import MissingInputError
from blurryscope.pipeline.plan_maps import refuse_unreadable_maps
from blurryscope.scan.plan_file import read_plan

PLAN = """
[[slides]]
name = "one"
area = { left_um = 0, top_um = 0, width_um = 1000, height_um = 1000 }
"""


@pytest.mark.parametrize("named", ["map", "layout"])
def test_a_file_that_is_not_there_is_told_by_the_slide_that_names_it(
    tmp_path: Path, named: str
) -> None:
    path = tmp_path / "plan.toml"
    for value, problem in (("Karte 1.csv", "no such file"), ("", "is a folder, and no file")):
        path.write_text(f'{PLAN}{named} = "{value}"\n', encoding="utf-8")
        with pytest.raises(MissingInputError, match=rf"plan\.toml, one: names .*: {problem}"):
            refuse_unreadable_maps(read_plan(path))
