"""Finding the columns of other people's tables by their names."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from blurryscope.artifacts.samples import Sample, sample_of_file
from blurryscope.artifacts.split import part_word
from blurryscope.artifacts.whole import present_file
from blurryscope.basics.errors import InputError

QUALITIES = ("focus", "tissue_fraction", "blank", "distance")
"""Figures of a picture that an evaluation is broken down by."""

_MOST_COUNTED = 1_000_000
"""More is a slip."""

LABEL_FILE_NAMES = ("cores.csv", "repeat-1/cores.csv")
"""Where the labels of `scores.csv` lie in a slide's folder."""

_KNOWN_NAMES: Mapping[str, tuple[str, ...]] = {
    "slide": ("slide", "slide_id", "tma", "array"),
    "case": ("case", "case_id", "patient", "patient_id"),
    "core": ("core", "core_id", "position"),
    "repeat": ("repeat", "scan", "replicate"),
    "label": (
        "label", "truth", "target", "true_label", "y_true", "ground_truth", "gt", "true_score",
        "her2", "her2_score", "ihc_score",
    ),
    "p0": ("p0", "prob0", "prob_0", "p_0", "probability_0", "p_negative"),
    "p1": ("p1", "prob1", "prob_1", "p_1", "probability_1"),
    "p2": ("p2", "prob2", "prob_2", "p_2", "probability_2"),
    "p3": ("p3", "prob3", "prob_3", "p_3", "probability_3"),
    "p_positive": ("p_positive", "prob_positive", "probability_positive", "y_score"),
    "part": ("part", "split", "subset"),
    "decision": ("decision",),
    "reason": ("reason",),
    "path": ("path", "file", "filename", "file_name", "stack", "image"),
    **{name: (name,) for name in QUALITIES},
}  # fmt: skip


