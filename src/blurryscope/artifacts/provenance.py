"""How a result came about: versions, settings, checksums of what went in. `provenance.json`."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from blurryscope.artifacts.whole import write_text_whole

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
    """Read what `write_provenance` wrote."""
    return Provenance(**json.loads(path.read_text(encoding="utf-8")))
