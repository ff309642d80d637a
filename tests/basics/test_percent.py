import re
from pathlib import Path

import pytest

import blurryscope
from blurryscope.basics.percent import percent

_ANOTHER_WAY = re.compile(r":[.\d]*%\}")


@pytest.mark.parametrize(
    ("fraction", "decimals", "said"),
    [(0.37, 0, "37 %"), (0.9981, 1, "99.8 %"), (0.0, 0, "0 %"), (1.28, 0, "128 %")],
)
def test_a_share_is_a_number_a_space_and_the_sign(
    fraction: float, decimals: int, said: str
) -> None:
    assert percent(fraction, decimals) == said


def test_no_code_writes_a_share_without_the_space() -> None:
    sources = sorted(Path(blurryscope.__file__).parent.rglob("*.py"))
    assert sources
    written = [path.name for path in sources if _ANOTHER_WAY.search(path.read_text("utf-8"))]
    assert not written
