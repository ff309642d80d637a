"""One command from the plan to the report, on the simulated microscope."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from blurryscope.artifacts.frame_places import read_frame_places
from blurryscope.cli import app
from blurryscope.scan.calibration import read_calibration
from blurryscope.scan.journal import read_journal

RIG = """
name = "toy"

[simulated]
shrink = 2
rows = 2
columns = 3
core_diameter_um = 600
pitch_um = 900
margin_um = 800
seed = 3
"""
PLAN = """
repeats = 1

[[slides]]
name = "TOY"
area = { left_um = 8000, top_um = 4000, width_um = 3400, height_um = 2500 }
"""


def scan(folder: Path, *more: str) -> str:
    (folder / "rig.toml").write_text(RIG)
    (folder / "plan.toml").write_text(PLAN)
    return command(
        folder, "scan", "--rig", str(folder / "rig.toml"), "--out", str(folder / "out"), *more
    )


def command(folder: Path, verb: str, *more: str) -> str:
    words = [verb, *more, "--quiet", "--plan", str(folder / "plan.toml")]
    app(words, standalone_mode=False)
    return " ".join(words)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scan")
    scan(folder)
    return folder


def test_one_command_calibrates_scans_stitches_and_reports(scanned: Path) -> None:
    assert "Research use only" in (scanned / "out" / "report.html").read_text(encoding="utf-8")
    with (scanned / "out" / "cores.csv").open(encoding="utf-8") as file:
        found = [row["core"] for row in csv.DictReader(file) if row["status"] == "ok"]
    assert found == ["A1", "A2", "A3", "B1", "B2", "B3"]


def test_the_calibration_of_that_command_is_right(scanned: Path) -> None:
    record = read_calibration(scanned / "rig-calibration" / "calibration.json")
    assert record.pixels.pixel_size_um == pytest.approx(1.44, rel=0.005)
    assert record.pixels.turn_deg == pytest.approx(94.4 - 0.25, abs=0.1)
    assert record.strip.readout_ratio == pytest.approx(5000 * 0.017 / 240 / 1.44, abs=0.02)
    assert record.backlash.backlash_um == pytest.approx(14, abs=2)


def test_the_mosaic_was_stitched_while_the_slide_was_scanned(scanned: Path) -> None:
    told = json.loads((scanned / "out" / "stitch.json").read_text(encoding="utf-8"))
    journal = read_journal(scanned / "out" / "films" / "repeat-1" / "journal.jsonl")
    lanes = [entry for entry in journal if entry.event == "lane ends"]
    assert told["lane_count"] == len(lanes)
    places = read_frame_places(scanned / "out" / "frames.csv")
    assert {place.lane for place in places} >= set(range(len(lanes)))


def test_the_same_command_again_scans_nothing_twice(
    scanned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(scanned, tmp_path / "again")
    film = folder / "out" / "films" / "repeat-1" / "scan.mkv"
    before = film.stat().st_mtime_ns
    scan(folder)
    assert film.stat().st_mtime_ns == before
    assert "report.html" in capsys.readouterr().out


def test_a_plan_is_shown_with_what_was_measured(
    scanned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["plan", str(scanned / "plan.toml"), "--calibration", str(scanned / "rig-calibration")]
    app(words, standalone_mode=False)
    told = capsys.readouterr().out
    assert "(measured)" in told
    assert "the paper says 3 mm²/s" in told
