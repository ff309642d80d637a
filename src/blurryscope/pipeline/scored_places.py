"""Which places were scored under which names, so that no score is shown under a later name."""

from collections.abc import Sequence
from pathlib import Path

from blurryscope.artifacts.tissue_cores import (
    CoreStatus,
    TissueCore,
    read_core_grid,
    read_tissue_cores,
)
from blurryscope.artifacts.whole import write_text_whole
from blurryscope.basics.errors import InputError
from blurryscope.pipeline.steps import fingerprint_of, scanned_folders, stamp, stamp_path

_SCORED_PLACES = "scored-places"
SCORES = "scores.csv"


def why_unfit(core: TissueCore) -> str | None:
    """Why nothing can be computed for a place; None where its picture can be scored."""
    if core.status is CoreStatus.MISSING:
        return "no tissue at this place of the slide"
    if core.status is CoreStatus.NOT_SCANNED:
        return "this place of the slide was not scanned"
    if core.status is CoreStatus.UNSURE:
        return "hardly any tissue: perhaps a faint core, perhaps dirt"
    return None


def remember_scored_places(slide_dir: Path, folders: Sequence[Path]) -> None:
    """Write down what the scores of a slide belong to, once they are written."""
    write_text_whole(stamp_path(slide_dir, _SCORED_PLACES), _print_of(folders))


def doubt_about_scored_names(slide_dir: Path) -> str | None:
    """Why the scores of a slide may be another core's; None where they belong to its names.

    What does not change a score does not count: the map's own scores, locks, how a core is damaged.
    Scores without the note that `remember_scored_places` writes are doubted too: cores may have
    been named anew since, and nothing in the folder would tell.
    """
    folders = scanned_folders(slide_dir)
    if not folders or not (slide_dir / SCORES).is_file():
        return None
    scored = stamp(slide_dir, _SCORED_PLACES)
    if scored is None:
        return "does not tell under which names its cores were scored (older version, or a copy)"
    return None if scored == _print_of(folders) else "cores were named anew after scoring"


def refuse_scores_of_other_names(slide_dir: Path) -> None:
    """Old scores under new names would be another core's; an `InputError` says what to do."""
    doubt = doubt_about_scored_names(slide_dir)
    if doubt is not None:
        raise InputError(slide_dir, doubt, f"Run `blurryscope score {slide_dir}` first")


def _print_of(folders: Sequence[Path]) -> str:
    return fingerprint_of(
        [
            [read_core_grid(folder / "cores.json").agrees_with_first, *_places(folder)]
            for folder in folders
        ]
    )


def _places(folder: Path) -> list[list[str | None]]:
    return [
        [
            str(core.name),
            f"{core.x_px:.1f} {core.y_px:.1f} {core.diameter_px:.1f}",
            why_unfit(core),
        ]
        for core in sorted(
            read_tissue_cores(folder / "cores.csv", by_name_alone=True), key=lambda core: core.name
        )
    ]
