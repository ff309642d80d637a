"""Where the repeats of a slide lie: `repeat-1`, `repeat-2`, … in its folder."""

import re
from pathlib import Path

_REPEAT = re.compile(r"repeat-([1-9][0-9]*)")


def repeat_folder(slide_dir: Path, number: int) -> Path:
    """The folder of a repeat; `number` counts from 1."""
    return slide_dir / f"repeat-{number}"


def repeats_in(slide_dir: Path) -> dict[int, Path]:
    """The folders of repeats that are there, by number and in its order.

    A copy beside them, `repeat-1 old`, is none: one scan counted twice would look twice as sure.
    """
    named = ((_REPEAT.fullmatch(path.name), path) for path in slide_dir.glob("repeat-*"))
    numbered = {int(match[1]): path for match, path in named if match and path.is_dir()}
    return dict(sorted(numbered.items()))
