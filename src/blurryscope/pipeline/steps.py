"""What is done already in a slide's folder, and whose results lie there.

A finished step leaves a stamp, the checksum of its inputs and settings. The same command run again
skips the steps whose stamp still fits, so that a killed run goes on where it was. A folder is
claimed for one film before anything is written into it.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from blurryscope import __version__
from blurryscope.artifacts.provenance import sha256_of_file
from blurryscope.artifacts.repeat_folders import repeat_folder, repeats_in
from blurryscope.artifacts.whole import write_text_whole
from blurryscope.basics.errors import InputError, OutputError

MOSAIC = "mosaic.ome.zarr"
STITCH_FILES = (
    MOSAIC, "frames.csv", "recording.json", "stitch.json",
    "regions.csv", "rescan.csv", "stitch-quality.png",
)  # fmt: skip
CORE_FILES = ("cores", "cores.json", "cores.csv", "array")
SCORE_FILES = ("scores.csv", "results.csv")

_STAMPS = ".steps"
_ELSEWHERE = "Choose another --out, or move the old results away"


def remove_stitched(folder: Path) -> None:
    """Take back what stitching wrote, where it turns out to be of no scan that counts."""
    for name in STITCH_FILES:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def is_done(folder: Path, step: str, fingerprint: str, files: Sequence[str]) -> bool:
    """Whether a step was done from these inputs, and what it made is still there."""
    return stamp(folder, step) == fingerprint and all((folder / name).exists() for name in files)


def redo(folder: Path, step: str, fingerprint: str, work: Callable[[], object]) -> None:
    """Do a step and stamp it. While it writes there is no stamp: half of it is never taken as done.

    A refused input has written nothing, so what was stamped before then stays as it is.
    """
    before = stamp(folder, step)
    (folder / _STAMPS / step).unlink(missing_ok=True)
    try:
        work()
    except InputError:
        if before is not None:
            write_text_whole(folder / _STAMPS / step, before)
        raise
    write_text_whole(folder / _STAMPS / step, fingerprint)


def stamp_path(folder: Path, step: str) -> Path:
    """Where the stamp of a step lies."""
    return folder / _STAMPS / step


def stamp(folder: Path, step: str) -> str | None:
    """The stamp of a step, None where it was not finished."""
    path = stamp_path(folder, step)
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def fingerprint_of(*parts: object) -> str:
    """One checksum of settings and checksums; paths count by their names alone."""
    told = json.dumps([__version__, *map(plain, parts)], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def plain(value: object) -> object:
    """Reduce settings to what JSON can hold, paths to their names."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [plain(inner) for inner in value]
    if isinstance(value, Path):
        return value.name
    return value


def repeat_folders(out: Path, count: int) -> list[Path]:
    """Where each repeat of a slide goes: the slide's folder itself when there is only one."""
    return [out] if count == 1 else [repeat_folder(out, number) for number in range(1, count + 1)]


def scanned_folders(slide_dir: Path) -> list[Path]:
    """The stitched folders of a slide: itself, or its repeats in order; empty where none is."""
    if (slide_dir / MOSAIC).is_dir():
        return [slide_dir]
    return _stitched_repeats(slide_dir)


def prepare(out: Path, videos: Sequence[Path]) -> None:
    """Make the slide's folder, unless it holds something that would be overwritten.

    Raises `InputError` where the folder holds another film's results or repeats that were not
    given, `OutputError` where it cannot be made.
    """
    for video in videos:
        _refuse_folder_of_film(out, video)
    folders = repeat_folders(out, len(videos))
    repeats = _stitched_repeats(out)
    strangers = [folder.name for folder in repeats if folder not in folders]
    if strangers:
        raise InputError(
            out,
            f"already holds {len(repeats)} repeats, but {_films(len(videos))} given",
            "Give the films of all repeats in the same order, or choose another --out",
        )
    if len(videos) > 1 and (out / MOSAIC).exists():
        raise InputError(out, "already holds the results of a single film", _ELSEWHERE)
    for folder, video in zip(folders, videos, strict=True):
        refuse_other_film(folder, video)
    _make_folder(out)


def refuse_other_film(folder: Path, video: Path) -> None:
    """Never write one scan's results over another's."""
    if (folder / MOSAIC).exists() and stamp(folder, "film") != sha256_of_file(video):
        raise InputError(
            folder, f"already holds the results of another film than {video.name}", _ELSEWHERE
        )


def claim(folder: Path, video: Path) -> None:
    """Say whose results the folder will hold."""
    write_text_whole(folder / _STAMPS / "film", sha256_of_file(video))


def _refuse_folder_of_film(out: Path, video: Path) -> None:
    if out.resolve() == video.resolve().parent:
        raise InputError(
            out,
            f"is the folder of {video.name}, whose recording.json would be overwritten",
            "Choose another --out",
        )


def _stitched_repeats(out: Path) -> list[Path]:
    return [folder for folder in repeats_in(out).values() if (folder / MOSAIC).is_dir()]


def _films(count: int) -> str:
    return "one film was" if count == 1 else f"{count} films were"


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            out,
            f"cannot be made a folder for results ({error.strerror})",
            "Ask for the right to write there, or choose another folder",
        ) from error