_OF_A_CORE = ("label", "case", "part")
"""What all scans of a core share; a patient or a part need not be told in every line."""
COLUMN_NAMES = tuple(_KNOWN_NAMES)
"""Our names of all columns that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRows:
    """A table whose columns carry our names."""

    path: Path
    headings: tuple[str, ...]
    """As they stand in the file."""
    found: frozenset[str]
    """Our names of the columns that are there."""
    rows: tuple[dict[str, str], ...]
    lines: tuple[int, ...]

    def where(self, number: int) -> str:
        """File and line of a row, for messages."""
        return f"{self.path}, line {self.lines[number]}"

    def number(self, number: int, name: str) -> float:
        """A cell as a number; NaN where it is empty."""
        cell = self.rows[number].get(name, "")
        try:
            return float(cell) if cell else float("nan")
        except ValueError as error:
            raise InputError(
                self.where(number), f"has {cell!r} for {name}, which is no number", "Put it right"
            ) from error

    def count(self, number: int, name: str) -> int:
        """A cell that counts something; an `InputError` where it is empty or no whole number."""
        value = self.number(number, name)
        if not (value.is_integer() and 0 <= value <= _MOST_COUNTED):
            cell = self.rows[number].get(name, "")
            raise InputError(
                self.where(number), f"has {cell!r} for {name}, which counts nothing", "Put it right"
            )
        return int(value)

    def joined_with(self, labels: "NamedRows") -> "NamedRows":
        """Fill in what `labels` tells of each core, or of each scan where it names repeats."""
        keys = [name for name in ("slide", "core", "repeat") if name in self.found & labels.found]
        slides = {row.get("slide", "") for row in self.rows}
        if "core" not in keys or ("slide" not in keys and len(slides) > 1):
            raise InputError(
                labels.path,
                "does not tell which core of which slide a label is of",
                "Give it the columns core and, with several slides, slide",
            )
        taken = ("label", "case", "part", "path", *QUALITIES)
        told: dict[tuple[str, ...], dict[str, str]] = {}
        for number, row in enumerate(labels.rows):
            key = tuple(row.get(name, "") for name in keys)
            values = {name: row[name] for name in taken if row.get(name)}
            above = told.setdefault(key, values)
            other = [
                each
                for each in _OF_A_CORE
                if above.get(each) != values.get(each)
                and (each == "label" or {each} <= above.keys() & values.keys())
            ]
            if other:
                raise InputError(
                    labels.where(number),
                    f"tells another {other[0]} of {' '.join(key)} than a line above",
                    f"Give each core one {other[0]}; with several slides a column of slides too",
                )
        known = [told.get(tuple(row.get(name, "") for name in keys), {}) for row in self.rows]
        for number, (row, more) in enumerate(zip(self.rows, known, strict=True)):
            ours, theirs = (part_word(each.get("part", "")) for each in (row, more))
            if ours and theirs and ours != theirs:
                raise InputError(
                    self.where(number),
                    f"is of part {ours}, and in {labels.path} of part {theirs}",
                    "Give the table of labels, or the split, that the predictions were made under",
                )
        rows = tuple({**row, **more} for row, more in zip(self.rows, known, strict=True))
        return replace(self, rows=rows, found=self.found | (labels.found & set(taken)))


def read_named_rows(
    path: Path, columns: Mapping[str, str], *, is_label_file: bool = False
) -> NamedRows:
    """Read a CSV and give its columns our names.

    `columns` maps our name to the heading in this file and goes before the names that are known.
    In a file of labels a column `score` is the label; among predictions it is what was predicted.
    """
    present_file(path, "Check the path of the table")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, dialect=_dialect(file.read(4096)))
            file.seek(0)
            headings = tuple(reader.fieldnames or ())
            ours = _ours(path, headings, columns, is_label_file)
            _refuse_same_headings(path, headings, ours)
            rows, lines = [], []
            for row in reader:
                if None in row.values() and not is_label_file:
                    raise InputError(
                        f"{path}, line {reader.line_num}",
                        "is cut off: it has fewer cells than the table has columns",
                        "Write the table again",
                    )
                rows.append({name: (row[heading] or "").strip() for name, heading in ours.items()})
                lines.append(reader.line_num)
    except UnicodeDecodeError as error:
        raise InputError(path, "is not UTF-8 text", "Save the table as CSV in UTF-8") from error
    except csv.Error as error:
        raise InputError(
            path, f"cannot be read as a table ({error})", "Save it as CSV in UTF-8"
        ) from error
    named = NamedRows(
        path=path,
        headings=headings,
        found=frozenset(ours),
        rows=tuple(rows),
        lines=tuple(lines),
    )
    return _with_named_stacks(named) if "core" not in ours and "path" in ours else named


def rows_of_samples(where: Path, samples: Iterable[tuple[Sample, str]]) -> NamedRows:
    """Labels as a data set knows them, from samples with their parts; for `joined_with`."""
    rows = [
        {
            "slide": sample.slide,
            "core": str(sample.core),
            "repeat": str(sample.repeat),
            "case": sample.case,
            "part": part,
            "label": "" if sample.score is None else sample.score.label,
            "focus": "" if sample.focus is None else str(sample.focus),
            "tissue_fraction": (
                "" if sample.tissue_fraction is None else str(sample.tissue_fraction)
            ),
        }
        for sample, part in samples
    ]
    found = {name for row in rows for name, value in row.items() if value}
    return NamedRows(
        path=where,
        headings=tuple(sorted(found)),
        found=frozenset(found),
        rows=tuple(rows),
        lines=tuple(range(2, len(rows) + 2)),
    )


def _dialect(start: str) -> type[csv.Dialect]:
    """Comma, semicolon or tab, by which the first line has most of."""
    first = start.splitlines()[0] if start else ""

    class Separated(csv.excel):
        delimiter = max(",;\t", key=first.count)

    return Separated


def _ours(
    path: Path, headings: tuple[str, ...], columns: Mapping[str, str], is_label_file: bool
) -> dict[str, str]:
    """Our name to the heading in the file."""
    plain = {
        re.sub(r"[^a-z0-9]+", "_", heading.lower()).strip("_"): heading for heading in headings
    }
    found: dict[str, str] = {}
    for name, usual in _KNOWN_NAMES.items():
        heading = next((plain[word] for word in usual if word in plain), None)
        if heading is not None:
            found[name] = heading
    # A score beside a decision or, in a table of labels, beside probabilities is our own answer.
    is_answer = "decision" in plain or (is_label_file and "p0" in plain)
    if "label" not in found and "score" in plain and not is_answer:
        found["label"] = plain["score"]
    for name, heading in columns.items():
        if heading in headings:
            found[name] = heading
        elif not is_label_file:
            raise InputError(
                path, f"has no column {heading!r}", f"It has {', '.join(headings) or 'none'}"
            )
    return found


def _refuse_same_headings(path: Path, headings: tuple[str, ...], ours: Mapping[str, str]) -> None:
    for heading in ours.values():
        if headings.count(heading) > 1:
            raise InputError(path, f"has two columns {heading!r}", "Take one of them out")


def _with_named_stacks(named: NamedRows) -> NamedRows:
    """Slide, repeat, core and label out of names such as `BR1503f_1_F5_3.tif`."""
    filled = []
    for number, row in enumerate(named.rows):
        try:
            sample = sample_of_file(Path(row["path"].replace("\\", "/")))
        except InputError:
            raise InputError(
                named.where(number),
                f"does not say which core it is: {row['path']!r}",
                "Add columns for slide, core and repeat, or name stacks SLIDE_REPEAT_CORE_SCORE",
            ) from None
        told = {"slide": sample.slide, "core": str(sample.core), "repeat": str(sample.repeat)}
        if sample.score is not None:
            told["label"] = sample.score.label
        filled.append({**told, **row})
    found = named.found | {"slide", "core", "repeat"}
    if any(row.get("label") for row in filled):
        found |= {"label"}
    return replace(named, rows=tuple(filled), found=found)
