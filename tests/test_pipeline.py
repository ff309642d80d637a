import json
import math
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from blurryscope.artifacts.predictions import Decision, read_predictions, read_results
from blurryscope.artifacts.provenance import read_provenance, sha256_of_file
from blurryscope.artifacts.tissue_cores import (
    CoreGrid,
    PlaceSource,
    read_core_grid,
    read_tissue_cores,
)
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score
from blurryscope.classify.shipped import SHIPPED
from blurryscope.pipeline.rescoring import score_inputs
from blurryscope.pipeline.run import run
from blurryscope.pipeline.settings import RunSettings
from blurryscope.simulator.scan import SimulatedScan
from blurryscope.tma.orientation import Orientation

Contents = Callable[..., dict[str, str]]
Until = Callable[[Path, float], bool]

COMMAND = [sys.executable, "-c", "from blurryscope.cli import main; main()", "run", "--quiet"]


def run_and_kill(scan: SimulatedScan, out: Path, is_time: Until) -> bool:
    """Start a run as a user would and kill it without warning; whether it came to that."""
    command = [*COMMAND, str(scan.video), "--map", str(scan.map), "--out", str(out)]
    started_s = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if is_time(out, time.monotonic() - started_s):
                process.kill()
                return True
            time.sleep(0.002)  # another process is watched; there is nothing to wait on instead
    return False


def is_writing_the_mosaic(out: Path, _: float) -> bool:
    return (out / ".partial.mosaic.ome.zarr").exists()


def has_begun_with_the_cores(out: Path, _: float) -> bool:
    return (out / "cores").exists() or (out / ".partial.cores").exists()


def after(seconds: float) -> Until:
    return lambda _, elapsed_s: elapsed_s > seconds


@pytest.fixture
def scan(tiny_scans: list[SimulatedScan]) -> SimulatedScan:
    return tiny_scans[0]


def test_a_run_killed_while_it_wrote_ends_like_one_that_was_not(
    scan: SimulatedScan, tiny_results: Path, tmp_path: Path, contents_of: Contents
) -> None:
    out = tmp_path / "slide"
    assert run_and_kill(scan, out, has_begun_with_the_cores)
    assert not (out / "report.html").exists()
    run([scan.video], out, map_path=scan.map)
    assert contents_of(out) == contents_of(tiny_results)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_kills_at_random_moments_leave_no_trace(
    scan: SimulatedScan, tiny_results: Path, tmp_path: Path, contents_of: Contents
) -> None:
    assert run_and_kill(scan, tmp_path / "mosaic" / "slide", is_writing_the_mosaic)
    assert not (tmp_path / "mosaic" / "slide" / "mosaic.ome.zarr").exists()
    begin_s = time.monotonic()
    assert not run_and_kill(scan, tmp_path / "timed" / "slide", after(math.inf))
    whole_s = time.monotonic() - begin_s
    rng = random.Random(0)
    out = tmp_path / "slide"
    kills = 0
    while kills < 10:
        kills += run_and_kill(scan, out, after(rng.uniform(0.1, 1.0) * whole_s))
        if (out / "report.html").exists():  # done all the same: from the start once more
            run([scan.video], out, map_path=scan.map)
            assert contents_of(out) == contents_of(tiny_results)
            shutil.rmtree(out)
    run([scan.video], out, map_path=scan.map)
    assert contents_of(out) == contents_of(tiny_results)


def written_again(folder: Path, action: Callable[[], object]) -> set[str]:
    """Which tables, and whether the mosaic, an action writes."""
    watched = ["frames.csv", "stitch.json", "cores.csv", "scores.csv", "results.csv"]
    before = {name: (folder / name).stat().st_ino for name in watched}
    action()
    return {name for name in watched if (folder / name).stat().st_ino != before[name]}


def test_the_same_command_again_does_nothing_twice(scan: SimulatedScan, slide_dir: Path) -> None:
    assert not written_again(slide_dir, lambda: run([scan.video], slide_dir, map_path=scan.map))


