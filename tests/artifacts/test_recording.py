from pathlib import Path

import pytest

from blurryscope.artifacts.recording import Recording, read_recording, write_recording
from blurryscope.basics.errors import InputError


def test_what_is_known_of_a_scan_comes_back_as_it_was_written(tmp_path: Path) -> None:
    known = Recording(slide="S1", repeat=2, lane_starts_s=(0.5, 5.25), skew_deg=-0.22)
    write_recording(tmp_path / "recording.json", known)
    assert read_recording(tmp_path / "recording.json") == known


def test_axes_that_are_nowhere_near_a_right_angle_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "recording.json"
    path.write_text('{"skew_deg": 90.2}', encoding="utf-8")
    with pytest.raises(InputError, match="skew_deg"):
        read_recording(path)
