"""Where the pictures of a data set come from: folders of slides, or stacks that others made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.picture_file import read_rgb
from blurryscope.artifacts.provenance import sha256_of_file
from blurryscope.artifacts.repeat_folders import repeats_in
from blurryscope.artifacts.samples import Sample, read_stack, sample_of_file, stack_files
from blurryscope.artifacts.slide_map import SlideMap, read_slide_map, slides_in_map
from blurryscope.artifacts.tissue_cores import (
    CoreStatus,
    TissueCore,
    read_core_grid,
    read_tissue_cores,
)
from blurryscope.artifacts.whole import present_folder
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.image import Rgb
from blurryscope.dataset.build import Picture
from blurryscope.dataset.views import find_tissue

_USABLE = (CoreStatus.OK, CoreStatus.PARTIAL, CoreStatus.FRAGMENTED, CoreStatus.FOLDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideSource:
    """A slide that `blurryscope run` has been through, and the lab's map of it."""

    folder: Path
    map_path: Path | None = None
    """For patients, and for scores where the slide was run without a map."""


def pictures_of_slides(sources: Sequence[SlideSource]) -> Iterator[Picture]:
    """Every core that has tissue and a score, in every repeat whose names can be trusted."""
    for source in sources:
        scans = _scans(source.folder)
        known_as = read_core_grid(scans[0] / "cores.json").slide or source.folder.resolve().name
        slide_map = _map_of(source, known_as)
        name = (slide_map.slide if slide_map else None) or known_as
        for repeat, scan in enumerate(scans, start=1):
            yield from _pictures_of_scan(scan, name, repeat, slide_map)


def inputs_of_slides(sources: Sequence[SlideSource]) -> dict[str, str]:
    """Checksums of what the pictures were chosen by, under names without folders above."""
    checksums = {}
    for source in sources:
        for scan in _scans(source.folder):
            for table in (scan / "cores.csv", scan / "cores.json"):
                checksums[table.relative_to(source.folder.parent).as_posix()] = sha256_of_file(
                    table
                )
        if source.map_path is not None:
            checksums[source.map_path.name] = sha256_of_file(source.map_path)
    return checksums


def pictures_of_stacks(
    stacks: Sequence[Path],
    *,
    bgr: bool | None,
    cases: Mapping[tuple[str, CoreName], str] | None = None,
) -> Iterator[Picture]:
    """Stacks named SLIDE_REPEAT_CORE_SCORE.tif, red first from here on.

    `cases` names the patient of a slide's core, for splits.
    """
    for path in sorted(stacks, key=lambda stack: stack.name):
        named = sample_of_file(path)
        if named.score is None:
            raise InputError(path, "has no score in its name", "Name it SLIDE_REPEAT_CORE_SCORE")
        stack = read_stack(path, bgr=bgr)
        case = (cases or {}).get((named.slide, named.core), "")
        yield Picture(sample=_measured(replace(named, case=case), stack), pixels=stack)


def stacks_in(folders: Sequence[Path]) -> list[Path]:
    """The TIFF files given, or lying in the folders given."""
    found = {path: stack_files(path) for path in folders}
    for path, stacks in found.items():
        if not stacks:
            raise MissingInputError(path, "holds no stack (.tif)", "Check the path")
    return [stack for stacks in found.values() for stack in stacks]


def cases_of_map(path: Path) -> dict[tuple[str, CoreName], str]:
    """The patient of each core of each slide that a map lists."""
    cases = {}
    for slide in slides_in_map(path) or (None,):
        listed = read_slide_map(path, slide)
        for name, entry in listed.entries.items():
            if entry.case:
                cases[(listed.slide or slide or path.stem, name)] = entry.case
    return cases


def _map_of(source: SlideSource, wanted: str) -> SlideMap | None:
    """The map, of which only the slide that is `wanted` counts where it lists several."""
    if source.map_path is None:
        return None
    slides = slides_in_map(source.map_path)
    if len(slides) <= 1:
        return read_slide_map(source.map_path)
    if wanted not in slides:
        raise InputError(
            source.map_path, f"does not list the slide {wanted!r}", f"It lists {', '.join(slides)}"
        )
    return read_slide_map(source.map_path, wanted)


def _scans(folder: Path) -> list[Path]:
    """The folder itself, or its repeats in order."""
    if (present_folder(folder, "the slide's folder") / "cores.csv").is_file():
        return [folder]
    repeats = [path for path in repeats_in(folder).values() if (path / "cores.csv").is_file()]
    if not repeats:
        raise MissingInputError(folder, "holds no cores", "Run the slide first: blurryscope run")
    return repeats


def _pictures_of_scan(
    scan: Path, slide: str, repeat: int, slide_map: SlideMap | None
) -> Iterator[Picture]:
    grid = read_core_grid(scan / "cores.json")
    if grid.agrees_with_first is False:
        return  # its cores do not look like those of the first repeat
    if grid.needs_confirmation and not grid.confirmed_by_hand:
        raise InputError(
            scan,
            "the names of its cores need confirmation, so its labels are not final",
            "Confirm them first: blurryscope cores --place",
        )
    pixel_size_um = Mosaic(scan / "mosaic.ome.zarr").pixel_size_um
    for core in read_tissue_cores(scan / "cores.csv"):
        sample = _sample_of_core(scan, core, slide, repeat, slide_map, pixel_size_um)
        if sample is not None:
            remedy = "Find the cores again: blurryscope cores"
            yield Picture(sample=sample, pixels=read_rgb(sample.path, remedy))


def _sample_of_core(
    scan: Path,
    core: TissueCore,
    slide: str,
    repeat: int,
    slide_map: SlideMap | None,
    pixel_size_um: float,
) -> Sample | None:
    """None where there is no tissue to learn from, or no score."""
    entry = None if slide_map is None else slide_map.entries.get(core.name)
    score = core.label if entry is None else entry.score
    if core.status not in _USABLE or score is None:
        return None
    return Sample(
        slide=slide,
        case="" if entry is None else entry.case or "",
        core=core.name,
        repeat=repeat,
        score=score,
        path=scan / "cores" / f"{core.name}.png",
        pixel_size_um=pixel_size_um,
        tissue_fraction=core.tissue_fraction,
        focus=core.focus,
    )


def _measured(sample: Sample, stack: Rgb) -> Sample:
    shares = [float(find_tissue(view).mean()) for view in stack]
    return replace(sample, tissue_fraction=float(np.mean(shares)))
