"""The whole way on a slide that does not exist, small enough to wait for."""

from pathlib import Path

from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.basics.progress import Progress, silent
from blurryscope.pipeline.run import run
from blurryscope.simulator.presets import AUTHENTIC
from blurryscope.simulator.scan import simulate_scan
from blurryscope.simulator.slide import SlideDesign

_SCORES = (0, 1, 2, 3, 3, 0, 1, 2, 2, 3, 0, 1)

DESIGN = SlideDesign(
    name="DEMO",
    rows=3,
    columns=4,
    core_diameter_um=800.0,
    pitch_um=1200.0,
    margin_um=900.0,
    scores=tuple(Score(score) for score in _SCORES),
    missing=(CoreName.parse("B4"),),
    seed=4,
)
"""Three of each score, one core lost in cutting, filmed like the authors' device."""


def run_demo(out: Path, progress: Progress = silent) -> Path:
    """Film the demo slide, unless that is done, and take the film to its report."""
    film = out / "film"
    done = film / "done"
    if not done.is_file():
        simulate_scan(film, design=DESIGN, settings=AUTHENTIC, seed=4, progress=progress)
        done.touch()
    return run([film / "scan.mp4"], out / "slide", map_path=film / "map.csv", progress=progress)
