"""Scoring a folder: as one core at a time would be, with a map for each core that has an answer."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from blurryscope.artifacts.mosaic import MosaicWriter
from blurryscope.artifacts.predictions import Decision, read_predictions
from blurryscope.artifacts.provenance import read_provenance
from blurryscope.artifacts.samples import Sample, write_stack
from blurryscope.artifacts.tissue_cores import (
    CoreGrid,
    CoreStatus,
    PlaceSource,
    TissueCore,
    read_tissue_cores,
    write_core_grid,
    write_tissue_cores,
)
from blurryscope.artifacts.view_places import read_view_places
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError, MissingInputError, OutputError
from blurryscope.basics.fusing import log_average
from blurryscope.basics.her2 import RESEARCH_USE_ONLY, Score
from blurryscope.basics.image import Rgb
from blurryscope.classify.efin import EFIN
from blurryscope.classify.model_file import ModelSettings, save_model
from blurryscope.classify.networks import CoreNet
from blurryscope.classify.predict import load_model
from blurryscope.classify.shipped import SHIPPED
from blurryscope.dataset.views import make_stack, prepare_core
from blurryscope.pipeline.evaluation import EvaluationInputs, evaluate_honestly
from blurryscope.pipeline.finishing import finish
from blurryscope.pipeline.reporting import report_again
from blurryscope.pipeline.rescoring import score_inputs
from blurryscope.pipeline.scored_places import doubt_about_scored_names
from blurryscope.pipeline.scoring import score
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import SCORE_FILES
from blurryscope.report import write_report
from blurryscope.simulator.appearance import Appearance
from blurryscope.simulator.core import draw_core

_PIXEL_UM = 1.44
_NAMES = ("A1", "A2", "B1")
_MISSING = "B1"


def test_a_slide_that_goes_step_by_step_has_the_name_that_its_map_gives(slide_dir: Path) -> None:
    by_run = read_predictions(slide_dir / "scores.csv")
    for name in SCORE_FILES:
        (slide_dir / name).unlink()
    table = score_inputs([slide_dir], None, SHIPPED, is_bgr=None, shows_why=False)
    by_steps = read_predictions(table)
    assert {row.slide for row in by_run} == {row.slide for row in by_steps} != {slide_dir.name}


def test_scores_of_stacks_do_not_go_over_those_of_a_slide_unasked(
    slide_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = tmp_path / "S_1_A1.tif"
    write_stack(stack, np.full((5, 512, 512, 3), 250, np.uint8))
    before = (slide_dir / "scores.csv").read_bytes()
    monkeypatch.chdir(slide_dir)
    with pytest.raises(InputError, match="scores of the slide in this folder"):
        score_inputs([stack], None, SHIPPED, is_bgr=False)
    assert (slide_dir / "scores.csv").read_bytes() == before
    monkeypatch.chdir(tmp_path)
    assert score_inputs([stack], None, SHIPPED, is_bgr=False).is_file()


def test_a_folder_is_scored_and_explained(tmp_path: Path) -> None:
    classifier = load_model()
    pictures = _slide(tmp_path)
    score([tmp_path], tmp_path, slide="S", classifier=classifier, settings=RunSettings())
    said = {str(each.core): each for each in read_predictions(tmp_path / "scores.csv")}
    assert list(said) == list(_NAMES)
    assert said[_MISSING].decision is Decision.WITHHELD
    for name, picture in pictures.items():
        sample = Sample(
            slide="S", case="", core=CoreName.parse(name), repeat=1, score=None, path=Path()
        )
        plain = classifier.score(sample, make_stack(picture, pixel_size_um=_PIXEL_UM))
        assert plain.probabilities is not None
        assert said[name].decision is plain.decision
        assert said[name].probabilities == pytest.approx(plain.probabilities, abs=1e-4)
    assert sorted(file.name for file in (tmp_path / "why").iterdir()) == [
        *(f"{name}.jpg" for name in pictures),
        "views.csv",
    ]
    for views in read_view_places(tmp_path / "why" / "views.csv").values():
        assert sum(view.weight for view in views) == pytest.approx(1.0, abs=1e-3)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert page.count('class="why"') == len(pictures)
    scores = (tmp_path / "scores.csv").read_bytes()
    score(
        [tmp_path], tmp_path, slide="S", classifier=classifier,
        settings=RunSettings(shows_why=False),
    )  # fmt: skip
    assert not (tmp_path / "why").exists()
    assert (tmp_path / "scores.csv").read_bytes() == scores


def test_an_unsure_core_of_a_slide_is_scored_from_other_crops_too(tmp_path: Path) -> None:
    classifier = load_model()
    picture = _slide(tmp_path, (Score.ONE, Score.ZERO))["A1"]
    settings = RunSettings(shows_why=False)
    score([tmp_path], tmp_path, slide="S", classifier=classifier, settings=settings)
    said = read_predictions(tmp_path / "scores.csv")[0].probabilities
    prepared = prepare_core(picture, pixel_size_um=_PIXEL_UM, view_px=classifier.stack_px)
    stacks = np.concatenate([prepared.stack()[None], prepared.further_stacks(2)])
    answers = classifier.predict(stacks)
    assert said == pytest.approx(log_average(answers), abs=1e-4)
    assert said != pytest.approx(answers[0], abs=0.02)


def test_a_folder_that_is_scored_again_names_the_model_that_did_it(tmp_path: Path) -> None:
    _slide(tmp_path)
    shipped, settings = load_model(), RunSettings(shows_why=False)
    score([tmp_path], tmp_path, slide="S", classifier=shipped, settings=settings)
    finish(tmp_path, {"scan.mp4": "0" * 64}, shipped, settings)
    other = tmp_path / "other.safetensors"
    save_model(other, CoreNet(2), ModelSettings(network="corenet", width=2))
    score_inputs([tmp_path], None, str(other), is_bgr=False, shows_why=False)
    told = read_provenance(tmp_path / "provenance.json")
    assert told.model_sha256 == load_model(other).sha256 != shipped.sha256
    assert told.inputs_sha256 == {"scan.mp4": "0" * 64}
    assert load_model(other).sha256[:12] in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_what_cannot_score_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    two = tmp_path / "two.safetensors"
    settings = ModelSettings(network="efin", width=1, size_px=32, classes=2)
    save_model(two, EFIN(2, size_px=32, width=1), settings)
    with pytest.raises(InputError, match="negative from positive"):
        score_inputs([tmp_path / "none.tif"], None, str(two), is_bgr=False)
    with pytest.raises(InputError, match="--bgr"):
        score_inputs([tmp_path], None, SHIPPED, is_bgr=True)


def test_a_stack_that_cannot_be_read_is_told_before_the_others_cost_time(tmp_path: Path) -> None:
    paths = [tmp_path / "S_1_A1.tif", tmp_path / "S_1_A2.tif"]
    write_stack(paths[0], np.full((5, 512, 512, 3), 240, np.uint8))
    paths[1].write_bytes(paths[0].read_bytes()[:100])
    told: list[str] = []
    with pytest.raises(InputError, match=r"S_1_A2\.tif"):
        score_inputs(
            paths, tmp_path / "scores.csv", SHIPPED, is_bgr=False,
            progress=lambda what, _: told.append(what),
        )  # fmt: skip
    assert not told
    assert not (tmp_path / "scores.csv").exists()


def test_a_folder_stands_for_the_stacks_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "stacks"
    folder.mkdir()
    for name in ("S_1_B1.tif", "S_1_A2.tif"):
        write_stack(folder / name, np.full((5, 512, 512, 3), 240, np.uint8))
    table = score_inputs([folder], tmp_path / "scores.csv", SHIPPED, is_bgr=True)
    assert [str(each.core) for each in read_predictions(table)] == ["A2", "B1"]


def test_a_folder_without_slide_and_stacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither a stitched slide nor stacks \(\.tif\)"):
        score_inputs([tmp_path], None, SHIPPED, is_bgr=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no stacks"):
        score_inputs([tmp_path / "empty", tmp_path / "S_1_A1.tif"], None, SHIPPED, is_bgr=False)
    with pytest.raises(MissingInputError, match=r"none\.tif: no such file or folder"):
        score_inputs([tmp_path / "none.tif"], None, SHIPPED, is_bgr=False)


def test_two_stacks_of_one_scan_of_a_core_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / "S_1_A1.tif", tmp_path / "again" / "S_1_A1_2.tif"]
    for path in paths:
        write_stack(path, np.full((5, 512, 512, 3), 240, np.uint8))
    with pytest.raises(InputError, match=r"S_1_A1_2\.tif: is of the same .* as .*S_1_A1\.tif"):
        score_inputs(paths, tmp_path / "scores.csv", SHIPPED, is_bgr=False)


def test_a_table_that_cannot_be_written_is_told_before_anything_is_scored(tmp_path: Path) -> None:
    stack = tmp_path / "S_1_A1.tif"
    write_stack(stack, np.full((5, 512, 512, 3), 240, np.uint8))
    told: list[str] = []
    for out, why in ((tmp_path, "is a folder"), (stack / "scores.csv", "is a file, or lies in")):
        with pytest.raises(OutputError, match=why):
            score_inputs(
                [stack], out, SHIPPED, is_bgr=False, progress=lambda what, _: told.append(what)
            )
    assert not told


def test_scores_of_before_are_not_shown_under_names_of_now(tmp_path: Path) -> None:
    _scored(tmp_path)
    page = report_again(tmp_path)
    page.unlink()
    one, other, lost = read_tissue_cores(tmp_path / "cores.csv")
    swapped = [replace(one, x_px=other.x_px), replace(other, x_px=one.x_px), lost]
    write_tissue_cores(tmp_path / "cores.csv", swapped)
    assert doubt_about_scored_names(tmp_path) is not None
    with pytest.raises(InputError, match=r"named anew after scoring.*blurryscope score"):
        report_again(tmp_path)
    assert not page.exists()
    with pytest.raises(InputError, match="named anew after scoring"):
        evaluate_honestly(EvaluationInputs(predictions=[tmp_path / "scores.csv"]), tmp_path / "e")
    score_inputs([tmp_path], None, SHIPPED, is_bgr=False, shows_why=False)
    assert report_again(tmp_path) == page


def test_scores_that_do_not_tell_their_names_are_not_shown_until_scored_again(
    tmp_path: Path,
) -> None:
    _scored(tmp_path)
    (tmp_path / ".steps" / "scored-places").unlink()
    with pytest.raises(InputError, match=r"does not tell under which names.*blurryscope score"):
        report_again(tmp_path)
    with pytest.raises(InputError, match="does not tell under which names"):
        evaluate_honestly(EvaluationInputs(predictions=[tmp_path / "scores.csv"]), tmp_path / "e")
    scores = (tmp_path / "scores.csv").read_bytes()
    score_inputs([tmp_path], None, SHIPPED, is_bgr=False, shows_why=False)
    report_again(tmp_path)
    assert (tmp_path / "scores.csv").read_bytes() == scores


def test_labels_locks_and_damage_do_not_make_scores_old(tmp_path: Path) -> None:
    _scored(tmp_path)
    cores = [
        replace(core, label=Score.TWO, is_locked=True, focus=0.1)
        for core in read_tissue_cores(tmp_path / "cores.csv")
    ]
    write_tissue_cores(tmp_path / "cores.csv", cores)
    assert doubt_about_scored_names(tmp_path) is None


def test_a_core_that_was_called_missing_later_makes_scores_old(tmp_path: Path) -> None:
    _scored(tmp_path)
    first, *rest = read_tissue_cores(tmp_path / "cores.csv")
    write_tissue_cores(tmp_path / "cores.csv", [replace(first, status=CoreStatus.MISSING), *rest])
    assert doubt_about_scored_names(tmp_path) is not None


def _scored(folder: Path) -> None:
    _slide(folder)
    settings = RunSettings(shows_why=False)
    score([folder], folder, slide="S", classifier=load_model(), settings=settings)


def _slide(
    folder: Path, drawn_as: tuple[Score, Score] = (Score.THREE, Score.ZERO)
) -> dict[str, Rgb]:
    """Two drawn cores and a place without one, as the step before leaves them."""
    with MosaicWriter(folder / "mosaic.ome.zarr", (256, 256), _PIXEL_UM) as mosaic:
        mosaic.write_rows(np.full((256, 256, 3), 240, np.uint8))
    (folder / "cores").mkdir()
    pictures = {}
    for seed, name in enumerate(name for name in _NAMES if name != _MISSING):
        drawn = draw_core(
            drawn_as[seed],
            diameter_um=800.0,
            pixel_size_um=_PIXEL_UM,
            rng=np.random.default_rng(seed),
            appearance=Appearance(),
        )
        pictures[name] = drawn.rgb
        cv2.imwrite(str(folder / "cores" / f"{name}.png"), drawn.rgb[..., ::-1])
    cv2.imwrite(str(folder / "cores" / "overview.png"), np.full((60, 60, 3), 240, np.uint8))
    cores = [_core(name) for name in _NAMES]
    write_tissue_cores(folder / "cores.csv", cores)
    write_core_grid(folder / "cores.json", _grid(cores))
    return pictures


def _core(name: str) -> TissueCore:
    is_missing = name == _MISSING
    return TissueCore(
        name=CoreName.parse(name),
        x_px=100.0 + 20 * _NAMES.index(name),
        y_px=100.0,
        diameter_px=500.0,
        status=CoreStatus.MISSING if is_missing else CoreStatus.OK,
        tissue_fraction=0.0 if is_missing else 0.9,
        focus=0.5,
        confidence=0.9,
        label=None,
        source=PlaceSource.AUTO,
    )


def _grid(cores: Sequence[TissueCore]) -> CoreGrid:
    return CoreGrid(
        rows=2,
        columns=2,
        layout=(),
        orientation="as-scanned",
        placement_margin=12.0,
        needs_confirmation=False,
        names_from="map",
        pixel_size_um=_PIXEL_UM,
        diameter_px=cores[0].diameter_px,
        pitch_px=(700.0, 700.0),
        tilt_deg=0.0,
        white=(240.0, 240.0, 240.0),
        research_use_only=RESEARCH_USE_ONLY,
    )
