"""Read a slide's folder for the report: its repeats, what was found in each, what was scored."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

from blurryscope.artifacts.frame_places import StageState, read_frame_places
from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.predictions import (
    CoreResult,
    Prediction,
    read_predictions,
    read_results,
)
from blurryscope.artifacts.provenance import Provenance, read_provenance
from blurryscope.artifacts.recording import Recording, read_recording
from blurryscope.artifacts.repeat_folders import repeats_in
from blurryscope.artifacts.scan_quality import Rescan, read_rescans
from blurryscope.artifacts.stitch_facts import read_stitch_facts
from blurryscope.artifacts.tissue_cores import (
    CoreGrid,
    TissueCore,
    read_core_grid,
    read_tissue_cores,
)
from blurryscope.artifacts.view_places import WeighedView, read_view_places
from blurryscope.basics.core_name import CoreName

T = TypeVar("T")

PICTURE = "stitch-quality.png"
"""One page for the technician: how well the scan was stitched."""

WHY = "why"
"""The folder of maps of where the scores come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSummary:
    """What `frames.csv` says, in a few numbers."""

    frame_count: int
    moving_count: int
    lane_count: int
    placed_count: int
    """Frames whose place is known."""
    median_confidence: float | None
    """Of the moving frames, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatScan:
    """One scan of the slide and the cores found in it."""

    number: int
    folder: Path
    cores: Mapping[CoreName, TissueCore]
    grid: CoreGrid | None
    recording: Recording | None
    frames: FrameSummary | None
    stitch: Mapping[str, object]
    """`stitch.json` as it is; empty where there is none."""
    size_px: tuple[int, int] | None
    """(rows, columns) of the mosaic; None where there is none."""
    pixel_size_um: float | None = None
    """Of the mosaic; None where there is none."""
    rescans: tuple[Rescan, ...] = ()
    """Places of the scan that came out badly."""
    views: Mapping[CoreName, tuple[WeighedView, ...]] = field(default_factory=dict)
    """Of the cores whose score is explained, the overview last."""

    def picture(self, core: CoreName) -> Path:
        return self.folder / "cores" / f"{core}.png"

    def why_picture(self, core: CoreName) -> Path:
        return self.folder / WHY / f"{core}.jpg"

    @property
    def width_um(self) -> float | None:
        """Of the mosaic, and of the overview that shows it; None where there is none."""
        if self.size_px is None or self.pixel_size_um is None:
            return None
        return self.size_px[1] * self.pixel_size_um

    @property
    def disagrees_with_first(self) -> bool:
        """Whether its names are known to mean other cores: nothing of it is shown under a name."""
        return self.grid is not None and self.grid.agrees_with_first is False

    @property
    def overview(self) -> Path:
        return self.folder / "cores" / "overview.png"

    @property
    def candidates(self) -> Path:
        """The placements to choose from; there only while somebody is asked."""
        return self.folder / "cores" / "candidates.png"

    @property
    def quality_picture(self) -> Path:
        return self.folder / PICTURE


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideFolder:
    """All that the report is made from."""

    slide: str
    repeats: tuple[RepeatScan, ...]
    predictions: tuple[Prediction, ...]
    results: Mapping[CoreName, CoreResult]
    provenance: Provenance | None

    @property
    def names(self) -> list[CoreName]:
        """Every place that any file of the folder knows, in order."""
        found = {name for repeat in self.repeats for name in repeat.cores}
        return sorted(found | set(self.results))


def read_slide_folder(slide_dir: Path) -> SlideFolder:
    """Read what is there. Only `cores.csv` must be; an `InputError` names what cannot be used."""
    predictions = _if_there(slide_dir / "scores.csv", read_predictions) or []
    results = _if_there(slide_dir / "results.csv", read_results) or []
    folders = repeats_in(slide_dir) or {_only_repeat(predictions): slide_dir}
    repeats = tuple(_read_repeat(number, folder) for number, folder in sorted(folders.items()))
    return SlideFolder(
        slide=_slide_name(slide_dir, results, repeats),
        repeats=repeats,
        predictions=tuple(predictions),
        results={result.core: result for result in results},
        provenance=_if_there(slide_dir / "provenance.json", read_provenance),
    )


def _only_repeat(predictions: list[Prediction]) -> int:
    numbers = {prediction.repeat for prediction in predictions}
    return numbers.pop() if len(numbers) == 1 else 1


def _read_repeat(number: int, folder: Path) -> RepeatScan:
    cores = read_tissue_cores(folder / "cores.csv")
    path = folder / "mosaic.ome.zarr"
    mosaic = Mosaic(path) if path.is_dir() else None
    return RepeatScan(
        number=number,
        folder=folder,
        cores={core.name: core for core in cores},
        grid=_if_there(folder / "cores.json", read_core_grid),
        recording=_if_there(folder / "recording.json", read_recording),
        frames=_if_there(folder / "frames.csv", _summarise_frames),
        stitch=_if_there(folder / "stitch.json", read_stitch_facts) or {},
        size_px=None if mosaic is None else mosaic.size_px,
        pixel_size_um=None if mosaic is None else mosaic.pixel_size_um,
        rescans=tuple(_if_there(folder / "rescan.csv", read_rescans) or ()),
        views=_if_there(folder / WHY / "views.csv", read_view_places) or {},
    )


def _slide_name(slide_dir: Path, results: list[CoreResult], repeats: tuple[RepeatScan, ...]) -> str:
    if results:
        return results[0].slide
    told = (repeat.recording.slide for repeat in repeats if repeat.recording is not None)
    return next((name for name in told if name), slide_dir.resolve().name)


def _summarise_frames(path: Path) -> FrameSummary:
    places = read_frame_places(path)
    states = Counter(place.state for place in places)
    confidences = [place.confidence for place in places if place.state is StageState.MOVING]
    return FrameSummary(
        frame_count=len(places),
        moving_count=states[StageState.MOVING],
        lane_count=len({place.lane for place in places if place.lane >= 0}),
        placed_count=sum(place.x_px is not None for place in places),
        median_confidence=median(confidences) if confidences else None,
    )


def _if_there(path: Path, read: Callable[[Path], T]) -> T | None:
    return read(path) if path.is_file() else None
