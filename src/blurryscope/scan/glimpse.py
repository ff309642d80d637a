"""Pictures for whoever looks at a scan meanwhile: the newest frame, what was filmed so far."""

import contextlib
from pathlib import Path


def show(path: Path, jpeg: bytes) -> None:
    """Put a picture in the place of the one before, whole or not at all.

    One that cannot be written is not worth a scan: the film tells when the disk is full, and a
    viewer that keeps the old one open will close it.
    """
    partial = path.with_name(f".{path.name}.partial")
    with contextlib.suppress(OSError):
        partial.write_bytes(jpeg)
        partial.replace(path)
