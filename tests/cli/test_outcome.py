"""What a slide's results are is told on the terminal, not only on the page."""

from pathlib import Path

import pytest

from blurryscope.artifacts.scan_quality import Rescan, RescanReason, write_rescans
from blurryscope.cli.outcome import say_outcome


def test_a_run_ends_with_how_many_cores_have_a_score(
    slide_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say_outcome(slide_dir, [slide_dir], quiet=False)
    cores = len((slide_dir / "results.csv").read_text("utf-8").splitlines()) - 1
    told = capsys.readouterr().out
    assert f"of {cores} cores: " in told
    assert "not fit for a score or without tissue; the report gives each reason" in told


def test_a_run_ends_with_what_to_scan_again(
    slide_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Rescan(
        reason=RescanReason.FRAMES,
        first_lane=1,
        last_lane=1,
        x_from_mm=0.1,
        x_to_mm=0.2,
        y_from_mm=0.1,
        y_to_mm=0.2,
        problem="lane 1 lost 1 frame",
        action="Scan again.",
    )
    write_rescans(slide_dir / "rescan.csv", [place])
    say_outcome(slide_dir, [slide_dir], quiet=True)
    told = capsys.readouterr().out
    assert f"scan again: 1 place, under To do in the report and in {slide_dir}" in told
    assert "cores:" not in told


def test_a_scan_that_went_well_asks_for_nothing(
    slide_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rescans(slide_dir / "rescan.csv", [])
    say_outcome(slide_dir, [slide_dir], quiet=False)
    assert "scan again" not in capsys.readouterr().out
