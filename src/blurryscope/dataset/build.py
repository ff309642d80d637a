"""Data sets on disk: pictures of cores or stacks, their list, and splits that do not leak.

::

    SET/dataset.json     version of the format, how it was made, checksum of the list
    SET/samples.csv      a row per core and repeat
    SET/pictures/        whole cores (PNG), from which crops are drawn afresh, or stacks (TIFF)
    SET/views.u8         instead of pictures: views made once (`dataset.packed`)
    SET/splits/NAME.csv  a part for every core

The same sources and seeds give the same bytes again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from blurryscope.artifacts.provenance import current_versions, sha256_of_file
from blurryscope.artifacts.samples import (
    Sample,
    as_file_name,
    read_samples,
    with_checksum,
    write_samples,
    write_stack,
)
from blurryscope.artifacts.split import Split, Unit, read_split, write_split
from blurryscope.artifacts.whole import (
    present_file,
    present_folder,
    whole_folder,
    write_text_whole,
)
from blurryscope.artifacts.wrong_field import wrong_field
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.image import Rgb
from blurryscope.dataset.packed import (
    VIEWS_FILE,
    PackedCore,
    PackedViews,
    Packing,
    sha256_of_views,
)

FORMAT = 1
NOTE = "dataset.json"
_REMEDY = "Build the data set again: blurryscope dataset build"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What goes into a data set; the sample's path counts for nothing."""

    sample: Sample
    pixels: Rgb
    """The whole core, (row, col, rgb), where the sample has a pixel size; else a stack."""


class SplitNote(BaseModel):
    """How a split was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: Unit
    scheme: str
    seed: int | None = None
    sha256: str


class PackingNote(BaseModel):
    """What a packed set keeps of each core."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    view_px: int
    crop_count: int


class DataSetNote(BaseModel):
    """What `dataset.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    samples_sha256: str
    """Of `samples.csv`, which holds the checksum of every picture: the version of the contents."""
    recipe: dict[str, str | int | float | bool | list[str]]
    inputs_sha256: dict[str, str] = {}
    versions: dict[str, str] = {}
    splits: dict[str, SplitNote] = {}
    packed: PackingNote | None = None
    """None: pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """An opened data set."""

    folder: Path
    note: DataSetNote
    samples: list[Sample]

    @property
    def packed_views(self) -> PackedViews | None:
        """The views of a packed set; None where pictures are kept."""
        if self.note.packed is None:
            return None
        packing = Packing(**self.note.packed.model_dump())
        return PackedViews(self.folder / VIEWS_FILE, len(self.samples), packing)

    def fingerprint(self, split: str) -> str:
        """Of the pictures, their scores and the split: what a run is trained on."""
        return f"{self.note.samples_sha256}:{self.note.splits[split].sha256}"

    def split(self, name: str) -> Split:
        """A split by its name, checked against the samples."""
        known = self.note.splits.get(name)
        if known is None:
            names = ", ".join(sorted(self.note.splits)) or "none"
            raise InputError(self.folder, f"has no split {name!r}", f"It has {names}")
        path = self.folder / "splits" / f"{name}.csv"
        split = read_split(path, self.samples, known.unit)
        if sha256_of_file(path) != known.sha256:
            raise InputError(path, "was changed since it was made", "Import it under another name")
        return split


Divide = Callable[[DataSet], object]
"""Adds the first splits to a set. What it refuses leaves no set behind."""


def build_data_set(
    folder: Path,
    pictures: Iterable[Picture],
    *,
    recipe: Mapping[str, str | int | float | bool | list[str]],
    inputs_sha256: Mapping[str, str] | None = None,
    divide: Divide = lambda _: None,
) -> DataSet:
    """Write a data set with its first splits, whole or not at all, and open it."""
    _refuse_to_replace(folder)
    with whole_folder(folder) as partial:
        samples = [_stored(partial / "pictures", picture) for picture in pictures]
        _refuse_unusable(folder, samples)
        write_samples(partial / "samples.csv", samples)
        note = _note_of(partial / "samples.csv", recipe, inputs_sha256)
        _write_note(partial, note)
        divide(open_data_set(partial))
    return open_data_set(folder)


def build_packed_set(
    folder: Path,
    cores: Iterable[PackedCore],
    packing: Packing,
    *,
    recipe: Mapping[str, str | int | float | bool | list[str]],
    inputs_sha256: Mapping[str, str] | None = None,
    divide: Divide = lambda _: None,
) -> DataSet:
    """Write a packed set with its first splits, whole or not at all, and open it."""
    _refuse_to_replace(folder)
    with whole_folder(folder) as partial:
        samples = []
        with (partial / VIEWS_FILE).open("wb") as file:
            for core in cores:
                if core.views.shape != packing.shape:
                    raise ValueError(f"views must be {packing.shape}, got {core.views.shape}")
                file.write(np.ascontiguousarray(core.views).tobytes())
                checksum = sha256_of_views(core.views)
                samples.append(replace(core.sample, path=partial / VIEWS_FILE, sha256=checksum))
        _refuse_unusable(folder, samples)
        write_samples(partial / "samples.csv", samples)
        note = _note_of(partial / "samples.csv", recipe, inputs_sha256)
        kept = PackingNote(view_px=packing.view_px, crop_count=packing.crop_count)
        _write_note(partial, note.model_copy(update={"packed": kept}))
        divide(open_data_set(partial))
    return open_data_set(folder)


