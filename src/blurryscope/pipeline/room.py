"""Whether what is still to be scanned has room on the disk."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from blurryscope.basics.errors import InputError
from blurryscope.pipeline.steps import MOSAIC, repeat_folders
from blurryscope.scan.estimate import estimate, in_bytes
from blurryscope.scan.plan import ScanPlan

_MOSAIC_BYTES_PER_PX = 2.0
"""With all its levels, packed; recorded scans gave 1.0 to 1.7."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomWanted:
    """A slide whose films and mosaics are to lie in a folder."""

    folder: Path
    plan: ScanPlan
    repeats: int

    def bytes_to_come(self) -> int:
        """What is not there yet; a film twice for a while, as its parts are joined."""
        told, results = estimate(self.plan), repeat_folders(self.folder, self.repeats)
        to_come = sum(not (folder / MOSAIC).exists() for folder in results)
        each = round(told.film_bytes + _MOSAIC_BYTES_PER_PX * told.mosaic_px)
        return to_come * each + (told.film_bytes if to_come else 0)


def refuse_full_disk(out: Path, wanted: Iterable[RoomWanted]) -> None:
    """Raise an `InputError` if what is still to be scanned into `out` has no room there."""
    slides = list(wanted)
    needed = sum(slide.bytes_to_come() for slide in slides)
    place = next(folder for folder in (out, *out.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    if needed <= free:
        return
    remedy = "Free some space, or choose another --out"
    guessed = [slide.plan.field for slide in slides if not slide.plan.field.is_measured]
    if guessed:
        remedy += (
            f" (reckoned with a guess of {guessed[0].pixel_size_um:g} µm per pixel: if there must "
            "be room, blurryscope calibrate measures it)"
        )
    raise InputError(
        out,
        f"has {in_bytes(free)} free, and the plan's films and mosaics need about "
        f"{in_bytes(needed)}",
        remedy,
    )
