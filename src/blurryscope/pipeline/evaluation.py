"""From tables of predictions to a page of figures, by either protocol.

Where stacks are at hand, a baseline that knows nothing but colour is fitted to the same training
cores and evaluated beside the network; where none were set aside for training, it answers each
patient from the others.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.labelled_columns import NamedRows, rows_of_samples
from blurryscope.artifacts.labelled_table import (
    CALIBRATE,
    TEST,
    LabelledTable,
    joined_tables,
    read_labelled_tables,
)
from blurryscope.artifacts.samples import Sample, read_stack, sample_of_file, stack_files
from blurryscope.artifacts.split import Part, Split
from blurryscope.artifacts.training_set import fixed_stacks, reduced_views
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score
from blurryscope.basics.progress import Progress, silent
from blurryscope.classify.colour_baseline import ColourBaseline
from blurryscope.classify.predict_part import COLOUR_VIEW_PX, fitted_on_colour
from blurryscope.dataset.build import DataSet, open_data_set
from blurryscope.dataset.stacks import DataSetStacks
from blurryscope.evaluate.calls import consistency_by_core, scan_calls
from blurryscope.evaluate.comparison import paired_differences
from blurryscope.evaluate.drawing import Drawn, write_drawn
from blurryscope.evaluate.honest_figures import (
    consistency_figure,
    report_figures,
    sweep_figures,
)
from blurryscope.evaluate.honest_protocol import (
    HonestReport,
    HonestSettings,
    honest_evaluation,
    parts_of,
)
from blurryscope.evaluate.honest_sections import honest_lead, honest_sections
from blurryscope.evaluate.numbers import honest_numbers, paper_numbers, write_numbers
from blurryscope.evaluate.page import write_page
from blurryscope.evaluate.paper_figures import paper_figures
from blurryscope.evaluate.paper_protocol import PaperReport, paper_evaluation
from blurryscope.evaluate.paper_sections import paper_lead, paper_sections
from blurryscope.pipeline.scored_places import SCORES, refuse_scores_of_other_names

PAGE = "evaluation.html"
NUMBERS = "metrics.csv"
BASELINE = "colour baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationInputs:
    """What is evaluated, and what is known of it."""

    predictions: Sequence[Path]
    """Tables of one model."""
    against: Sequence[Path] = ()
    """Tables of other models, each by itself."""
    labels: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """Our name of a column to its heading in these tables."""
    calibration: Path | None = None
    """Predictions of cores that fix temperature, threshold and sets; the others are then test."""
    data_set: Path | None = None
    """Tells labels, patients and parts, and has the pictures for the baseline."""
    split: str = "holdout"
    stacks: Sequence[Path] = ()
    """Stacks of the evaluated cores, for the baseline where there is no data set."""
    bgr: bool | None = None
    """Whether `stacks` store blue first; None where nobody told."""


def evaluate_honestly(
    inputs: EvaluationInputs,
    out: Path,
    settings: HonestSettings | None = None,
    progress: Progress = silent,
) -> tuple[Path, HonestReport]:
    """Evaluate, and write page, figures and numbers to `out`; returns the page."""
    settings = settings or HonestSettings()
    tables = _tables(inputs, progress)
    reports = []
    for number, table in enumerate(tables, start=1):
        reports.append(honest_evaluation(table, settings))
        progress("compute figures with their intervals", number / len(tables))
    differences = {
        other.name: paired_differences(reports[0], other, settings) for other in reports[1:]
    }
    test, calibration, _ = parts_of(tables[0])
    figures = [
        *report_figures(reports),
        *sweep_figures(test, calibration, settings),
        *_consistency(test, reports[0]),
    ]
    _write_figures(out, figures)
    write_numbers(out / NUMBERS, honest_numbers(reports, differences))
    write_page(
        out / PAGE,
        f"Evaluation of {reports[0].name}",
        honest_lead(reports[0]),
        honest_sections(reports, differences, figures, settings),
    )
    return out / PAGE, reports[0]


def evaluate_as_published(
    inputs: EvaluationInputs, out: Path, progress: Progress = silent
) -> tuple[Path, PaperReport]:
    """Evaluate as the paper did, slips and all; of a table with parts, the test part alone."""
    test, _, _ = parts_of(_table(inputs, inputs.predictions))
    report = paper_evaluation(test)
    progress("draw the figures", 0.0)
    figures = paper_figures(report)
    _write_figures(out, figures)
    write_numbers(out / NUMBERS, paper_numbers(report))
    write_page(
        out / PAGE,
        f"{report.name} by the paper's protocol",
        paper_lead(report),
        paper_sections(report, figures),
    )
    progress("draw the figures", 1.0)
    return out / PAGE, report


def _tables(inputs: EvaluationInputs, progress: Progress) -> list[LabelledTable]:
    """The evaluated table, then the baseline where it can be, then the others."""
    main = _table(inputs, inputs.predictions)
    others = [_table(inputs, [path]) for path in inputs.against]
    tables = [main, *_baseline(inputs, main, progress), *others]
    names: set[str] = set()
    unique = []
    for table in tables:
        name, number = table.name, 1
        while name in names:
            number += 1
            name = f"{table.name} ({number})"
        names.add(name)
        unique.append(replace(table, name=name))
    return unique


def _known(inputs: EvaluationInputs) -> NamedRows | None:
    """Labels, patients and parts of a data set."""
    if inputs.data_set is None:
        return None
    data = open_data_set(inputs.data_set)
    split = data.split(inputs.split)
    told = [(sample, str(split.part_of(sample))) for sample in data.samples]
    return rows_of_samples(inputs.data_set / "samples.csv", told)


def _told_by_stacks(inputs: EvaluationInputs) -> NamedRows | None:
    """Which core each stack shows and its label, by the stacks' names."""
    if not inputs.stacks:
        return None
    samples = [sample_of_file(file) for path in inputs.stacks for file in stack_files(path)]
    return rows_of_samples(inputs.stacks[0], [(sample, "") for sample in samples])