def open_data_set(folder: Path) -> DataSet:
    """Read the list and the note; an `InputError` says what cannot be used."""
    if not (present_folder(folder, "the data set") / NOTE).is_file():
        raise MissingInputError(folder, "holds no data set", _REMEDY)
    note = _read_note(folder / NOTE)
    table = present_file(folder / "samples.csv", _REMEDY)
    if sha256_of_file(table) != note.samples_sha256:
        raise InputError(table, "was changed since the data set was built", _REMEDY)
    return DataSet(folder=folder, note=note, samples=read_samples(table))


def add_splits(
    data: DataSet, splits: Mapping[str, Split], *, unit: Unit, scheme: str, seed: int | None
) -> DataSet:
    """Write splits under their names; one that was there under the same name is replaced.

    An `InputError` where a name is none of a file.
    """
    for name in splits:
        if name != as_file_name(name):
            raise InputError(
                f"the split {name!r}", "cannot be the name of a file", "Call it otherwise"
            )
    notes = dict(data.note.splits)
    for name, split in splits.items():
        path = data.folder / "splits" / f"{name}.csv"
        write_split(path, split)
        notes[name] = SplitNote(unit=unit, scheme=scheme, seed=seed, sha256=sha256_of_file(path))
    _write_note(data.folder, data.note.model_copy(update={"splits": notes}))
    return open_data_set(data.folder)


def check_data_set(folder: Path) -> DataSet:
    """Compare every picture with its checksum and every split with the samples."""
    data = open_data_set(folder)
    packed = data.packed_views
    for number, sample in enumerate(data.samples):
        if packed is not None:
            found = sha256_of_views(packed.array[number])
        else:
            found = sha256_of_file(present_file(sample.path, _REMEDY))
        if found != sample.sha256:
            raise InputError(sample.path, "is not the picture that samples.csv lists", _REMEDY)
    for name in data.note.splits:
        data.split(name)
    return data


def _refuse_to_replace(folder: Path) -> None:
    """A new set takes the place of what lies there, which must be no more than an old one."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / NOTE).is_file():
        raise InputError(
            folder, "holds something else than a data set, which would be lost",
            "Choose another --out",
        )  # fmt: skip


def _stored(pictures: Path, picture: Picture) -> Sample:
    sample = picture.sample
    stem = f"{as_file_name(sample.slide)}_{sample.repeat}_{sample.core}"
    path = pictures / f"{stem}{'.png' if sample.holds_whole_core else '.tif'}"
    if path.exists():
        raise InputError(
            stem, "is there twice", "Give each core and repeat once, and slides names of their own"
        )
    pictures.mkdir(exist_ok=True)
    if sample.holds_whole_core:
        _, packed = cv2.imencode(".png", np.ascontiguousarray(picture.pixels[..., ::-1]))
        path.write_bytes(packed.tobytes())
    else:
        write_stack(path, picture.pixels)
    return with_checksum(replace(sample, path=path))


def _refuse_unusable(folder: Path, samples: list[Sample]) -> None:
    if not samples:
        raise InputError(folder, "would hold no core with a score", "Check the sources and maps")
    seen: dict[str, Sample] = {}
    for sample in samples:
        twin = seen.setdefault(sample.sha256, sample)
        if twin.score is not sample.score:
            raise InputError(
                f"{sample.slide} {sample.core}",
                f"is the same picture as {twin.slide} {twin.core}, with another score",
                "Put the map right",
            )


def _note_of(
    table: Path,
    recipe: Mapping[str, str | int | float | bool | list[str]],
    inputs_sha256: Mapping[str, str] | None,
) -> DataSetNote:
    return DataSetNote(
        format=FORMAT,
        samples_sha256=sha256_of_file(table),
        recipe=dict(recipe),
        inputs_sha256=dict(inputs_sha256 or {}),
        versions=current_versions(),
    )


def _write_note(folder: Path, note: DataSetNote) -> None:
    write_text_whole(folder / NOTE, note.model_dump_json(indent=2) + "\n")


def _read_note(path: Path) -> DataSetNote:
    try:
        note = DataSetNote.model_validate_json(path.read_bytes())
    except ValidationError as error:
        place, problem = wrong_field(error)
        raise InputError(f"{path}, {place}", problem, _REMEDY) from error
    if note.format != FORMAT:
        raise InputError(path, f"has format {note.format}", "Use a newer blurryscope")
    return note