def test_another_map_leaves_the_mosaic_alone(
    scan: SimulatedScan, slide_dir: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text(scan.map.read_text(encoding="utf-8").replace("A1,0", "A1,1+"), "utf-8")
    written = written_again(slide_dir, lambda: run([scan.video], slide_dir, map_path=other))
    assert written == {"cores.csv", "scores.csv", "results.csv"}


def test_a_map_that_is_changed_while_it_is_used_is_read_by_the_next_run(
    scan: SimulatedScan, slide_dir: Path, tmp_path: Path
) -> None:
    table, listed = tmp_path / "map.csv", scan.map.read_text(encoding="utf-8")
    table.write_text(listed.replace("A1,0", "A1,1+"), "utf-8")
    read = sha256_of_file(table)

    def change(stage: str, fraction: float) -> None:  # noqa: ARG001 - the contract's
        table.write_text(listed.replace("A1,0", "A1,3+"), "utf-8")

    def label_of_a1() -> Score | None:
        return read_tissue_cores(slide_dir / "cores.csv")[0].label

    run([scan.video], slide_dir, map_path=table, progress=change)
    assert label_of_a1() is Score.ONE
    assert read_provenance(slide_dir / "provenance.json").inputs_sha256["map.csv"] == read
    run([scan.video], slide_dir, map_path=table)
    assert label_of_a1() is Score.THREE


def test_another_threshold_leaves_mosaic_and_cores_alone(
    scan: SimulatedScan, slide_dir: Path
) -> None:
    settings = RunSettings(threshold=0.99)
    written = written_again(
        slide_dir, lambda: run([scan.video], slide_dir, map_path=scan.map, settings=settings)
    )
    assert written == {"scores.csv", "results.csv"}
    assert Decision.INDETERMINATE in {
        each.decision for each in read_results(slide_dir / "results.csv")
    }


def test_what_was_deleted_is_made_again(
    scan: SimulatedScan, slide_dir: Path, tiny_results: Path, contents_of: Contents
) -> None:
    (slide_dir / "cores.csv").unlink()
    (slide_dir / "results.csv").unlink()
    run([scan.video], slide_dir, map_path=scan.map)
    assert contents_of(slide_dir) == contents_of(tiny_results)


@pytest.fixture(scope="module")
def repeats_dir(tiny_scans: list[SimulatedScan], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of both scans, the second of which lay the other way round."""
    out = tmp_path_factory.mktemp("repeats") / "slide"
    run([each.video for each in tiny_scans], out, map_path=tiny_scans[0].map)
    return out


def test_a_repeat_that_lay_turned_is_recognised(repeats_dir: Path) -> None:
    first, second = (read_core_grid(repeats_dir / f"repeat-{n}" / "cores.json") for n in (1, 2))
    assert first.orientation == Orientation.AS_SCANNED
    assert second.orientation == Orientation.TURNED_180
    assert second.agrees_with_first
    assert not second.needs_confirmation
    assert {each.repeats_used for each in read_results(repeats_dir / "results.csv")} == {2}


def test_a_repeat_told_to_lie_as_it_does_not_takes_no_part(
    tiny_scans: list[SimulatedScan], repeats_dir: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(repeats_dir, tmp_path / "slide")
    told = RunSettings(repeat_orientations=(Orientation.AS_SCANNED,))
    run([each.video for each in tiny_scans], out, map_path=tiny_scans[0].map, settings=told)
    grid = read_core_grid(out / "repeat-2" / "cores.json")
    assert grid.needs_confirmation
    assert "takes no part in the results" in grid.reasons[0]
    assert_only_the_first_counts(out)


@pytest.mark.slow
def test_a_film_of_another_slide_takes_no_part(
    tiny_scans: list[SimulatedScan], other_film: Path, tmp_path: Path
) -> None:
    out = tmp_path / "slide"
    run([tiny_scans[0].video, other_film], out, map_path=tiny_scans[0].map)
    assert read_core_grid(out / "repeat-2" / "cores.json").agrees_with_first is False
    assert_only_the_first_counts(out)


def assert_only_the_first_counts(out: Path) -> None:
    second = [each for each in read_predictions(out / "scores.csv") if each.repeat == 2]
    assert {each.decision for each in second} == {Decision.WITHHELD}
    assert {each.repeats_used for each in read_results(out / "results.csv")} == {1}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Core A1 in repeat 1" in page
    assert "Core A1 in repeat 2" not in page


def test_without_a_map_repeats_still_share_their_names(
    tiny_scans: list[SimulatedScan], repeats_dir: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(repeats_dir, tmp_path / "slide")
    run([each.video for each in tiny_scans], out)
    grid: CoreGrid = read_core_grid(out / "repeat-2" / "cores.json")
    assert grid.agrees_with_first
    assert grid.needs_confirmation
    assert grid.names_from == "grid"
    cores = read_tissue_cores(out / "repeat-2" / "cores.csv")
    assert {core.source for core in cores} == {PlaceSource.INFERRED}


def swap_by_hand(folder: Path, one: str, other: str) -> None:
    table = folder / "cores.csv"
    text = table.read_text(encoding="utf-8")
    for old, new in ((one, "?"), (other, one), ("?", other)):
        text = text.replace(f"\n{old},", f"\n{new},")
    table.write_text(text, encoding="utf-8")


def test_what_is_corrected_in_the_first_repeat_is_carried_to_the_others(
    tiny_scans: list[SimulatedScan], repeats_dir: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(repeats_dir, tmp_path / "slide")
    before = {core.name: core for core in read_tissue_cores(out / "repeat-2" / "cores.csv")}
    swap_by_hand(out / "repeat-1", "A1", "A3")
    with pytest.raises(InputError, match="named before repeat-1 was corrected"):
        score_inputs([out], None, SHIPPED, is_bgr=False)
    run([each.video for each in tiny_scans], out, map_path=tiny_scans[0].map)
    after = {core.name: core for core in read_tissue_cores(out / "repeat-2" / "cores.csv")}
    a1, a3 = CoreName(0, 0), CoreName(0, 2)
    assert after[a1].x_px == pytest.approx(before[a3].x_px, abs=20)
    assert after[a1].label is before[a1].label
    assert {each.repeats_used for each in read_results(out / "results.csv")} == {2}
    score_inputs([out], None, SHIPPED, is_bgr=False)


def test_a_repeat_left_out_is_missed(
    tiny_scans: list[SimulatedScan], repeats_dir: Path, contents_of: Contents
) -> None:
    before = contents_of(repeats_dir)
    with pytest.raises(InputError, match="already holds 2 repeats, but one film was given"):
        run([tiny_scans[0].video], repeats_dir, map_path=tiny_scans[0].map)
    assert contents_of(repeats_dir) == before


def test_results_name_no_folder_and_no_time(tiny_results: Path, tmp_path: Path) -> None:
    told = (tiny_results / "provenance.json").read_text(encoding="utf-8")
    assert set(json.loads(told)["inputs_sha256"]) == {"scan.mp4", "map.csv"}
    assert str(tmp_path.parent.name) not in told
    assert str(tmp_path.parent.name) not in (tiny_results / "report.html").read_text("utf-8")