def _table(inputs: EvaluationInputs, paths: Sequence[Path]) -> LabelledTable:
    labels = _known(inputs) or inputs.labels
    if labels is None:  # those of the slide's own cores are taken, by name
        for path in (*paths, *([inputs.calibration] if inputs.calibration else [])):
            if path.name == SCORES:
                refuse_scores_of_other_names(path.parent)
    named_stacks = _told_by_stacks(inputs)

    read = partial(
        read_labelled_tables,
        labels=labels,
        columns=inputs.columns,
        named_stacks=named_stacks,
        name=_name_of(paths[0]),
    )
    if inputs.calibration is None:
        return read(paths)
    table = read(paths, beside=[inputs.calibration])
    calibration = read([inputs.calibration], beside=paths, tables_before=len(paths))
    return _calibrated_by(inputs.calibration, calibration, table, paths)


def _calibrated_by(
    path: Path, calibration: LabelledTable, table: LabelledTable, paths: Sequence[Path]
) -> LabelledTable:
    """The test rows of a table, and the rows of another that fix what has to be fixed.

    What was learnt from is neither, whichever table it stands in.
    """
    parts_of(table)  # refuses one that tells parts, and none of them for testing
    tells_parts = bool((table.parts != "").any())
    test = _kept(table, (table.parts == TEST) | (not tells_parts))
    fixing = _kept(calibration, ~np.isin(calibration.parts, [Part.TRAIN, Part.VALIDATE]))
    if not len(fixing.labels):
        raise InputError(path, "holds only cores that were learnt from", _OTHER_CORES)
    shared = np.intersect1d(test.core_keys, fixing.core_keys)
    if len(shared):
        core = str(shared[0]).replace("\t", " ").strip()
        raise InputError(path, f"holds core {core}, which is evaluated too", _OTHER_CORES)
    if path.resolve() in {each.resolve() for each in paths}:
        raise InputError(path, "is evaluated too", _OTHER_CORES)
    return joined_tables(
        [
            replace(test, parts=np.full(len(test.labels), TEST)),
            replace(fixing, parts=np.full(len(fixing.labels), CALIBRATE)),
        ],
        [*paths, path],
    )


def _kept(table: LabelledTable, kept: NDArray[np.bool_]) -> LabelledTable:
    """Some rows; the others are counted among those that take no part."""
    left_out = Counter(table.left_out)
    left_out.update(f"of part {part or 'unknown'}" for part in table.parts[~kept].tolist())
    return replace(table.rows(kept), left_out=dict(left_out))


_OTHER_CORES = "Calibrate on other cores than those of the test"


def _name_of(path: Path) -> str:
    """The file's name says little where every slide has a `scores.csv`."""
    return path.resolve().parent.name if path.stem in {"scores", "predictions"} else path.stem


