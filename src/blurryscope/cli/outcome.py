"""What a slide's results are, told on the terminal in a few lines: what must not be overlooked."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blurryscope.artifacts.predictions import Decision


def say_outcome(slide_dir: Path, folders: Sequence[Path], *, quiet: bool) -> None:
    """Say how the slide in `slide_dir` came out, whose scans lie in `folders`."""
    from blurryscope.artifacts.predictions import read_results

    say_assumed_speed(folders[0])
    say_doubts(folders)
    if not quiet:
        decisions = [result.decision for result in read_results(slide_dir / "results.csv")]
        print(_counted(decisions, "core", "the report"))
    for folder in folders:
        _say_rescan_count(folder)


def say_scored(table: Path) -> None:
    """Say how many scores were given: a table with empty fields does not catch the eye."""
    from blurryscope.artifacts.predictions import read_predictions

    decisions = [entry.decision for entry in read_predictions(table)]
    print(_counted(decisions, "picture", "the table"))


def _counted(decisions: "Sequence[Decision]", what: str, where: str) -> str:
    """How many were scored, and of the others as many as there are, by why."""
    from blurryscope.artifacts.predictions import Decision

    why = {
        Decision.INDETERMINATE: "not sure enough for a score",
        Decision.REFER: "unlike what the network knows or too pale",
        Decision.WITHHELD: "not fit for a score or without tissue",
    }
    counts = Counter(decisions)
    scored = counts[Decision.SCORED]
    others = [f"{counts[each]} {words}" for each, words in why.items() if counts[each]]
    reasons = f"; {where} gives each reason" if others else ""
    told = ", ".join([f"{scored} scored", *others])
    return f"of {len(decisions)} {what}{'' if len(decisions) == 1 else 's'}: {told}{reasons}"


def _say_rescan_count(folder: Path) -> None:
    from blurryscope.artifacts.scan_quality import read_rescans

    count = len(read_rescans(folder / "rescan.csv"))
    if count:
        places = "1 place" if count == 1 else f"{count} places"
        print(f"scan again: {places}, under To do in the report and in {folder / 'rescan.csv'}")


def say_assumed_speed(folder: Path) -> None:
    """Say that a mosaic's scale hangs on a speed that nobody told."""
    from blurryscope.artifacts.stitch_facts import read_stitch_facts
    from blurryscope.stitch.quality import ScaleSource

    facts = read_stitch_facts(folder / "stitch.json")
    scale = facts.get("pixel_size_um")
    if facts.get("pixel_size_source") == ScaleSource.ASSUMED_SPEED and isinstance(scale, float):
        print(
            f"pixel size: {scale:.3f} µm "
            "if the stage ran at 5 mm/s, as is assumed; if it did not, give --pixel-size-um"
        )


def say_rescans(folder: Path) -> None:
    """Say what the technician has to do while the slide still lies on the stage."""
    from blurryscope.artifacts.scan_quality import read_rescans

    rescans = read_rescans(folder / "rescan.csv")
    if rescans:
        print(f"scan again, see {folder / 'stitch-quality.png'}:")
    for entry in rescans:
        print(f"  {entry.problem}. {entry.action}")


def say_doubts(folders: Sequence[Path]) -> None:
    """Say on the terminal what must not be overlooked."""
    from blurryscope.artifacts.tissue_cores import read_core_grid

    for folder in folders:
        grid = read_core_grid(folder / "cores.json")
        if grid.needs_confirmation:
            print(f"{folder}: the names of its cores NEED CONFIRMATION:")
            for reason in grid.reasons:
                print(f"  {reason}")
            choice = folder / "cores" / "candidates.png"
            if choice.is_file() and grid.agrees_with_first is None:  # answers are about the first
                print(f"  {choice} shows what there is to choose from, and what to answer")
        else:
            for reason in grid.reasons:
                print(f"{folder}: {reason}")
