"""From tables to a page: planted answers come back exactly, by either protocol."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.samples import write_stack
from blurryscope.basics.errors import InputError
from blurryscope.evaluate.honest_protocol import HonestSettings
from blurryscope.pipeline.evaluation import (
    BASELINE,
    NUMBERS,
    EvaluationInputs,
    evaluate_as_published,
    evaluate_honestly,
)
from tests.pages import nameless, read_page, skipped_headings, tables_without_headings

_QUICK = HonestSettings(replicates=20)
_SAID = {0: [0] * 8 + [1] * 2, 1: [1] * 6 + [2] * 4, 2: [2] * 5 + [1] * 5, 3: [3] * 9 + [2]}
"""Of ten cores of each score: 28 of 40 right, 31 of 40 on the right side."""
_FIGURES = {
    "honest": ["answers", "sweep", "matrices", "reliability", "risk-coverage", "roc"],
    "published": ["figure-5", "figure-6", "roc"],
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "planted.csv"
    write_table(path, [(stack_of(of, n), of, said, 0.7) for of in _SAID
                       for n, said in enumerate(_SAID[of])])  # fmt: skip
    return path


@pytest.fixture(scope="module")
def honest(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Evaluated with other cores to calibrate, beside a model that is always right."""
    out = tmp_path_factory.mktemp("honest")
    better, others = planted.with_name("better.csv"), planted.with_name("others.csv")
    calibrating = [(f"T_1_A{n + 1}", n % 4, n % 4, 0.9 if n % 5 else 0.6) for n in range(60)]
    write_table(better, [(stack_of(of, n), of, of, 0.7) for of in _SAID for n in range(10)])
    write_table(others, calibrating)
    inputs = EvaluationInputs(predictions=[planted], against=[better], calibration=others)
    evaluate_honestly(inputs, out, _QUICK)
    return out


