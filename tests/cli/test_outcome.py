"""What a slide's results are is told on the terminal, not only on the page."""

from pathlib import Path

import pytest

from blurryscope.artifacts.predictions import CoreResult, Decision, write_results
from blurryscope.artifacts.scan_quality import Rescan, RescanReason, write_rescans
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.cli.outcome import say_outcome


@pytest.mark.parametrize(
    ("decisions", "told"),
    [
        ([Decision.SCORED] * 2, "of 2 cores: 2 scored\n"),
        (
            [Decision.SCORED, Decision.WITHHELD, Decision.WITHHELD],
            "of 3 cores: 1 scored, 2 not fit for a score or without tissue; the report gives each "
            "reason\n",
        ),
        (
            [Decision.INDETERMINATE],
            "of 1 core: 0 scored, 1 not sure enough for a score; the report gives each reason\n",
        ),
    ],
)
def test_a_run_ends_with_how_many_cores_have_a_score(
    decisions: list[Decision],
    told: str,
    slide_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = [
        CoreResult(
            slide="H101",
            core=CoreName(0, column),
            score=Score.ZERO if decision is Decision.SCORED else None,
            probabilities=None if decision is Decision.WITHHELD else (0.7, 0.1, 0.1, 0.1),
            p_positive=None if decision is Decision.WITHHELD else 0.2,
            confidence=None if decision is Decision.WITHHELD else 0.7,
            decision=decision,
            reason="" if decision is Decision.SCORED else "for a reason",
        )
        for column, decision in enumerate(decisions)
    ]
    write_results(slide_dir / "results.csv", results)
    say_outcome(slide_dir, [slide_dir], quiet=False)
    assert told in capsys.readouterr().out


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
