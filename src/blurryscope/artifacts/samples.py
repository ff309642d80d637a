"""Stacks, pictures of cores, and the list of them: what a network is given, by core and repeat."""

import csv
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile

from blurryscope.artifacts.colour_order import is_blue_first
from blurryscope.artifacts.picture_file import read_tiff
from blurryscope.artifacts.provenance import sha256_of_file
from blurryscope.artifacts.table_text import opened_table
from blurryscope.artifacts.whole import whole_file
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.her2 import Score, score_of_label
from blurryscope.basics.image import Rgb

_COLUMNS = (
    "slide", "case", "core", "repeat", "score", "path", "pixel_size_um", "tissue_fraction",
    "focus", "sha256",
)  # fmt: skip
_NAME = re.compile(
    r"(?P<slide>.+)_(?P<repeat>\d+)_(?P<core>[A-Za-z]{1,2}\d+)(?:_(?P<score>[0-3]))?"
)

_UNFIT_FOR_FILES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One core in one repeat: a stack, or the picture of the core that stacks are cut from."""

    slide: str
    case: str
    """The patient, as far as known; splits keep a case together. Empty where unknown."""
    core: CoreName
    repeat: int
    """Counts from 1, as the authors do."""
    score: Score | None
    """The label; None where nobody has given one."""
    path: Path
    """The stack's TIFF, or the core's PNG. In `samples.csv` it is relative to that file."""
    pixel_size_um: float | None = None
    """Of a core's picture; None for a stack, whose views have sizes of their own."""
    tissue_fraction: float | None = None
    focus: float | None = None
    sha256: str = ""

    @property
    def holds_whole_core(self) -> bool:
        """Whether stacks can be cut from it afresh."""
        return self.pixel_size_um is not None


def sample_of_file(path: Path) -> Sample:
    """Read `slide_repeat_core_score.tif`, the authors' naming; the score may be absent."""
    match = _NAME.fullmatch(path.stem)
    if match is None:
        raise _not_named_so(path)
    try:
        core = CoreName.parse(match["core"])
    except ValueError as error:  # A0
        raise _not_named_so(path) from error
    return Sample(
        slide=match["slide"],
        case="",
        core=core,
        repeat=int(match["repeat"]),
        score=None if match["score"] is None else Score(int(match["score"])),
        path=path,
    )


def _not_named_so(path: Path) -> InputError:
    return InputError(
        path,
        "its name does not say which core it is",
        "Name stacks SLIDE_REPEAT_CORE.tif or SLIDE_REPEAT_CORE_SCORE.tif, "
        "for example BR20812_3_J12_3.tif",
    )


def as_file_name(slide: str) -> str:
    """A slide's name with `-` for what not every system has in names of files: `S24/117`."""
    return _UNFIT_FOR_FILES.sub("-", slide)


_STACK_SUFFIXES = {".tif", ".tiff"}


def stack_files(path: Path) -> list[Path]:
    """The stacks (`.tif`, `.tiff`) of a folder by name; a path that is none stands for itself.

    Hidden files are none: half-written ones, and what macOS leaves beside files on other disks.
    An `InputError` says so where nothing lies at the path, or another kind of file.
    """
    if not path.exists():
        raise MissingInputError(path, "no such file or folder", "Check the path of the stacks")
    if path.is_dir():
        return sorted(
            file
            for file in path.iterdir()
            if file.suffix.lower() in _STACK_SUFFIXES and not file.name.startswith(".")
        )
    if path.suffix.lower() not in _STACK_SUFFIXES:
        raise InputError(
            path, "is no stack (.tif)", "Give stacks; a film goes through blurryscope run first"
        )
    return [path]


STACK_VIEWS = 5
"""Of a stack: crops, and the overview last."""
VIEW_PX = 512
"""Side of a full view; those on disk are full."""


def read_stack(path: Path, *, bgr: bool | None = False) -> Rgb:
    """Read a stack, (view, row, col, rgb) uint8.

    `bgr` is for stacks made with the authors' code: their files say RGB and hold BGR. With None
    red is taken to be first, and an `InputError` says so where the pixels show that blue is.
    """
    stack = read_tiff(path, "Give stacks as multi-page TIFF")
    if stack.shape != (STACK_VIEWS, VIEW_PX, VIEW_PX, 3) or stack.dtype != np.uint8:
        raise InputError(
            path,
            f"is {stack.dtype} of shape {stack.shape}, which is no stack",
            f"A stack has {STACK_VIEWS} pages of {VIEW_PX} x {VIEW_PX} pixels, 8 bits, "
            "three colours",
        )
    if bgr is None and is_blue_first(stack):
        raise InputError(
            path,
            "stores blue first, which the grid shows that video left in its pixels",
            "Give --bgr; or --rgb, if you have seen that its colours are right as they are",
        )
    return np.ascontiguousarray(stack[..., ::-1]) if bgr else stack


def stacks_of_other_order(paths: Iterable[Path], *, bgr: bool) -> list[Path]:
    """Those stacks whose pixels show another order of colours than `bgr` tells."""
    return [path for path in paths if is_blue_first(read_stack(path)) is (not bgr)]


def write_stack(path: Path, stack: Rgb) -> None:
    """Write a stack as RGB pages, whole or not at all."""
    with whole_file(path) as partial:
        tifffile.imwrite(partial, stack, photometric="rgb", compression="zlib", metadata=None)


def with_checksum(sample: Sample) -> Sample:
    """The same sample with the checksum of its file as it is now."""
    return replace(sample, sha256=sha256_of_file(sample.path))


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """Write `samples.csv`, whole or not at all."""
    with (
        whole_file(path) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(_COLUMNS)
        for sample in samples:
            rows.writerow(
                [
                    sample.slide, sample.case, sample.core, sample.repeat,
                    "" if sample.score is None else sample.score.label,
                    Path(os.path.relpath(sample.path, path.parent)).as_posix(),
                    _cell(sample.pixel_size_um), _cell(sample.tissue_fraction),
                    _cell(sample.focus), sample.sha256,
                ]
            )  # fmt: skip


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


def read_samples(path: Path) -> list[Sample]:
    """Read `samples.csv`; an `InputError` names the line that cannot be used."""
    with opened_table(path, "Build the data set again") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != _COLUMNS:
            raise InputError(
                path, f"its columns are not {', '.join(_COLUMNS)}", "Build the data set again"
            )
        return [_sample_of_row(path, rows.line_num, row) for row in rows]


def _sample_of_row(path: Path, line: int, row: dict[str, str]) -> Sample:
    try:
        return Sample(
            slide=row["slide"],
            case=row["case"],
            core=CoreName.parse(row["core"]),
            repeat=int(row["repeat"]),
            score=score_of_label(row["score"]) if row["score"] else None,
            path=path.parent / row["path"],
            pixel_size_um=_number(row["pixel_size_um"]),
            tissue_fraction=_number(row["tissue_fraction"]),
            focus=_number(row["focus"]),
            sha256=row["sha256"],
        )
    except (ValueError, TypeError, AttributeError) as error:  # the latter two: cells cut off
        raise InputError(
            f"{path}, line {line}", f"cannot be read ({error})", "Build the data set again"
        ) from error
