"""A slide's folder made by hand: a few cores, with every kind of trouble the report tells of."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from blurryscope.artifacts.predictions import (
    PALE,
    CoreResult,
    Decision,
    Prediction,
    Probabilities,
    most_probable,
    write_predictions,
    write_results,
)
from blurryscope.artifacts.provenance import Provenance, write_provenance
from blurryscope.artifacts.recording import Recording, write_recording
from blurryscope.artifacts.tissue_cores import (
    CoreGrid,
    CoreStatus,
    PlaceSource,
    TissueCore,
    write_core_grid,
    write_tissue_cores,
)
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import RESEARCH_USE_ONLY, Score

# What a test writes for one repeat of a core, and what the network is made to say.
SPOKEN: Mapping[str, Probabilities | None] = {
    "0": (0.91, 0.03, 0.03, 0.03),
    "1+": (0.03, 0.91, 0.03, 0.03),
    "2+": (0.03, 0.03, 0.91, 0.03),
    "3+": (0.03, 0.03, 0.03, 0.91),
    "3+ unsure": (0.1, 0.1, 0.3, 0.5),
    "likely positive": (0.3, 0.1, 0.25, 0.35),
    "1+ leaning up": (0.02, 0.46, 0.26, 0.26),
    "undecided": (0.4, 0.3, 0.2, 0.1),
    "1+ by a hair": (0.47, 0.48, 0.03, 0.02),
    "nearly 0": (0.445, 0.3, 0.2, 0.055),
    "pale": (0.35, 0.6, 0.04, 0.01),
    "withheld": None,
}
THRESHOLD = 0.45


@pytest.fixture
def make_slide(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder: cores by name, each with what it says in every repeat."""

    def make(
        said: Mapping[str, Sequence[str]],
        *,
        statuses: Mapping[str, CoreStatus] | None = None,
        labels: Mapping[str, Score] | None = None,
        slide: str = "H101",
        grid: Mapping[str, object] | None = None,
        stitch: Mapping[str, object] | None = None,
    ) -> Path:
        root = tmp_path / "slide"
        repeat_count = max(len(words) for words in said.values())
        cores = [_core(name, statuses or {}, labels or {}) for name in said]
        for repeat in range(1, repeat_count + 1):
            folder = root / f"repeat-{repeat}" if repeat_count > 1 else root
            _write_repeat(
                folder, cores, _grid(cores, grid or {}), stitch or {"pixel_size_um": 1.12}
            )
            write_recording(folder / "recording.json", Recording(slide=slide, repeat=repeat))
        _write_scores(root, said, slide)
        provenance = Provenance(
            settings={"score": {"threshold": THRESHOLD}},
            inputs_sha256={"scan.mp4": "ab" * 32},
            model_sha256="cd" * 32,
            versions={"blurryscope": "0.1.0"},
        )
        write_provenance(root / "provenance.json", provenance)
        return root

    return make


def _core(name: str, statuses: Mapping[str, CoreStatus], labels: Mapping[str, Score]) -> TissueCore:
    status = statuses.get(name, CoreStatus.OK)
    return TissueCore(
        name=CoreName.parse(name),
        x_px=100.0,
        y_px=500.0,
        diameter_px=300.0,
        status=status,
        tissue_fraction=0.0 if status is CoreStatus.MISSING else 0.8,
        focus=0.5,
        confidence=0.9,
        label=labels.get(name),
        source=PlaceSource.AUTO,
    )


def _grid(cores: Sequence[TissueCore], changes: Mapping[str, object]) -> CoreGrid:
    usual = CoreGrid(
        rows=1 + max(core.name.row for core in cores),
        columns=1 + max(core.name.column for core in cores),
        layout=(),
        orientation="as-scanned",
        placement_margin=12.0,
        needs_confirmation=False,
        names_from="map",
        pixel_size_um=1.12,
        diameter_px=300.0,
        pitch_px=(400.0, 400.0),
        tilt_deg=0.2,
        white=(240.0, 240.0, 240.0),
        research_use_only=RESEARCH_USE_ONLY,
    )
    return usual.model_copy(update=dict(changes))


def _write_repeat(
    folder: Path, cores: Sequence[TissueCore], grid: CoreGrid, stitch: Mapping[str, object]
) -> None:
    (folder / "cores").mkdir(parents=True)
    picture = np.full((60, 60, 3), 230, np.uint8)
    cv2.circle(picture, (30, 30), 20, (80, 110, 150), -1)
    for name in ("overview", *(str(core.name) for core in cores)):
        cv2.imwrite(str(folder / "cores" / f"{name}.png"), picture)
    write_tissue_cores(folder / "cores.csv", cores)
    write_core_grid(folder / "cores.json", grid)
    (folder / "stitch.json").write_text(json.dumps(dict(stitch)), encoding="utf-8")


def _write_scores(root: Path, said: Mapping[str, Sequence[str]], slide: str) -> None:
    predictions = [
        _prediction(slide, CoreName.parse(name), repeat, SPOKEN[word])
        for name, words in said.items()
        for repeat, word in enumerate(words, 1)
    ]
    write_predictions(root / "scores.csv", predictions)
    write_results(
        root / "results.csv",
        [
            _result(slide, CoreName.parse(name), [SPOKEN[word] for word in words])
            for name, words in said.items()
        ],
    )


def _prediction(slide: str, core: CoreName, repeat: int, given: Probabilities | None) -> Prediction:
    score, decision, reason = _decide(given)
    return Prediction(
        slide=slide,
        repeat=repeat,
        core=core,
        score=score,
        probabilities=given,
        p_positive=None if given is None else given[2] + given[3],
        decision=decision,
        reason=reason,
    )


def _result(slide: str, core: CoreName, repeats: Sequence[Probabilities | None]) -> CoreResult:
    told = [probabilities for probabilities in repeats if probabilities is not None]
    counted = [probabilities for probabilities in told if probabilities != SPOKEN["pale"]]
    given = counted or told
    mean: Probabilities | None = None
    if given:
        p0, p1, p2, p3 = np.mean(given, axis=0).tolist()
        mean = (p0, p1, p2, p3)
    score, decision, reason = _decide(mean)
    return CoreResult(
        slide=slide,
        core=core,
        score=score,
        probabilities=mean,
        p_positive=None if mean is None else mean[2] + mean[3],
        confidence=None if mean is None else max(mean),
        decision=decision,
        reason=reason,
        repeats_used=len(counted),
        agreement=1.0 if counted else None,
    )


def _decide(given: Probabilities | None) -> tuple[Score | None, Decision, str]:
    if given == SPOKEN["pale"]:
        return None, Decision.REFER, f"{PALE}1+ as it is, unsure if the picture has lost contrast"
    if given is None:
        return None, Decision.WITHHELD, "out of focus"
    if max(given) < THRESHOLD:
        return None, Decision.INDETERMINATE, "confidence below the threshold"
    return most_probable(given), Decision.SCORED, ""
