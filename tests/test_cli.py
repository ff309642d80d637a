import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import openpyxl
import pytest
from safetensors.numpy import save_file

from blurryscope import cli
from blurryscope.artifacts.alone import alone_in
from blurryscope.artifacts.samples import write_stack
from blurryscope.artifacts.video import Video, VideoWriter
from blurryscope.basics.image import Rgb
from blurryscope.cli.options import say_colour_order
from blurryscope.simulator.scan import SimulatedScan
from blurryscope.testing import largest_file, smooth_picture, through_video
from blurryscope.tma.toy_slides import ToySlide
from tests.conftest import Refused

COMMANDS = ("demo", "run", "stitch", "cores", "score", "report", "simulate")

Contents = Callable[..., dict[str, str]]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def scan(tiny_scans: list[SimulatedScan]) -> SimulatedScan:
    return tiny_scans[0]


def write_film(path: Path, frames: Iterator[Rgb] | list[Rgb]) -> Path:
    with VideoWriter(path, (240, 320), 30.0) as film:
        for number, frame in enumerate(frames):
            film.write(frame, number / 30.0)
    return path


def test_a_film_that_is_not_there_is_told_by_its_name(
    refused: Refused, scan: SimulatedScan, tmp_path: Path
) -> None:
    told = refused("run", tmp_path / "no.mp4", "--map", scan.map, "--out", tmp_path / "out")
    assert "no.mp4: no such file" in told
    assert not (tmp_path / "out").exists()


def test_a_name_is_told_as_it_is_written(refused: Refused, tmp_path: Path) -> None:
    named = tmp_path / "slide  7 ü.mp4"
    assert f"{named}: no such file" in refused("stitch", named, "--out", tmp_path / "out")


@pytest.mark.parametrize("command", ["run", "stitch"])
def test_a_rest_that_no_stage_takes_is_refused_before_anything_is_read(
    refused: Refused, scan: SimulatedScan, tmp_path: Path, command: str
) -> None:
    told = refused(command, scan.video, "--out", tmp_path / "out", "--rest-s", "0")
    assert "--rest-s: 0.0 is no rest between lanes" in told
    assert not (tmp_path / "out").exists()


