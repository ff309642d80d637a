"""`stitch.json` is read whole, or refused in one line."""

from pathlib import Path

import pytest

from blurryscope.artifacts.stitch_facts import read_stitch_facts
from blurryscope.basics.errors import InputError


def test_what_it_holds_is_given_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "stitch.json"
    path.write_text('{"lane_count": 3, "rescan": []}', encoding="utf-8")
    assert read_stitch_facts(path) == {"lane_count": 3, "rescan": []}


@pytest.mark.parametrize(
    "content", [b"", b"\x9b", b'{"lane_count": 3', b"[]", b"7", b"[" * 100_000, b"9" * 5_000]
)
def test_a_damaged_one_is_told_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "stitch.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"stitch\.json: .*\. Stitch the slide again\.$"):
        read_stitch_facts(path)


def test_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_stitch_facts(tmp_path / "stitch.json")
