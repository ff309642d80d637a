"""How a result came about: versions, settings, checksums of what went in. `provenance.json`."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import pydantic

from blurryscope.artifacts.whole import present_file, write_text_whole
from blurryscope.artifacts.wrong_field import wrong_field
from blurryscope.basics.errors import InputError

_PACKAGES = (
    "blurryscope",
    "numpy",
    "scipy",
    "opencv-python-headless",
    "av",
    "zarr",
    "torch",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Enough to say whether two results were made the same way."""

    settings: Mapping[str, object]
    inputs_sha256: Mapping[str, str]
    """File name to checksum; the name only, never the folder, which may name a patient."""
    model_sha256: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


class _OnDisk(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    settings: dict[str, object]
    inputs_sha256: dict[str, str]
    model_sha256: str | None = None
    versions: dict[str, str] = pydantic.Field(default_factory=dict)


def current_versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result."""
    return {"python": platform.python_version()} | {
        name: metadata.version(name) for name in _PACKAGES
    }


def sha256_of_file(path: Path) -> str:
    """Checksum of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_provenance(path: Path, provenance: Provenance) -> None:
    """Write `provenance.json`; the same inputs give the same bytes."""
    stored = {
        "versions": dict(provenance.versions),
        "settings": dict(provenance.settings),
        "inputs_sha256": dict(provenance.inputs_sha256),
        "model_sha256": provenance.model_sha256,
    }
    write_text_whole(path, json.dumps(stored, indent=2, sort_keys=True) + "\n")


def read_provenance(path: Path) -> Provenance:
    """Read `provenance.json`; an `InputError` names the field that cannot be used."""
    text = present_file(path, "Run the slide again").read_bytes()
    try:
        return Provenance(**_OnDisk.model_validate_json(text).model_dump())
    except pydantic.ValidationError as error:
        place, problem = wrong_field(error)
        raise InputError(f"{path}, {place}", problem, "Run the slide again") from error
