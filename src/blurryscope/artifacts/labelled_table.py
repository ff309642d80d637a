"""Predictions beside the labels they should have met: what is evaluated, ours or not.

A row is one scan of one core. Columns are found by their names, of which the usual ones are known;
`scores.csv` has no labels, so they come from `cores.csv` beside it or from a table that is named.
"""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.labelled_columns import (
    LABEL_FILE_NAMES,
    QUALITIES,
    NamedRows,
    read_named_rows,
)
from blurryscope.artifacts.predictions import Decision
from blurryscope.artifacts.split import part_word
from blurryscope.basics.errors import InputError

CALIBRATE = "calibrate"
TEST = "test"

_SUM_TOLERANCE = 0.02
"""Tables are rounded; what is off by less is normed."""
_ROUNDING = 1e-6
_MEASURED = re.compile(r"\d+(\.\d+)?%?")
_FOUR_CLASS_LABELS = {f"{n}{end}": n for n in range(4) for end in ("", "+", ".0")}
_TWO_CLASS_LABELS = {
    "0": 0, "1": 1, "0.0": 0, "1.0": 1, "neg": 0, "pos": 1, "negative": 0, "positive": 1,
    "-": 0, "+": 1,
}  # fmt: skip
_AMBIGUOUS_LABELS = frozenset({"1", "1.0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledTable:
    """Parallel arrays, one entry a scan."""

    name: str
    """What it is called in tables and figures."""
    slides: NDArray[np.str_]
    patients: NDArray[np.str_]
    """Empty where unknown."""
    cores: NDArray[np.str_]
    """Names a core together with its slide."""
    repeats: NDArray[np.int64]
    """Counts from 1."""
    labels: NDArray[np.int64]
    """Class indices."""
    probabilities: NDArray[np.float64]
    """(row, class), 4 classes (0, 1+, 2+, 3+) or 2 (negative, positive); rows sum to 1."""
    parts: NDArray[np.str_]
    """What the row's core is for (`train`, `calibrate`, `test` …); empty where unknown."""
    quality: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Figures of the picture, such as `focus`; NaN where unknown."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Rows that could not be evaluated, by reason."""

    @property
    def classes(self) -> int:
        return int(self.probabilities.shape[1])

    @property
    def core_keys(self) -> NDArray[np.str_]:
        """(row,): slide and core in one."""
        return np.char.add(np.char.add(self.slides, "\t"), self.cores)

    @property
    def knows_patients(self) -> bool:
        """Whether every row tells its patient."""
        return bool(len(self.patients)) and bool((self.patients != "").all())

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> "LabelledTable":
        """The chosen rows, in the order given."""
        return replace(
            self,
            slides=self.slides[chosen],
            patients=self.patients[chosen],
            cores=self.cores[chosen],
            repeats=self.repeats[chosen],
            labels=self.labels[chosen],
            probabilities=self.probabilities[chosen],
            parts=self.parts[chosen],
            quality={name: values[chosen] for name, values in self.quality.items()},
        )


def two_class(table: LabelledTable) -> LabelledTable:
    """Negative (0, 1+) against positive (2+, 3+); probabilities are summed."""
    if table.classes == 2:
        return table
    positive = table.probabilities[:, 2:].sum(axis=1)
    return replace(
        table,
        labels=(table.labels >= 2).astype(np.int64),
        probabilities=np.stack([1.0 - positive, positive], axis=1),
    )


def read_labelled_tables(  # noqa: PLR0913 - all but one by name, with a default
    paths: Sequence[Path],
    *,
    labels: Path | NamedRows | None = None,
    columns: Mapping[str, str] | None = None,
    name: str | None = None,
    named_stacks: NamedRows | None = None,
    beside: Sequence[Path] = (),
    tables_before: int = 0,
) -> LabelledTable:
    """Read tables of predictions and put them together.

    Parameters
    ----------
    paths
        CSV files.
    labels
        A table that tells the label, and perhaps patient, part and quality, of each core:
        `samples.csv`, `cores.csv`, any list with a core and a label, or rows already read. For
        `scores.csv` in a slide's folder its `cores.csv` is taken if this is None.
    columns
        What a column is called in these tables, where it is not one of the names that are known:
        `{"label": "consensus"}`.
    name
        What to call the whole; the first file's name if None.
    named_stacks
        What the names of the cores' stacks tell; their labels are taken where there are no others.
    beside
        Tables that are read apart and evaluated with these: labels must mean the same there.
    tables_before
        How many tables were read before: cores without a name are told apart by it.

    Raises
    ------
    InputError
        Naming file and line: no labels, no probabilities, a label that is no score, a scan that
        stands there twice, tables that differ in their number of classes.
    """
    known = dict(columns or {})
    _refuse_given_twice(paths)
    named = [
        _with_labels(read_named_rows(path, known), labels, known, named_stacks)
        for path in (*paths, *beside)
    ]
    tables = [
        _table_of(rows, name or paths[0].stem, number)
        for number, rows in enumerate(named[: len(paths)], tables_before + 1)
    ]
    if tables[0].classes == 2:
        _refuse_two_meanings(named)
    return joined_tables(tables, paths)


def joined_tables(tables: Sequence[LabelledTable], paths: Sequence[Path]) -> LabelledTable:
    """Put tables together under the first one's name.

    Raises
    ------
    InputError
        Naming `paths`, where a scan stands there twice, a core has two labels or parts, a patient
        is in two parts, or tables differ in their number of classes.
    """
    if len({table.classes for table in tables}) > 1:
        raise InputError(
            paths[-1],
            "has another number of classes than the others",
            "Evaluate tables of two and of four classes apart",
        )
    whole = _joined(tables)
    _refuse_twice(whole, paths)
    return whole


def _with_labels(
    rows: NamedRows,
    labels: Path | NamedRows | None,
    columns: Mapping[str, str],
    named_stacks: NamedRows | None,
) -> NamedRows:
    if isinstance(labels, NamedRows):
        return rows.joined_with(labels)
    if labels is not None:
        return rows.joined_with(read_named_rows(labels, columns, is_label_file=True))
    if "label" in rows.found:
        return rows
    for beside in (rows.path.parent / name for name in LABEL_FILE_NAMES):
        if beside.is_file():
            return rows.joined_with(read_named_rows(beside, {}, is_label_file=True))
    if named_stacks is not None and "label" in named_stacks.found:
        return rows.joined_with(named_stacks)
    if not any(rows.headings):
        raise InputError(rows.path, "is empty", "Give a table with a heading and a row a scan")
    raise InputError(
        rows.path,
        f"has no column with labels among {', '.join(rows.headings)}",
        "Name it with --column label=HEADING, or give a table of labels with --labels, or with "
        "--stacks the stacks that were scored, whose names tell",
    )


def _refuse_given_twice(paths: Sequence[Path]) -> None:
    there = [path.resolve() for path in paths]
    for path in paths:
        if there.count(path.resolve()) > 1:
            raise InputError(path, "is given twice", "Give each table once")


def _table_of(rows: NamedRows, name: str, table: int) -> LabelledTable:
    """The table with number `table`, from 1, by which cores without a name are told apart."""
    left_out: dict[str, int] = {}
    kept: list[int] = []
    for number, row in enumerate(rows.rows):
        reason = _why_left_out(row)
        if reason is None:
            kept.append(number)
        else:
            left_out[reason] = left_out.get(reason, 0) + 1
    if not kept:
        told = "; ".join(f"{count} {reason}" for reason, count in left_out.items()) or "no rows"
        raise InputError(rows.path, f"holds nothing to evaluate ({told})", "Check its columns")
    probabilities = _only_two_classes(np.array([_probabilities(rows, n) for n in kept]))
    told_labels = [rows.rows[number]["label"] for number in kept]
    return LabelledTable(
        name=name,
        slides=_texts(rows, kept, "slide"),
        patients=_texts(rows, kept, "case"),
        cores=np.array([rows.rows[n].get("core") or _row_name(n, table) for n in kept]),
        repeats=_repeats(rows, kept),
        labels=_label_indices(rows, kept, told_labels, probabilities.shape[1]),
        probabilities=probabilities,
        parts=np.array([part_word(rows.rows[number].get("part", "")) for number in kept], np.str_),
        quality={
            quality: np.array([rows.number(n, quality) for n in kept])
            for quality in QUALITIES
            if quality in rows.found
        },
        left_out=left_out,
    )


def _row_name(number: int, table: int) -> str:
    return f"row {number + 1}" if table == 1 else f"row {number + 1} of table {table}"


def _why_left_out(row: Mapping[str, str]) -> str | None:
    if not row.get("label"):
        return "without a label"
    if row.get("decision") == Decision.REFER.value:
        # Nobody gets to see such an answer.
        return "referred: unlike what the network knows, or too pale"
    if not any(row.get(name) for name in ("p0", "p1", "p_positive")):
        # Rows are counted by reason; what was measured differs from row to row.
        reason = _MEASURED.sub("…", row.get("reason", ""))
        return f"without probabilities ({reason})" if reason else "without probabilities"
    return None


def _probabilities(rows: NamedRows, number: int) -> list[float]:
    values = [rows.number(number, name) for name in _probability_names(rows)]
    if len(values) == 1:
        values = [1.0 - values[0], *values]
    total = float(np.sum(values))
    if not (min(values) >= 0.0 and abs(total - 1.0) <= _SUM_TOLERANCE):  # NaN fails too
        raise InputError(
            rows.where(number),
            f"holds no probabilities: {', '.join(f'{value:.4g}' for value in values)} "
            f"(sum {total:.4g})",
            "Give what comes out of softmax: not below 0, and 1 together",
        )
    return values if abs(total - 1.0) < _ROUNDING else [value / total for value in values]


def _probability_names(rows: NamedRows) -> list[str]:
    """The columns that hold them: of four classes, of two, or of the positive one alone."""
    if "p2" in rows.found:
        return ["p0", "p1", "p2", "p3"]
    positive = "p1" if "p1" in rows.found else "p_positive"
    return ["p0", positive] if "p0" in rows.found else [positive]


def _only_two_classes(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where 0 and 1+ always share alike, as do 2+ and 3+, only their sums were ever said."""
    if probabilities.shape[1] == 2 or (probabilities[:, ::2] != probabilities[:, 1::2]).any():
        return probabilities
    halves: NDArray[np.float64] = probabilities[:, ::2] + probabilities[:, 1::2]
    return halves


def _refuse_two_meanings(tables: Sequence[NamedRows]) -> None:
    """Of two classes 1 is positive, of four it is 1+: nobody can tell where tables differ."""
    told = [{row.get("label", "").lower() for row in rows.rows} for rows in tables]
    if not any(map(_are_scores, told)):
        return
    for rows, labels in zip(tables, told, strict=True):
        if labels & _AMBIGUOUS_LABELS and not _are_scores(labels):
            raise InputError(
                rows.path,
                "has the label 1, which may be positive or 1+: other tables hold scores",
                "Write 0, 1+, 2+ and 3+ in all tables, or negative and positive",
            )


def _are_scores(labels: Set[str]) -> bool:
    """Whether labels of two classes are HER2 scores: as soon as any is plainly one."""
    return not labels <= {"", *_TWO_CLASS_LABELS}


def _label_indices(
    rows: NamedRows, kept: Sequence[int], told: Sequence[str], classes: int
) -> NDArray[np.int64]:
    """Four classes: HER2 scores. Two: 0 and 1, words, or HER2 scores if any is plainly one."""
    bare = [text.strip().lower() for text in told]
    are_scores = classes == 4 or _are_scores(set(bare))
    known = _FOUR_CLASS_LABELS if are_scores else _TWO_CLASS_LABELS
    for number, text in zip(kept, bare, strict=True):
        if text not in known:
            raise InputError(
                rows.where(number), f"has the label {text!r}, which is no score",
                "Write 0, 1+, 2+ or 3+; for two classes negative or positive",
            )  # fmt: skip
    indices = np.array([known[text] for text in bare], np.int64)
    return (indices >= 2).astype(np.int64) if are_scores and classes == 2 else indices


def _texts(rows: NamedRows, kept: Sequence[int], name: str) -> NDArray[np.str_]:
    return np.array([rows.rows[number].get(name, "") for number in kept], dtype=np.str_)


def _repeats(rows: NamedRows, kept: Sequence[int]) -> NDArray[np.int64]:
    """As told, or counted by core in the order of the rows."""
    if "repeat" in rows.found:
        return np.array([rows.count(number, "repeat") for number in kept], np.int64)
    seen: dict[tuple[str, str], int] = {}
    counted = []
    for number in kept:
        row = rows.rows[number]
        core = (row.get("slide", ""), row.get("core") or f"row {number + 1}")
        seen[core] = seen.get(core, 0) + 1
        counted.append(seen[core])
    return np.array(counted, np.int64)


def _joined(tables: Sequence[LabelledTable]) -> LabelledTable:
    first = tables[0]
    if len(tables) == 1:
        return first
    qualities = [name for name in first.quality if all(name in t.quality for t in tables)]
    left_out: dict[str, int] = {}
    for table in tables:
        for reason, count in table.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + count
    return LabelledTable(
        name=first.name,
        slides=np.concatenate([table.slides for table in tables]),
        patients=np.concatenate([table.patients for table in tables]),
        cores=np.concatenate([table.cores for table in tables]),
        repeats=np.concatenate([table.repeats for table in tables]),
        labels=np.concatenate([table.labels for table in tables]),
        probabilities=np.concatenate([table.probabilities for table in tables]),
        parts=np.concatenate([table.parts for table in tables]),
        quality={q: np.concatenate([table.quality[q] for table in tables]) for q in qualities},
        left_out=left_out,
    )


def _refuse_twice(table: LabelledTable, paths: Sequence[Path]) -> None:
    """One scan counted twice would narrow every interval; a core has one label and one part."""
    keys = table.core_keys
    scans = list(zip(keys.tolist(), table.repeats.tolist(), strict=True))
    if len(set(scans)) < len(scans):
        core, repeat = next(scan for scan in scans if scans.count(scan) > 1)
        raise InputError(
            ", ".join(path.name for path in paths),
            f"hold repeat {repeat} of core {core.replace(chr(9), ' ').strip()} twice",
            "Give each scan once; --against compares two models",
        )
    told_of = (("label", table.labels), ("part", table.parts), ("patient", table.patients))
    for what, values in told_of:
        told: dict[str, object] = {}
        for key, value in zip(keys.tolist(), values.tolist(), strict=True):
            is_unknown = what == "patient" and not value
            if not is_unknown and told.setdefault(key, value) != value:
                raise InputError(
                    ", ".join(path.name for path in paths),
                    f"give core {key.replace(chr(9), ' ').strip()} more than one {what}",
                    "All repeats of a core share it: put the table right",
                )
    _refuse_leak(table, paths)


def _refuse_leak(table: LabelledTable, paths: Sequence[Path]) -> None:
    """Patients that are known must not be parted, whoever is not."""
    parts_of: dict[str, str] = {}
    for patient, part in zip(table.patients.tolist(), table.parts.tolist(), strict=True):
        if patient and parts_of.setdefault(patient, part) != part:
            raise InputError(
                ", ".join(path.name for path in paths),
                f"has patient {patient} in {parts_of[patient]} and in {part}",
                "Split by patient, or the figures are too good",
            )
