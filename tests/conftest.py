"""Small scans that many tests share, and what they lead to; each is made once."""

import hashlib
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

import cv2
import pytest
from hypothesis import HealthCheck, settings

from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.simulator.presets import PLAIN
from blurryscope.simulator.scan import SimulatedScan, simulate_repeats, simulate_scan
from blurryscope.simulator.slide import SlideDesign

# How busy the machine is says nothing about the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

_Made = TypeVar("_Made")

Refused = Callable[..., str]

COARSE = replace(
    PLAIN, camera=replace(PLAIN.camera, rows=240, columns=320, pixel_size_um=2.24, dirt_count=0)
)
"""A quarter of the pixels, a quarter of the time."""

TINY = SlideDesign(
    name="TINY",
    rows=2,
    columns=3,
    core_diameter_um=600.0,
    pitch_um=900.0,
    margin_um=800.0,
    scores=tuple(Score(score) for score in (0, 3, 1, 2, 3, 0)),
    seed=3,
)


@pytest.fixture(scope="session", autouse=True)
def _one_thread_each() -> None:
    """Two test processes on two cores: threads of one would only wait for those of the other."""
    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def tiny_scans(tmp_path_factory: pytest.TempPathFactory) -> list[SimulatedScan]:
    """Two scans of one slide; for the second it lay the other way round. Not to be changed."""

    def make(out: Path) -> list[SimulatedScan]:
        return simulate_repeats(out, design=TINY, settings=COARSE, seed=3, turned=(False, True))

    return _made_once(tmp_path_factory, "tiny", make)


@pytest.fixture(scope="session")
def tiny_results(tiny_scans: list[SimulatedScan], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an undisturbed run of the first scan. Not to be changed."""
    from blurryscope.pipeline.run import run  # here, so that tests without it do not wait for torch

    def make(out: Path) -> Path:
        run([tiny_scans[0].video], out / "slide", map_path=tiny_scans[0].map)
        return out / "slide"

    return _made_once(tmp_path_factory, "results", make)


def _made_once(folders: pytest.TempPathFactory, name: str, make: Callable[[Path], _Made]) -> _Made:
    """What `make` gives for a new folder; of several test processes only the first has to make it.

    None waits for another: two that want it at the same time both make their own.
    """
    own = folders.getbasetemp()
    told = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / f"{name}.pickle"
    if told.is_file():
        made: _Made = pickle.loads(told.read_bytes())
        return made
    made = make(folders.mktemp(name))
    ours = own / told.name  # whole before the others see it
    ours.write_bytes(pickle.dumps(made))
    ours.replace(told)
    return made


@pytest.fixture
def slide_dir(tiny_results: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to do with as one likes."""
    return shutil.copytree(tiny_results, tmp_path / "slide")


@pytest.fixture(scope="session")
def film_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Films that cannot be stitched, by what is wrong with them."""
    out = tmp_path_factory.mktemp("unusable")
    low = SlideDesign(
        name="LOW", columns=2, rows=1, core_diameter_um=300.0, pitch_um=700.0, margin_um=260.0
    )
    bare = tuple(CoreName(row, column) for row in range(2) for column in range(3))
    designs = {
        "one lane": low,
        "all glass": replace(TINY, missing=bare, dust_per_mm2=0.0),
    }
    made: dict[str, Path] = {}

    def film(what: str) -> Path:
        if what not in made:
            folder = out / what.replace(" ", "-")
            made[what] = simulate_scan(folder, design=designs[what], settings=COARSE).video
        return made[what]

    return film


@pytest.fixture(scope="session")
def other_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another slide of the same design."""
    out = tmp_path_factory.mktemp("other")
    return simulate_scan(out, design=replace(TINY, seed=4), settings=COARSE).video


class ContentsOf(Protocol):
    def __call__(self, folder: Path, *, with_stamps: bool = True) -> dict[str, str]: ...


@pytest.fixture
def contents_of() -> ContentsOf:
    """Checksum of every file, by its path within the folder."""
    return _contents_of


def _contents_of(folder: Path, *, with_stamps: bool = True) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (with_stamps or ".steps" not in path.parts)
    }


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must end with code 2 and one line on standard error; gives the line."""

    from blurryscope import cli  # here, so that tests without it do not wait for it

    def run_command(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["blurryscope", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        told = capfd.readouterr().err
        assert stop.value.code == 2, told
        assert told.count("\n") == 1, told
        assert told.startswith("blurryscope: ")
        return told

    return run_command