def test_a_film_without_its_index_is_called_cut_off(
    refused: Refused, scan: SimulatedScan, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(scan.video.read_bytes()[:20_000])
    told = refused("run", cut, "--map", scan.map, "--out", tmp_path / "out")
    assert "cut.mp4: cannot be read as a video" in told
    assert "cut off" in told


def test_a_film_that_breaks_off_later_is_called_damaged(
    refused: Refused, scan: SimulatedScan, tmp_path: Path
) -> None:
    with Video(scan.video) as film:
        whole = write_film(tmp_path / "whole.mkv", (f.rgb() for f in itertools.islice(film, 120)))
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    told = refused("run", broken, "--map", scan.map, "--out", tmp_path / "out")
    assert "broken.mkv: the film is damaged or cut off" in told
    assert "--damaged" in told


def test_a_film_with_broken_pictures_brings_no_chatter_of_the_decoder(
    refused: Refused, scan: SimulatedScan, tmp_path: Path
) -> None:
    raw = bytearray(scan.video.read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(5000, len(raw) * 2 // 3, 300):
        raw[at] ^= 0xFF
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(raw)
    told = refused("run", broken, "--map", scan.map, "--out", tmp_path / "out", "--quiet")
    assert "broken.mp4: the film is damaged" in told


def test_a_film_of_three_frames_is_too_short(
    refused: Refused, scan: SimulatedScan, tmp_path: Path, rng: np.random.Generator
) -> None:
    frames = [smooth_picture(rng, (240, 320)) for _ in range(3)]
    short = write_film(tmp_path / "short.mp4", frames)
    told = refused("run", short, "--map", scan.map, "--out", tmp_path / "out")
    assert "short.mp4: holds 3 frames, too few" in told


def test_a_film_that_never_moves_says_so(
    refused: Refused, scan: SimulatedScan, tmp_path: Path, rng: np.random.Generator
) -> None:
    still = write_film(tmp_path / "still.mp4", [smooth_picture(rng, (240, 320))] * 90)
    told = refused("run", still, "--map", scan.map, "--out", tmp_path / "out")
    assert "still.mp4: nothing is seen to move" in told


@pytest.mark.parametrize(
    ("what", "problem"),
    [("one lane", "only one lane"), ("all glass", "nothing is seen to move")],
)
def test_a_film_that_shows_too_little_says_what_is_lacking(
    what: str,
    problem: str,
    film_of: Callable[[str], Path],
    refused: Refused,
    scan: SimulatedScan,
    tmp_path: Path,
) -> None:
    told = refused("run", film_of(what), "--map", scan.map, "--out", tmp_path / "out")
    assert f"scan.mp4: {problem}" in told


MAPS = {
    "core,stain\nA1,0\n": "has no column 'her2'",
    "her2\n0\n": "has no column 'core'",
    "core,her2\nA1,0\nA2,5+\n": "B3 '5+'",
    "core,her2\nA1,0\nA2,1+\nA1,2+\n": "A1",
    "core,her2\n" + "".join(f"{row}1,0\n" for row in "ABCDEFGH"): "has 8 rows and 1 columns",
}


@pytest.mark.parametrize("text", MAPS, ids=lambda text: MAPS[text])
def test_a_map_that_cannot_be_used_is_told_and_earlier_results_stay(
    text: str,
    refused: Refused,
    scan: SimulatedScan,
    slide_dir: Path,
    tmp_path: Path,
    contents_of: Contents,
) -> None:
    lab_map = tmp_path / "lab.csv"
    lab_map.write_text(text, encoding="utf-8")
    before = contents_of(slide_dir)
    told = refused("run", scan.video, "--map", lab_map, "--out", slide_dir)
    assert "lab.csv" in told
    assert MAPS[text] in told
    assert contents_of(slide_dir) == before


def broken_xlsx(path: Path) -> Path:
    openpyxl.Workbook().save(path)
    path.write_bytes(path.read_bytes()[:900])
    return path


def locked_xlsx(path: Path) -> Path:
    path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(4096))  # how Office stores them
    return path


@pytest.mark.parametrize(
    ("make", "problem"), [(broken_xlsx, "damaged"), (locked_xlsx, "password-protected")]
)
def test_an_xlsx_that_cannot_be_opened_is_told(
    make: Callable[[Path], Path],
    problem: str,
    refused: Refused,
    scan: SimulatedScan,
    tmp_path: Path,
) -> None:
    lab_map = make(tmp_path / "lab.xlsx")
    told = refused("run", scan.video, "--map", lab_map, "--out", tmp_path / "out")
    assert "lab.xlsx" in told
    assert problem in told


@pytest.mark.parametrize("is_safetensors", [False, True])
def test_weights_of_no_network_are_refused_and_earlier_results_stay(
    is_safetensors: bool,
    refused: Refused,
    scan: SimulatedScan,
    slide_dir: Path,
    tmp_path: Path,
    contents_of: Contents,
) -> None:
    weights = tmp_path / "net.safetensors"
    if is_safetensors:
        save_file({"w": np.zeros(3)}, weights)
    else:
        weights.write_bytes(b"\x80\x04pickle")
    before = contents_of(slide_dir)
    told = refused("run", scan.video, "--map", scan.map, "--model", weights, "--out", slide_dir)
    assert "net.safetensors" in told
    assert contents_of(slide_dir) == before


def test_an_unknown_orientation_is_told_with_those_there_are(
    refused: Refused, scan: SimulatedScan, tmp_path: Path
) -> None:
    told = refused("run", scan.video, "--orientation", "left", "--out", tmp_path / "out")
    assert "--orientation" in told
    assert "turned-180" in told


def test_more_orientations_than_films_are_refused(
    refused: Refused, scan: SimulatedScan, tmp_path: Path
) -> None:
    twice = ["--orientation", "any"] * 2
    assert "2 times for 1 film" in refused("run", scan.video, *twice, "--out", tmp_path / "out")


def test_two_commands_never_write_into_one_folder_at_once(
    refused: Refused, scan: SimulatedScan, slide_dir: Path, contents_of: Contents
) -> None:
    before = contents_of(slide_dir)
    with alone_in(slide_dir):
        for words in (
            ("run", scan.video, "--map", scan.map, "--out", slide_dir),
            ("stitch", scan.video, "--out", slide_dir),
            ("cores", slide_dir, "--map", scan.map),
            ("score", slide_dir),
        ):
            assert "another command is writing" in refused(*words)
    assert contents_of(slide_dir) == before


@pytest.mark.parametrize("words", [["demo"], ["simulate"], ["cores", "toy.png"]], ids=" ".join)
def test_a_file_is_told_before_anything_is_made_for_it(
    words: list[str], refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("toy.png", ToySlide(rows=2, columns=2).draw()[..., ::-1])
    Path("mine.txt").write_text("mine")
    assert "mine.txt: is a file" in refused(*words, "--out", "mine.txt")
    assert Path("mine.txt").read_text() == "mine"


def test_results_are_not_written_into_a_file(
    refused: Refused, scan: SimulatedScan, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    told = refused("run", scan.video, "--map", scan.map, "--out", tmp_path / "out")
    assert "Choose another folder" in told
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


def test_a_full_disk_is_told_and_earlier_results_stay(
    refused: Refused, scan: SimulatedScan, slide_dir: Path, contents_of: Contents
) -> None:
    before = contents_of(slide_dir, with_stamps=False)
    other_size = ("--pixel-size-um", "2.5")
    with largest_file(20_000):
        told = refused("run", scan.video, "--map", scan.map, "--out", slide_dir, *other_size)
    assert "no space left" in told
    assert contents_of(slide_dir, with_stamps=False) == before


def test_another_film_is_never_written_over_earlier_results(
    refused: Refused, tiny_scans: list[SimulatedScan], slide_dir: Path, contents_of: Contents
) -> None:
    before = contents_of(slide_dir)
    for command in ("run", "stitch"):
        told = refused(command, tiny_scans[1].video, "--out", slide_dir)
        assert "another film" in told
    assert contents_of(slide_dir) == before


def test_repeats_are_not_put_where_a_single_film_was(
    refused: Refused, tiny_scans: list[SimulatedScan], slide_dir: Path
) -> None:
    films = [scan.video for scan in tiny_scans]
    assert "single film" in refused("run", *films, "--out", slide_dir)


def test_one_film_is_not_counted_as_two_repeats(
    refused: Refused, scan: SimulatedScan, tmp_path: Path
) -> None:
    again = shutil.copy(scan.video, tmp_path / "again.mp4")
    assert "same film" in refused("run", scan.video, again, "--out", tmp_path / "out")


def test_the_folder_of_the_film_is_no_folder_for_results(
    refused: Refused, scan: SimulatedScan
) -> None:
    told = refused("stitch", scan.video, "--out", scan.video.parent)
    assert "recording.json would be overwritten" in told


def test_a_command_that_is_stopped_by_the_keyboard_says_so_and_fails(
    refused: Refused, scan: SimulatedScan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(film: Video) -> Video:
        signal.raise_signal(signal.SIGINT)
        time.sleep(60)  # the signal is heard here at the latest
        return film

    monkeypatch.setattr(Video, "__enter__", interrupted)
    # Processes that a shell began in the background ignore the signal until they say otherwise.
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        told = refused("stitch", scan.video, "--out", tmp_path / "out", "--quiet")
    finally:
        signal.signal(signal.SIGINT, usual)
    assert "stopped. Run the same command again to go on." in told


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--bogus"],
        ["run", "a.mp4"],
        ["run"],
        ["bogus"],
        ["simulate", "--out", "x", "--rows", "0"],
        ["simulate", "--out", "x", "--preset", "bogus"],
        ["stitch", "a.mp4", "--out", "x", "--pixel-size-um", "-1"],
        ["stitch", "a.mp4", "--out", "x", "--pixel-size-um", "wide"],
        ["stitch", "a.mp4", "--out", "x"],
        ["cores", "nothing-here"],
        ["score", "nothing-here"],
        ["score", "A_1_B2.tif"],
        ["report", "nothing-here"],
    ],
    ids=" ".join,
)
def test_a_command_that_is_mistyped_gets_one_line(
    arguments: list[str], refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(*arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(
    command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["blurryscope", command, "--help"])
    cli.main()
    assert f"Example: blurryscope {command}" in capfd.readouterr().out


def test_help_begins_with_what_a_slide_goes_through(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["blurryscope", "--help"])
    cli.main()
    names = re.findall(r"^  (\S+)", capfd.readouterr().out.split("Commands:")[1], re.MULTILINE)
    assert names[:6] == ["demo", "run", "stitch", "cores", "score", "report"]


def test_signs_that_the_output_lacks_stop_no_command(tmp_path: Path) -> None:
    table = tmp_path / "ışık.csv"
    table.write_text("core,HER2 Ahmed,HER2 Baker\nA1,0,1+\nA2,2+,2+\n", encoding="utf-8")
    code = "import sys; sys.argv[0] = 'blurryscope'; from blurryscope import cli; cli.main()"
    words = [sys.executable, "-c", code, "map", "check", str(table), "--consensus", "majority"]
    told = subprocess.run(
        words,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        encoding="cp1252",
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert r"\u0131\u015f\u0131k.csv" in told.stdout
    assert r"A1: Ahmed 0, Baker 1+ \u2192 no score" in told.stdout


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; sys.argv = ['blurryscope', '--help']; from blurryscope import cli\n"
        "try: cli.main()\n"
        "finally: print(sorted({'torch', 'cv2', 'zarr', 'av'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.stdout.splitlines()[-1] == "[]", told.stderr


def test_an_edit_says_how_its_slide_is_scored_again_where_it_has_scores(
    monkeypatch: pytest.MonkeyPatch, slide_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, has_scores in (("A1", True), ("A2", False)):
        monkeypatch.setattr(sys, "argv", ["blurryscope", "edit", "missing", str(slide_dir), name])
        cli.main()
        assert (f"blurryscope score {slide_dir}" in capfd.readouterr().out) == has_scores
        (slide_dir / "scores.csv").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("edit", "told"),
    [(("lock", "A1"), ""), (("status", "A1", "folded"), "The report is still that of before")],
)
def test_an_edit_that_changes_no_score_asks_for_none(
    edit: tuple[str, ...],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    slide_dir: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    kind, *rest = edit
    monkeypatch.setattr(sys, "argv", ["blurryscope", "edit", kind, str(slide_dir), *rest])
    cli.main()
    said = capfd.readouterr().out
    assert "Scores and report are still those" not in said
    assert told in said
    assert ("report" in said) == bool(told)


def test_scores_of_a_folder_are_written_again_alike(
    monkeypatch: pytest.MonkeyPatch, slide_dir: Path, contents_of: Contents
) -> None:
    before = contents_of(slide_dir, with_stamps=False)
    for command in ("score", "report"):
        monkeypatch.setattr(sys, "argv", ["blurryscope", command, str(slide_dir)])
        cli.main()
    assert contents_of(slide_dir, with_stamps=False) == before


def test_a_scale_that_hangs_on_an_assumed_speed_is_told(
    scan: SimulatedScan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    film = tmp_path / "film" / "scan.mp4"  # without the recording.json that lies beside it
    film.parent.mkdir()
    shutil.copyfile(scan.video, film)
    out = tmp_path / "out"
    monkeypatch.setattr(
        sys, "argv", ["blurryscope", "stitch", str(film), "--out", str(out), "--quiet"]
    )
    cli.main()
    assert "if the stage ran at 5 mm/s, as is assumed" in capfd.readouterr().out
    told = json.loads((out / "stitch.json").read_text(encoding="utf-8"))
    assert told["uncertainty"]["pixel_size_um"] is None


@pytest.mark.parametrize(("given", "order"), [(["--bgr"], "blue, green"), ([], "red, green")])
def test_scoring_stacks_tells_the_order_of_colours_and_how_many_got_a_score(
    given: list[str],
    order: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    glass = np.full((5, 512, 512, 3), 240, np.uint8)
    for name in ("S_1_A1.tif", "S_1_A2.tif"):
        write_stack(tmp_path / name, glass)
    table = tmp_path / "scores.csv"
    monkeypatch.setattr(
        sys, "argv", ["blurryscope", "score", str(tmp_path), *given, "--out", str(table)]
    )
    cli.main()
    told = capfd.readouterr().out
    assert f"stacks were read as {order}" in told
    assert "of 2 pictures: 0 scored" in told
    assert "2 not fit for a score" in told


def test_stacks_that_show_another_order_than_was_told_are_warned_of(
    capfd: pytest.CaptureFixture[str], refused: Refused, tmp_path: Path
) -> None:
    blue_first = through_video(smooth_picture(np.random.default_rng(0), (512, 512)))[..., ::-1]
    write_stack(tmp_path / "S_1_A1.tif", np.stack([blue_first] * 5))
    told = refused("score", tmp_path, "--out", tmp_path / "scores.csv")
    assert "S_1_A1.tif: stores blue first" in told
    assert "Give --bgr" in told
    say_colour_order([tmp_path], True)
    assert "WARNING" not in capfd.readouterr().out
    say_colour_order([tmp_path], False)
    warned = capfd.readouterr().out
    assert "1 of 1 stacks show that they store blue first (S_1_A1.tif for one)" in warned
    assert "right with --rgb, leave it out" in warned


def test_quiet_says_only_where_the_results_are(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], slide_dir: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["blurryscope", "score", str(slide_dir), "--quiet"])
    cli.main()
    told = capfd.readouterr()
    assert told.err == ""
    assert told.out.splitlines()[0] == f"scores: {slide_dir / 'scores.csv'}"
    assert "Research use only" in told.out
