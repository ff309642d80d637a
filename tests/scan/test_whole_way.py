"""One command from the plan to the report, on the simulated microscope."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from blurryscope.artifacts.frame_places import read_frame_places
from blurryscope.artifacts.recording import read_recording
from blurryscope.basics.errors import BlurryScopeError, InputError
from blurryscope.cli import app
from blurryscope.pipeline.microscopy import Session, load_calibrated, scan_slides
from blurryscope.rig import load_rig
from blurryscope.scan.calibration import read_calibration
from blurryscope.scan.journal import read_journal
from blurryscope.scan.plan_file import read_plan
from blurryscope.scan.states import Controls, ScanStatus
from blurryscope.scan.way import StageLostError
from blurryscope.simulator.true_stage import LostWay

# No faster: what a busy computer is late with a command lengthens a rest so many times as much, and
# rests are all that says how rows of cores lie to each other.
RIG = """
name = "toy"

[simulated]
shrink = 3
speed = 8
rows = 2
columns = 3
core_diameter_um = 600
pitch_um = 900
margin_um = 800
seed = 3
"""
PLAN = """
[[slides]]
name = "TOY"
repeats = 2
only_tissue = true
area = { left_um = 7400, top_um = 4000, width_um = 5200, height_um = 2500 }

[[slides]]
name = "EMPTY"
repeats = 1
only_tissue = true
area = { left_um = 14000, top_um = 4000, width_um = 1500, height_um = 1000 }
"""
SLIDE_UM = (8000.0, 11400.0)
"""Where the simulated slide begins and ends along the lanes."""


def scan(folder: Path, *quietly: str) -> None:
    """Scan both slides; the second has nothing on it, which is said at the end."""
    (folder / "rig.toml").write_text(RIG)
    (folder / "plan.toml").write_text(PLAN)
    words = ["--rig", str(folder / "rig.toml"), "--plan", str(folder / "plan.toml"), *quietly]
    with pytest.raises(BlurryScopeError, match=r"1 of 2 slides have no report\. EMPTY: shows no"):
        app(["scan", *words, "--out", str(folder / "out")], standalone_mode=False)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scan")
    scan(folder, "--quiet")
    return folder


@pytest.fixture(scope="module")
def toy(scanned: Path) -> Path:
    """The folder of the slide that has cores."""
    return scanned / "out" / "TOY"


@pytest.mark.parametrize("repeat", ["repeat-1", "repeat-2"])
def test_one_command_calibrates_scans_stitches_and_names(toy: Path, repeat: str) -> None:
    with (toy / repeat / "cores.csv").open(encoding="utf-8") as file:
        # Which core a frame is lost in, and so leaves a hole, is up to chance.
        is_there = {"ok", "holed"}
        found = [row["core"] for row in csv.DictReader(file) if row["status"] in is_there]
    assert found == ["A1", "A2", "A3", "B1", "B2", "B3"]


def test_the_report_is_there_though_another_slide_of_the_plan_has_none(toy: Path) -> None:
    assert "Research use only" in (toy / "report.html").read_text(encoding="utf-8")
    assert not (toy.with_name("EMPTY") / "report.html").exists()


def test_only_the_part_with_tissue_is_scanned(toy: Path) -> None:
    area = json.loads((toy / "films" / "tissue.json").read_text(encoding="utf-8"))["area"]
    right_um = area["left_um"] + area["width_um"]
    assert SLIDE_UM[0] - 600 < area["left_um"] < SLIDE_UM[0] + 500
    assert SLIDE_UM[1] - 500 < right_um < SLIDE_UM[1] + 600


def test_the_calibration_of_that_command_is_right(scanned: Path) -> None:
    record = read_calibration(scanned / "rig-calibration" / "calibration.json")
    assert record.pixels.pixel_size_um == pytest.approx(2.16, rel=0.005)
    assert record.pixels.turn_deg == pytest.approx(94.4 - 0.25, abs=0.1)
    assert record.strip.readout_ratio == pytest.approx(5000 * 0.017 / 160 / 2.16, abs=0.02)
    assert record.backlash.backlash_um == pytest.approx(14, abs=2)


def test_speed_and_axes_of_the_calibration_come_with_the_film(scanned: Path, toy: Path) -> None:
    record = read_calibration(scanned / "rig-calibration" / "calibration.json")
    told = read_recording(toy / "films" / "repeat-1" / "recording.json")
    assert record.steps.skew_deg == pytest.approx(-0.25, abs=0.1)
    assert told.skew_deg == pytest.approx(record.steps.skew_deg, abs=1e-4)
    assert told.pixel_size_um == pytest.approx(record.pixels.pixel_size_um, rel=1e-6)


def test_the_mosaic_was_stitched_while_the_slide_was_scanned(toy: Path) -> None:
    told = json.loads((toy / "repeat-1" / "stitch.json").read_text(encoding="utf-8"))
    journal = read_journal(toy / "films" / "repeat-1" / "journal.jsonl")
    lanes = [entry for entry in journal if entry.event == "lane ends"]
    assert told["lane_count"] == len(lanes)
    places = read_frame_places(toy / "repeat-1" / "frames.csv")
    assert {place.lane for place in places} >= set(range(len(lanes)))


def test_the_same_command_again_scans_nothing_twice(
    scanned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(scanned, tmp_path / "again")
    slide = folder / "out" / "TOY"
    made = [slide / "films" / "repeat-2" / "scan.mkv", slide / "repeat-1" / "stitch.json"]
    before = [path.stat().st_mtime_ns for path in made]
    scan(folder)
    assert [path.stat().st_mtime_ns for path in made] == before
    told = capsys.readouterr().out
    assert "report.html" in told
    assert "EMPTY, repeat 1: looking for tissue" in told


def test_a_scanned_film_is_not_stitched_again_by_the_command_for_films(
    scanned: Path, tmp_path: Path
) -> None:
    slide = shutil.copytree(scanned / "out" / "TOY", tmp_path / "TOY")
    stitched = (slide / "repeat-1" / "stitch.json").stat().st_mtime_ns
    films = [str(slide / "films" / f"repeat-{number}" / "scan.mkv") for number in (1, 2)]
    app(["run", *films, "--out", str(slide), "--quiet"], standalone_mode=False)
    assert (slide / "repeat-1" / "stitch.json").stat().st_mtime_ns == stitched


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('map = "none.csv"', "none.csv"),
        ('layout = "none.toml"', "none.toml"),
        ("only_tissue = true", "1 MB free"),
    ],
)
def test_what_would_fail_after_the_scan_is_told_before_anything_moves(
    scanned: Path, tmp_path: Path, line: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told == "1 MB free":
        usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.replace("only_tissue = true", line, 1))
    words = ["--rig", str(scanned / "rig.toml"), "--plan", str(plan), "--quiet"]
    with pytest.raises(InputError, match=told):
        app(["scan", *words, "--out", str(tmp_path / "out")], standalone_mode=False)
    assert not (tmp_path / "out").exists()


def test_a_plan_that_no_calibration_makes_possible_is_refused_before_anything_moves(
    tmp_path: Path,
) -> None:
    (tmp_path / "rig.toml").write_text(RIG)  # never calibrated
    plan = tmp_path / "plan.toml"
    plan.write_text("[motion]\nspeed_um_per_s = 20000\n" + PLAN.replace("14000", "76000"))
    words = ["--rig", str(tmp_path / "rig.toml"), "--plan", str(plan), "--quiet"]
    for command in (["scan", *words, "--out", str(tmp_path / "out")], ["calibrate", *words]):
        with pytest.raises(InputError, match=r"20000 µm/s is more than the stage can do"):
            app(command, standalone_mode=False)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "rig-calibration").exists()


def test_another_area_is_looked_at_anew_for_its_tissue(scanned: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(scanned, tmp_path / "again")
    narrower = PLAN.replace("width_um = 5200", "width_um = 1600").split("[[slides]]")
    (folder / "plan.toml").write_text("[[slides]]" + narrower[1])
    words = ["--rig", str(folder / "rig.toml"), "--plan", str(folder / "plan.toml"), "--quiet"]
    with pytest.raises(BlurryScopeError, match="holds a scan of another plan"):
        app(["scan", *words, "--out", str(folder / "out" / "TOY")], standalone_mode=False)
    stored = (folder / "out" / "TOY" / "films" / "tissue.json").read_text(encoding="utf-8")
    area = json.loads(stored)["area"]
    assert area["left_um"] + area["width_um"] <= 7400 + 1600


def test_a_plan_is_shown_with_what_was_measured(
    scanned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["plan", str(scanned / "plan.toml"), "--calibration", str(scanned / "rig-calibration")]
    app(words, standalone_mode=False)
    told = capsys.readouterr().out
    assert "(measured)" in told
    assert "before and after each the landmark" in told
    assert "the paper says 3 mm²/s" in told
    by_rig = ["plan", str(scanned / "plan.toml"), "--rig", str(scanned / "rig.toml")]
    app(by_rig, standalone_mode=False)  # whose calibration lies beside it
    assert capsys.readouterr().out == told


@pytest.mark.slow
def test_a_repeat_in_which_the_stage_lost_its_way_is_scanned_and_stitched_anew(
    scanned: Path, tmp_path: Path
) -> None:
    narrow = PLAN.replace("width_um = 5200", "width_um = 2600").replace(
        "repeats = 2", "repeats = 1"
    )
    (tmp_path / "plan.toml").write_text("[[slides]]" + narrow.split("[[slides]]")[1])
    rig, order = load_rig(str(scanned / "rig.toml")), read_plan(tmp_path / "plan.toml")
    with rig.opened_with_truth() as (scope, behind):
        known = load_calibrated(scope, scanned / "rig-calibration")

        def slip(status: ScanStatus) -> None:
            if status.state == "scanning" and status.lane == 1 and not behind.true_stage.lost:
                now_s = behind.clock.monotonic_s()
                lost = LostWay(axis=1, from_s=now_s, until_s=now_s + 5.0)
                behind.true_stage.lost.append(lost)

        session = Session(scope=scope, known=known, controls=Controls(), on_status=slip)
        with pytest.raises(StageLostError, match="same command again"):
            scan_slides(session, order, tmp_path / "out")
        assert not list(tmp_path.glob("out/**/report.html"))
        assert not list(tmp_path.glob("out/**/scan.mkv"))
        behind.true_stage.lost.clear()
        again = replace(session, on_status=lambda _: None)
        (filmed,) = scan_slides(again, order, tmp_path / "out")
    assert filmed.films == [tmp_path / "out" / "films" / "repeat-1" / "scan.mkv"]
    assert [result.is_whole for result in session.live_results] == [True]
    assert (tmp_path / "out" / "films" / "astray-repeat-1" / "parts" / "part-001.mkv").is_file()
