from collections.abc import Callable
from pathlib import Path

import pytest

from blurryscope import demo
from blurryscope.simulator.scan import SimulatedScan

Contents = Callable[..., dict[str, str]]


@pytest.fixture
def filmed(monkeypatch: pytest.MonkeyPatch, tiny_scans: list[SimulatedScan]) -> list[Path]:
    """Instead of filming the demo slide, take over a film that is there; says where it went."""
    asked: list[Path] = []

    def take_over(out: Path, **_: object) -> None:
        asked.append(out)
        out.mkdir(parents=True, exist_ok=True)
        for path in (tiny_scans[0].video, tiny_scans[0].map):
            (out / path.name).write_bytes(path.read_bytes())

    monkeypatch.setattr(demo, "simulate_scan", take_over)
    return asked


def test_the_demo_films_anew_what_was_not_finished_and_can_be_repeated(
    filmed: list[Path], tmp_path: Path, contents_of: Contents
) -> None:
    (tmp_path / "film").mkdir()
    (tmp_path / "film" / "scan.mp4").write_bytes(b"half a film")
    report = demo.run_demo(tmp_path)
    assert report.is_file()
    first = contents_of(tmp_path)
    assert demo.run_demo(tmp_path) == report
    assert contents_of(tmp_path) == first
    assert filmed == [tmp_path / "film"]


def test_the_demo_shows_every_score_and_a_lost_core() -> None:
    design = demo.DESIGN
    assert len(set(design.scores)) == 4
    assert len(design.scores) == design.rows * design.columns
    assert design.missing
