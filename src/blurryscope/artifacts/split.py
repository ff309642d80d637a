"""Which cores a network learns from and which it is tested on: `splits/NAME.csv` of a data set.

A split is kept by core, so the repeats of a core cannot part; and it is checked against the
samples, so that no patient, no picture and, where it goes by slide, no slide can be on two sides.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from blurryscope.artifacts.samples import Sample
from blurryscope.artifacts.table_text import opened_table
from blurryscope.artifacts.whole import whole_file
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError

_COLUMNS = ("slide", "core", "part")
_REMEDY = "Split the data set again: blurryscope dataset split"

CoreKey = tuple[str, CoreName]
"""Slide and core: what all repeats of a core share."""


class Part(StrEnum):
    """What a core is for."""

    TRAIN = "train"
    VALIDATE = "validate"
    """Chooses between epochs."""
    CALIBRATE = "calibrate"
    """Sets temperature and threshold."""
    TEST = "test"
    """Looked at once."""


class Unit(StrEnum):
    """What is never divided between parts. Patients never are, where they are known."""

    PATIENT = "patient"
    CORE = "core"
    SLIDE = "slide"


@dataclass(frozen=True, slots=True)
class Split:
    """A part for every core. `checked_split` is the way to one that does not leak."""

    parts: Mapping[CoreKey, Part]

    def part_of(self, sample: Sample) -> Part:
        return self.parts[core_key(sample)]

    def indices(self, samples: Sequence[Sample], part: Part) -> list[int]:
        """Which of the samples belong to a part."""
        return [index for index, sample in enumerate(samples) if self.part_of(sample) is part]


def core_key(sample: Sample) -> CoreKey:
    """What all repeats of a core share."""
    return sample.slide, sample.core


def checked_split(
    where: object, samples: Iterable[Sample], parts: Mapping[CoreKey, Part], unit: Unit
) -> Split:
    """A split that gives every sample a part and leaks nothing.

    Raises
    ------
    InputError
        Naming `where`, and the patient, slide or picture that is in two parts, or the core that
        has none.
    """
    sides: dict[tuple[str, str], tuple[Part, str]] = {}
    for sample in samples:
        part = parts.get(core_key(sample))
        if part is None:
            raise InputError(where, f"gives {sample.slide} {sample.core} no part", _REMEDY)
        for kind, name in bonds(sample, unit):
            known, other = sides.setdefault((kind, name), (part, f"{sample.slide} {sample.core}"))
            if known is not part:
                raise InputError(
                    where,
                    f"leaks: {kind} {name[:16]} is in {known} ({other}) and in {part} "
                    f"({sample.slide} {sample.core})",
                    _REMEDY,
                )
    return Split(dict(parts))


def bonds(sample: Sample, unit: Unit) -> list[tuple[str, str]]:
    """Whatever ties a sample to others, as (kind, name): samples that share one share a part."""
    tied = [("core", f"{sample.slide} {sample.core}")]
    if sample.case:
        tied.append(("patient", sample.case))
    if sample.sha256:
        tied.append(("picture", sample.sha256))
    if unit is Unit.SLIDE:
        tied.append(("slide", sample.slide))
    return tied


def bound_groups(samples: Sequence[Sample], unit: Unit) -> list[list[int]]:
    """Indices of samples that must stay together, in the order of their first ones."""
    root = list(range(len(samples)))

    def rooted(index: int) -> int:
        while root[index] != index:
            root[index] = root[root[index]]
            index = root[index]
        return index

    first_with: dict[tuple[str, str], int] = {}
    for index, sample in enumerate(samples):
        for bond in bonds(sample, unit):
            one, other = rooted(first_with.setdefault(bond, index)), rooted(index)
            root[max(one, other)] = min(one, other)
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(samples)):
        groups[rooted(index)].append(index)
    return list(groups.values())


def write_split(path: Path, split: Split) -> None:
    """Write a split, whole or not at all."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(_COLUMNS)
        rows.writerows([slide, core, part] for (slide, core), part in sorted(split.parts.items()))


def read_split(path: Path, samples: Sequence[Sample], unit: Unit = Unit.CORE) -> Split:
    """Read a split, ours or another's, and check it against the samples.

    Needs the columns slide, core and part; others, such as repeat or path, may be there. An
    `InputError` names the line that cannot be used, or what leaks.
    """
    parts: dict[CoreKey, Part] = {}
    with opened_table(path, _REMEDY) as file:
        rows = csv.DictReader(file)
        absent = [column for column in _COLUMNS if column not in (rows.fieldnames or ())]
        if absent:
            raise InputError(
                path, f"has no column {', '.join(absent)}", "Give the columns slide, core and part"
            )
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            key, part = _key_and_part(where, row)
            if parts.setdefault(key, part) is not part:
                raise InputError(
                    where,
                    f"leaks: {key[0]} {key[1]} is in {parts[key]} and in {part}",
                    "Repeats of a core belong together",
                )
    return checked_split(path, samples, parts, unit)


PART_WORDS: Mapping[str, Part] = {
    **{part.value: part for part in Part},
    "training": Part.TRAIN,
    "val": Part.VALIDATE,
    "valid": Part.VALIDATE,
    "validation": Part.VALIDATE,
    "calibration": Part.CALIBRATE,
    "testing": Part.TEST,
}
"""What other people call the parts, in lower case."""


def part_word(text: str) -> str:
    """Our word for a part; other words as they are, in lower case."""
    return str(PART_WORDS.get(text.lower(), text.lower()))


def _key_and_part(where: str, row: Mapping[str, str]) -> tuple[CoreKey, Part]:
    try:
        return (row["slide"], CoreName.parse(row["core"])), PART_WORDS[row["part"].lower()]
    except KeyError as error:
        known = ", ".join(Part)
        raise InputError(
            where, f"has the part {row['part']!r}, which is not known", f"Use {known}"
        ) from error
    except (ValueError, AttributeError) as error:  # the latter: cells cut off
        raise InputError(where, f"cannot be read ({error})", _REMEDY) from error