def _baseline(
    inputs: EvaluationInputs, main: LabelledTable, progress: Progress
) -> list[LabelledTable]:
    if inputs.data_set is not None:
        data = open_data_set(inputs.data_set)
        made = _baseline_of_split(data, data.split(inputs.split), progress)
    elif inputs.stacks:
        made = _baseline_of_stacks(inputs.stacks, inputs.bgr, main, progress)
    else:
        return []
    evaluated = made.rows(np.isin(made.core_keys, main.core_keys))
    return [evaluated] if len(evaluated.labels) else []


def _baseline_of_split(data: DataSet, split: Split, progress: Progress) -> LabelledTable:
    """Fitted on the training part; answers for the calibration and the test part."""
    stacks = DataSetStacks(data, split)
    answered = [*stacks.part(Part.CALIBRATE), *stacks.part(Part.TEST)]
    progress("fit the colour baseline", 0.0)
    model = fitted_on_colour(stacks)
    probabilities = model.predict(fixed_stacks(stacks, answered, COLOUR_VIEW_PX))
    progress("fit the colour baseline", 1.0)
    samples = [data.samples[index] for index in answered]
    parts = [str(split.part_of(sample)) for sample in samples]
    return _table_of_samples(samples, probabilities, parts)


def _baseline_of_stacks(
    paths: Sequence[Path], bgr: bool | None, main: LabelledTable, progress: Progress
) -> LabelledTable:
    """Each patient, or each core where patients are not known, is answered from all others."""
    files = [file for path in paths for file in stack_files(path)]
    samples, views = [], []
    for number, file in enumerate(files, start=1):
        sample = sample_of_file(file)
        if sample.score is not None:
            samples.append(sample)
            views.append(reduced_views(read_stack(file, bgr=bgr)[None])[0])
        progress("fit the colour baseline", number / len(files))
    if not samples:
        raise InputError(
            ", ".join(map(str, paths)),
            "holds no stack (.tif) with a score in its name",
            "Name them SLIDE_REPEAT_CORE_SCORE.tif, or leave --stacks away",
        )
    patients = dict(zip(main.core_keys.tolist(), main.patients.tolist(), strict=True))
    keys = [f"{sample.slide}\t{sample.core}" for sample in samples]
    groups = np.array([patients.get(key) or key for key in keys])
    scores = np.array([int(sample.score or 0) for sample in samples], np.int64)
    probabilities = _answered_from_others(np.array(views), scores, groups)
    parts = dict(zip(main.core_keys.tolist(), main.parts.tolist(), strict=True))
    return _table_of_samples(samples, probabilities, [parts.get(key, "") for key in keys])


def _answered_from_others(
    views: NDArray[np.uint8], scores: NDArray[np.int64], groups: NDArray[np.str_]
) -> NDArray[np.float64]:
    probabilities = np.empty((len(scores), len(Score)))
    for group in np.unique(groups):
        own = groups == group
        if len(np.unique(scores[~own])) < len(Score):
            raise InputError(
                "--stacks",
                f"lack a score once {str(group).replace(chr(9), ' ')} is left out",
                "Give at least two patients of each score, or leave the baseline away",
            )
        probabilities[own] = ColourBaseline(views[~own], scores[~own]).predict(views[own])
    return probabilities


def _table_of_samples(
    samples: Sequence[Sample], probabilities: NDArray[np.float64], parts: Sequence[str]
) -> LabelledTable:
    return LabelledTable(
        name=BASELINE,
        slides=np.array([sample.slide for sample in samples]),
        patients=np.array([sample.case for sample in samples]),
        cores=np.array([str(sample.core) for sample in samples]),
        repeats=np.array([sample.repeat for sample in samples], np.int64),
        labels=np.array([int(sample.score or 0) for sample in samples], np.int64),
        probabilities=probabilities / probabilities.sum(axis=1, keepdims=True),
        parts=np.array(parts),
    )


def _consistency(test: LabelledTable, report: HonestReport) -> list[Drawn]:
    if report.agreement is None:
        return []
    shares = list(consistency_by_core(scan_calls(test)).values())
    return [consistency_figure(shares, report.agreement.chance_consistency)]


def _write_figures(out: Path, figures: Sequence[Drawn]) -> None:
    for drawn in figures:
        write_drawn(out / "figures", drawn)
