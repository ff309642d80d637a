"""What is known of a scan: `recording.json`. Every field may be absent; all are first guesses."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import pydantic

from blurryscope.artifacts.whole import present_file, write_text_whole
from blurryscope.artifacts.wrong_field import wrong_field
from blurryscope.basics.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The scan as the rig saw it. None means unknown; the stitcher measures and overrides."""

    slide: str | None = None
    repeat: int | None = None
    pixel_size_um: float | None = None
    speed_um_per_s: float | None = None
    exposure_s: float | None = None
    frame_rate_hz: float | None = None
    lane_pitch_um: float | None = None
    rest_s: float | None = None
    """How long the stage stands between the end of a lane and the next: rests, step and talk."""
    lane_starts_s: tuple[float, ...] | None = None
    """When the stage set off on each lane by its own answers, on the film's clock. All may be late
    by the same few milliseconds, which such answers take."""
    skew_deg: float | None = None
    """How far the stage's axes are from a right angle: the angle from x to y, less 90 degrees, in
    a picture of the slide that is not mirrored."""
    is_mirrored: bool | None = None
    """Whether the camera sees the slide in a mirror."""
    rig: str | None = None
    versions: dict[str, str] = field(default_factory=dict)


class _OnDisk(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    slide: str | None = None
    repeat: int | None = pydantic.Field(default=None, ge=1)
    pixel_size_um: float | None = pydantic.Field(default=None, gt=0)
    speed_um_per_s: float | None = pydantic.Field(default=None, gt=0)
    exposure_s: float | None = pydantic.Field(default=None, gt=0)
    frame_rate_hz: float | None = pydantic.Field(default=None, gt=0)
    lane_pitch_um: float | None = pydantic.Field(default=None, gt=0)
    rest_s: float | None = pydantic.Field(default=None, gt=0)
    lane_starts_s: tuple[float, ...] | None = None
    skew_deg: float | None = pydantic.Field(default=None, gt=-10, lt=10)
    is_mirrored: bool | None = None
    rig: str | None = None
    versions: dict[str, str] = pydantic.Field(default_factory=dict)


def read_recording(path: Path) -> Recording:
    """Read `recording.json`; an `InputError` names the first field that cannot be used."""
    try:
        text = present_file(path, "Give the scan's recording.json, or go without").read_bytes()
        stored = _OnDisk.model_validate_json(text)
    except pydantic.ValidationError as error:
        place, problem = wrong_field(error)
        raise InputError(
            f"{path}, {place}", problem, "Correct it, or delete the file to go without"
        ) from error
    return Recording(**stored.model_dump())


def write_recording(path: Path, recording: Recording) -> None:
    """Write `recording.json`, whole or not at all."""
    stored = _OnDisk(**asdict(recording))
    write_text_whole(path, stored.model_dump_json(indent=2) + "\n")
