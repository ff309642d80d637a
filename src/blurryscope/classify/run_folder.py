"""What a run leaves for people: its config, how it came about, its course, its result."""

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from blurryscope.artifacts.provenance import current_versions
from blurryscope.artifacts.whole import whole_file, write_text_whole
from blurryscope.basics.percent import percent
from blurryscope.classify.checkpoints import EpochFigures, RunPlace
from blurryscope.classify.training_config import TrainingConfig

LAST, BEST, MODEL = "last.safetensors", "best.safetensors", "model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """How it went."""

    model: Path
    history: tuple[EpochFigures, ...]
    best_epoch: int
    """Counts from 1."""
    temperature: float
    threshold: float
    calibration_cores: int
    """Distinct cores of the calibration part; too few of them leave both as they were."""


def keep_config(config_file: Path, out: Path) -> None:
    """Store the config as it was written, beside its result; that of a run begun there stays."""
    if not (out / LAST).exists() and config_file.resolve() != (out / "run.toml").resolve():
        with whole_file(out / "run.toml") as partial:
            partial.write_bytes(config_file.read_bytes())


def write_run_note(out: Path, config: TrainingConfig, place: RunPlace) -> None:
    """Write `run.json`: every setting, with defaults filled in, versions, checksums."""
    note = {
        "config": config.model_dump(mode="json")
        | {"data": config.data.model_dump(mode="json", exclude={"set"})},
        "config_sha256": place.config_sha256,
        "data_sha256": place.data_sha256,
        "versions": current_versions(),
    }
    write_text_whole(out / "run.json", json.dumps(note, indent=2, sort_keys=True) + "\n")


def write_log(out: Path, history: tuple[EpochFigures, ...]) -> None:
    """Write `log.csv`, a row per epoch."""
    with (
        whole_file(out / "log.csv") as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        rows = csv.DictWriter(file, list(EpochFigures.model_fields), lineterminator="\n")
        rows.writeheader()
        rows.writerows(row.model_dump() for row in history)


def write_result(out: Path, report: TrainingReport) -> None:
    """Write `result.json`."""
    told = asdict(report) | {
        "model": report.model.name,
        "history": [figures.model_dump() for figures in report.history],
    }
    write_text_whole(out / "result.json", json.dumps(told, indent=2, sort_keys=True) + "\n")


def epoch_line(figures: EpochFigures, epochs: int, is_best: bool) -> str:
    """One epoch in one line, for people."""
    validated = ""
    if figures.validation_loss is not None and figures.validation_accuracy is not None:
        right = percent(figures.validation_accuracy)
        validated = f", validation {figures.validation_loss:.3f} ({right} right)"
    memory = "" if figures.memory_gib is None else f", {figures.memory_gib:.1f} GiB"
    return (
        f"epoch {figures.epoch + 1}/{epochs}: loss {figures.training_loss:.3f}{validated}"
        f"{', best so far' if is_best else ''}; {figures.stacks_per_s:.1f} stacks/s{memory}"
    )
