"""The journal of a scan outlives crashes and full disks."""

from pathlib import Path

import pytest

from blurryscope.basics.errors import InputError, OutputError
from blurryscope.scan.journal import Journal, read_journal
from blurryscope.scan.past import read_past
from blurryscope.testing import FakeClock, largest_file


def events(path: Path) -> list[str]:
    return [entry.event for entry in read_journal(path)]


def test_a_line_that_a_full_disk_did_not_take_leaves_the_others_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, FakeClock()) as journal:
        journal.note("begin")
        with (
            largest_file(path.stat().st_size + 10),
            pytest.raises(OutputError, match=r"journal\.jsonl: cannot be written .* Free some"),
        ):
            journal.note("lane ends", lane=0)
        assert events(path) == ["begin"]
        journal.note("lane ends", lane=1)  # somebody made room
    assert events(path) == ["begin", "lane ends"]


def test_half_a_line_that_a_crash_left_is_cut_off_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, FakeClock()) as journal:
        journal.note("begin")
    path.write_bytes(path.read_bytes() + b'{"event": "lane en')
    assert events(path) == ["begin"]
    with Journal(path, FakeClock()) as journal:
        journal.note("state", state="interrupted")
    assert events(path) == ["begin", "state"]


def test_a_line_of_which_only_its_end_is_missing_never_happened(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, FakeClock()) as journal:
        journal.note("begin")
        journal.note("lane ends", lane=0)
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    assert events(path) == ["begin"]
    with Journal(path, FakeClock()):
        assert events(path) == ["begin"]


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "7",
        '"begin"',
        "null",
        "{",
        '{"event": "begin", "time_s": 1}',
        '{"event": "begin", "time_s": "soon", "utc": ""}',
    ],
)
def test_a_line_that_is_no_event_is_told_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(f'{{"event": "state", "time_s": 1, "utc": "", "state": "done"}}\n{line}\n')
    with pytest.raises(InputError, match=r"^\S+journal\.jsonl, line 2: is no event of a scan\. "):
        read_past(path)


@pytest.mark.parametrize(
    "facts",
    [
        '"event": "state"',
        '"event": "begin", "plan": "a"',
        '"event": "landmark", "x_um": 1, "y_um": 2',
        '"event": "landmark", "x_um": NaN, "y_um": 2, "z_um": 3',
        '"event": "part"',
        '"event": "lane ends", "lane": "many", "file": "part-001.mkv", "frame": 1',
        '"event": "lane ends", "lane": 1, "file": "part-001.mkv", "frame": Infinity',
        '"event": "film ends", "file": "part-001.mkv", "frame": null',
    ],
)
def test_an_event_that_lacks_what_belongs_to_it_is_told(tmp_path: Path, facts: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(f'{{"time_s": 1, "utc": "", {facts}}}\n')
    with pytest.raises(InputError, match=r"tells an event without .*Move this scan away"):
        read_past(path)
