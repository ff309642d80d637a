"""The journal of a scan outlives crashes and full disks."""

from pathlib import Path

import pytest

from blurryscope.basics.errors import OutputError
from blurryscope.scan.journal import Journal, read_journal
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
