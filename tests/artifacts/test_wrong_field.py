"""What is wrong in a file is said so that its author finds it."""

import pydantic
import pytest

from blurryscope.artifacts.wrong_field import wrong_field


class Corner(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    left_um: float = pydantic.Field(ge=0)
    name: str = ""


class Sheet(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    corners: list[Corner] = pydantic.Field(min_length=1)

    @pydantic.field_validator("corners")
    @classmethod
    def _are_few(cls, corners: list[Corner]) -> list[Corner]:
        if len(corners) > 2:
            raise ValueError(f"has room for 2, got {len(corners)}")
        return corners


GOOD: dict[str, object] = {"left_um": 1.0}


@pytest.mark.parametrize(
    ("told", "place", "problem"),
    [
        ({}, "corners", "is missing"),
        ({"corners": [GOOD, {}]}, "corners 2, left_um", "is missing"),
        ({"corners": [{"left": 1}]}, "corners 1, left", "is not known here; left_um is missing"),
        ({"corners": [GOOD | {"colour": 1}]}, "corners 1, colour", "is not known here"),
        ({"corners": [GOOD], "count": 1}, "count", "is not known here"),
        (
            {"corners": [{"left_um": -1}]},
            "corners 1, left_um",
            "should be greater than or equal to 0, got -1",
        ),
        ({"corners": [GOOD] * 3}, "corners", "has room for 2, got 3"),
        ([], "the file", "should be a table with fields"),
    ],
)
def test_the_place_and_the_problem_are_told(told: object, place: str, problem: str) -> None:
    with pytest.raises(pydantic.ValidationError) as raised:
        Sheet.model_validate(told)
    assert wrong_field(raised.value) == (place, problem)