@pytest.fixture(scope="module")
def published(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published")
    evaluate_as_published(EvaluationInputs(predictions=[planted]), out)
    return out


def test_planted_answers_come_back_exactly(honest: Path) -> None:
    told = numbers(honest)
    assert told["planted", "4", "all", "accuracy"] == 28 / 40
    assert told["planted", "2", "all", "accuracy"] == 31 / 40
    assert told["planted", "2", "all", "sensitivity"] == 15 / 20
    assert told["planted", "2", "all", "specificity"] == 16 / 20


def test_the_matrix_that_comes_first_holds_the_answers_that_are_counted(honest: Path) -> None:
    with (honest / "figures" / "answers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    four = {(int(r["label"]), int(r["called"])): int(r["count"]) for r in rows[:16]}
    assert sum(four.values()) == 40
    assert sum(count for (label, called), count in four.items() if label == called) == 28


def test_the_page_says_what_the_bootstrap_drew_and_what_was_fixed(
    honest: Path, by_stacks: Path
) -> None:
    assert "bootstrap by core" in page_of(honest)  # no column tells patients
    assert "whole patients" not in page_of(honest)
    assert "The square is the fixed threshold" in page_of(honest)
    assert "The square" not in page_of(by_stacks)  # nothing to calibrate with


def test_the_threshold_is_that_of_the_calibration_cores(honest: Path) -> None:
    told = numbers(honest)
    # a fifth of them at 0.6, so the quantile of 15 % lies there: nothing at 0.7 is withheld
    assert told["planted", "4", "scored", "coverage"] == 1.0
    assert told["planted", "4", "sets, all", "coverage"] <= 1.0


def test_the_slips_of_the_paper_are_in_its_own_protocol_alone(
    honest: Path, published: Path
) -> None:
    theirs, ours = numbers(published), numbers(honest)
    assert theirs["planted", "4", "all scans", "accuracy_of_all"] == 28 / 40
    # all are called at 0.7: the confidence says nothing of the side
    assert theirs["planted", "2", "all scans", "auc_of_confidence"] == 0.5
    assert ours["planted", "2", "all", "auroc"] > 0.7
    assert not [key for key in ours if key[3] == "auc_of_confidence" or key[2] == "all scans"]
    assert "by the paper&#39;s protocol" in page_of(published)


@pytest.mark.parametrize("made", ["honest", "published"])
def test_the_page_opens_offline_and_figures_lie_beside_it(
    made: str, request: pytest.FixtureRequest
) -> None:
    out: Path = request.getfixturevalue(made)
    page = page_of(out)
    assert "Research use only" in page
    assert [link for link in re.findall(r'(?:href|src)="([^"#]*)', page) if link] == []
    assert sorted(path.stem for path in (out / "figures").glob("*.svg")) == sorted(_FIGURES[made])
    for name in _FIGURES[made]:
        for ending in ("png", "csv"):
            assert (out / "figures" / f"{name}.{ending}").stat().st_size > 0
    tree = read_page(out / "evaluation.html")
    assert not [*nameless(tree), *tables_without_headings(tree), *skipped_headings(tree)]
    assert all(e.get("tabindex") == "0" for e in tree.iter() if e.get("class") == "wide")
    identities = re.findall(r'\bid="([^"]+)"', page)
    assert len(identities) == len(set(identities))


def test_repeats_are_drawn_where_there_are_some(tmp_path: Path) -> None:
    table = tmp_path / "repeats.csv"
    write_table(table, [(f"S_{repeat}_A{n}", n % 4, n % 4, 0.7)
                        for n in range(1, 9) for repeat in (1, 2)])  # fmt: skip
    evaluate_as_published(EvaluationInputs(predictions=[table]), tmp_path / "out")
    assert (tmp_path / "out" / "figures" / "consistency.svg").is_file()
    assert numbers(tmp_path / "out")["repeats", "4", "repeats", "consistency"] == 1.0
    assert "8 cores with several scans" in page_of(tmp_path / "out")


def test_two_classes_have_each_figure_once(tmp_path: Path) -> None:
    table = tmp_path / "two.csv"
    rows = [f"S{n % 2},A{n},{n % 2},0.{n}" for n in range(1, 10)]
    table.write_text("\n".join(["slide,core,label,p_positive", *rows]), encoding="utf-8")
    evaluate_honestly(EvaluationInputs(predictions=[table]), tmp_path / "out", _QUICK)
    with (tmp_path / "out" / NUMBERS).open(encoding="utf-8", newline="") as file:
        keys = [(row["classes"], row["of"], row["metric"]) for row in csv.DictReader(file)]
    assert ("2", "S1", "accuracy") in keys
    assert len(keys) == len(set(keys))


def test_the_same_table_gives_the_same_files(
    planted: Path, published: Path, tmp_path: Path
) -> None:
    evaluate_as_published(EvaluationInputs(predictions=[planted]), tmp_path)
    for path in sorted(published.rglob("*.*")):
        assert path.read_bytes() == (tmp_path / path.relative_to(published)).read_bytes(), path.name


def test_cores_that_are_evaluated_cannot_calibrate(planted: Path, tmp_path: Path) -> None:
    inputs = EvaluationInputs(predictions=[planted], calibration=planted)
    with pytest.raises(InputError, match="holds core S A1, which is evaluated too"):
        evaluate_honestly(inputs, tmp_path / "out", _QUICK)


def test_cores_that_were_learnt_from_are_no_test_cores_whatever_calibrates(
    planted: Path, tmp_path: Path
) -> None:
    lines = planted.read_text(encoding="utf-8").splitlines()
    table, others = tmp_path / "parts.csv", planted.with_name("others.csv")
    parts = ["part", *("train" if number % 2 else "test" for number in range(40))]
    table.write_text("\n".join(map(",".join, zip(lines, parts, strict=True))), encoding="utf-8")
    inputs = EvaluationInputs(predictions=[table], calibration=others)
    _, report = evaluate_honestly(inputs, tmp_path / "out", _QUICK)
    assert report.test_count == 20
    assert report.unused["of part train"] == 20


def test_cores_that_were_learnt_from_do_not_calibrate(planted: Path, tmp_path: Path) -> None:
    others = planted.with_name("others.csv")
    lines = others.read_text(encoding="utf-8").splitlines()
    parts = ["part", *("train" if number < 45 else "test" for number in range(60))]
    table = tmp_path / "parts.csv"
    table.write_text("\n".join(map(",".join, zip(lines, parts, strict=True))), encoding="utf-8")
    inputs = EvaluationInputs(predictions=[planted], calibration=table)
    _, report = evaluate_honestly(inputs, tmp_path / "out", _QUICK)
    fixed = report.views[4].fixed
    assert fixed is not None
    assert fixed.core_count == 15


def test_tables_that_name_no_cores_can_be_calibrated_on_one_another(tmp_path: Path) -> None:
    tables = [tmp_path / "test.csv", tmp_path / "calibration.csv"]
    rows = [
        f"{n % 4},{','.join('0.7' if n % 4 == k else '0.1' for k in range(4))}" for n in range(40)
    ]
    for table in tables:
        table.write_text("\n".join(["label,p0,p1,p2,p3", *rows]), encoding="utf-8")
    inputs = EvaluationInputs(predictions=tables[:1], calibration=tables[1])
    _, report = evaluate_honestly(inputs, tmp_path / "out", _QUICK)
    assert report.test_count == 40
    inputs = EvaluationInputs(predictions=tables[:1], calibration=tables[0])
    with pytest.raises(InputError, match=r"test\.csv: is evaluated too"):
        evaluate_honestly(inputs, tmp_path / "out", _QUICK)


def test_another_model_stands_beside_and_is_compared(honest: Path) -> None:
    told = numbers(honest)
    assert told["better", "4", "all", "accuracy"] == 1.0
    assert told["planted minus better", "4", "difference", "accuracy"] == pytest.approx(-12 / 40)
    assert "planted against better" in page_of(honest)


@pytest.fixture(scope="module")
def by_stacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Evaluated from a table of answers without labels, with the stacks at hand."""
    folder = tmp_path_factory.mktemp("by-stacks")
    stacks = folder / "stacks"
    names = write_two_stacks_of_each_score(stacks)
    lines = [f"S,{name.split('_')[2]},1,0.1,0.1,0.1,0.7" for name in names]
    table = folder / "scores.csv"
    table.write_text("\n".join(["slide,core,repeat,p0,p1,p2,p3", *lines]), encoding="utf-8")
    with pytest.raises(InputError, match="no column with labels"):
        evaluate_honestly(EvaluationInputs(predictions=[table]), folder / "out", _QUICK)
    inputs = EvaluationInputs(predictions=[table], stacks=[stacks])
    evaluate_honestly(inputs, folder / "out", _QUICK)
    return folder / "out"


def test_a_colour_baseline_stands_beside_where_stacks_are_at_hand(by_stacks: Path) -> None:
    assert numbers(by_stacks)[BASELINE, "4", "all", "accuracy"] == 1.0


def test_labels_that_are_nowhere_else_come_from_the_names_of_the_stacks(by_stacks: Path) -> None:
    assert numbers(by_stacks)[by_stacks.parent.name, "4", "all", "accuracy"] == 1 / 4


def test_a_folder_without_scored_stacks_makes_no_baseline(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    write_table(table, [("S_1_A1", 0, 0, 0.7)])
    (tmp_path / "stacks").mkdir()
    inputs = EvaluationInputs(predictions=[table], stacks=[tmp_path / "stacks"])
    with pytest.raises(InputError, match=r"stacks: holds no stack .* with a score in its name"):
        evaluate_honestly(inputs, tmp_path / "out", _QUICK)


def write_two_stacks_of_each_score(folder: Path) -> list[str]:
    """Their names tell core and score."""
    folder.mkdir()
    names = [f"S_1_{row}{column}_{score}" for score, row in enumerate("ABCD") for column in (1, 2)]
    for number, name in enumerate(names):
        write_stack(folder / f"{name}.tif", coloured_stack(number // 2, number))
    return names


def stack_of(score: int, number: int) -> str:
    return f"S_1_A{1 + 10 * score + number}"


def write_table(path: Path, calls: list[tuple[str, int, int, float]]) -> None:
    """(stack, label, what is said, confidence), the rest of the probability spread evenly."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "label", "p0", "p1", "p2", "p3"])
        for name, label, said, confidence in calls:
            rest = (1 - confidence) / 3
            rows.writerow([name, label, *(confidence if n == said else rest for n in range(4))])


def coloured_stack(score: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Glass and speckle, browner with the score."""
    rng = np.random.default_rng(seed)
    amount = np.tile(rng.gamma(4.0, 0.05, (5, 64, 64, 1)), (1, 8, 8, 1))
    density = amount * ([0.4, 0.4, 0.25] + score * np.array([0.2, 0.35, 0.5]))
    density[:, :, :160] = 0.0
    return np.asarray(250 * 10**-density, np.uint8)


def numbers(out: Path) -> dict[tuple[str, str, str, str], float]:
    with (out / NUMBERS).open(encoding="utf-8", newline="") as file:
        return {
            (row["model"], row["classes"], row["of"], row["metric"]): float(row["value"] or "nan")
            for row in csv.DictReader(file)
        }


def page_of(out: Path) -> str:
    return (out / "evaluation.html").read_text(encoding="utf-8")
