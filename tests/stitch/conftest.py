from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from blurryscope.artifacts.recording import Recording
from blurryscope.simulator.presets import AUTHENTIC, PLAIN, ScanSettings
from blurryscope.simulator.scan import SimulatedScan, simulate_scan
from blurryscope.simulator.slide import SlideDesign
from blurryscope.stitch.film import stitch_film
from blurryscope.stitch.stitched import Stitched
from blurryscope.stitch.stitcher import StitchSettings

REST_S = 0.2
"""Shorter than the paper's, so that the films are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StitchedScan:
    """A small simulated scan and what the stitcher made of it."""

    scan: SimulatedScan
    settings: ScanSettings
    folder: Path
    stitched: Stitched


def _smaller(settings: ScanSettings, pixel_size_um: float, **camera: float) -> ScanSettings:
    """A quarter of the pixels, the same field: the slide stays small and the lanes few."""
    small = replace(settings.camera, rows=240, columns=320, pixel_size_um=pixel_size_um, **camera)  # type: ignore[arg-type]  # mypy cannot match the keywords with the fields
    return replace(settings, camera=small, stage=replace(settings.stage, rest_s=REST_S))


SCANS: dict[str, ScanSettings] = {
    "plain": _smaller(PLAIN, 2.24),
    "authentic": _smaller(AUTHENTIC, 1.6),
    "sheared": _smaller(AUTHENTIC, 2.24, turn_deg=1.5, readout_s=0.02),
}
"""Global shutter; rolling shutter along the scan, camera turned; rolling shutter across it."""

DESIGN = SlideDesign(
    rows=2, columns=2, core_diameter_um=700.0, pitch_um=1000.0, margin_um=600.0, seed=3
)


@pytest.fixture(scope="session")
def stitched_scan(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], StitchedScan]:
    """Gives a scan of `SCANS` by name; each is simulated and stitched once."""
    done: dict[str, StitchedScan] = {}

    def get(name: str) -> StitchedScan:
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            scan = simulate_scan(folder, design=DESIGN, settings=SCANS[name], seed=2)
            stitched = stitch_film(
                scan.video,
                folder / "slide",
                recording=Recording(pixel_size_um=SCANS[name].camera.pixel_size_um),
                settings=StitchSettings(rest_s=2 * REST_S + 0.1),
            )
            done[name] = StitchedScan(
                scan=scan, settings=SCANS[name], folder=folder / "slide", stitched=stitched
            )
        return done[name]

    return get


@pytest.fixture(scope="session")
def tiny_stitched(
    tiny_scans: list[SimulatedScan], tmp_path_factory: pytest.TempPathFactory
) -> Stitched:
    """What the stitcher makes of a film without faults, the first of the tiny ones."""
    out = tmp_path_factory.mktemp("whole") / "slide"
    return stitch_film(tiny_scans[0].video, out, recording=Recording())
