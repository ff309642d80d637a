"""Numbers for TensorBoard: its event files, written without it.

An event file is a row of records, each with its length and checksums before and after (the
TFRecord format), and each record is a small protobuf message: `Event` with the time, the step and
a `Summary` of tagged floats. Field numbers are those of `tensorflow/core/util/event.proto`.
"""

import struct
from collections.abc import Mapping
from pathlib import Path

_POLYNOMIAL = 0x82F63B78
"""CRC-32C, reflected."""
_MASK = 0xA282EAD8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class TensorBoardLog:
    """An event file that grows; TensorBoard joins several of one folder."""

    def __init__(self, folder: Path, started_s: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"events.out.tfevents.{started_s:.6f}.blurryscope"
        version = _field(1, _FIXED64, started_s) + _field(3, _BYTES, b"brain.Event:2")
        self._append(version)

    def write(self, step: int, time_s: float, values: Mapping[str, float]) -> None:
        """Append one event; `time_s` in seconds since 1970."""
        summary = b"".join(
            _field(1, _BYTES, _field(1, _BYTES, tag.encode()) + _field(2, _FIXED32, value))
            for tag, value in values.items()
        )
        self._append(
            _field(1, _FIXED64, time_s) + _field(2, _VARINT, step) + _field(5, _BYTES, summary)
        )

    def _append(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        record = length + _checksum(length) + event + _checksum(event)
        with self._path.open("ab") as file:
            file.write(record)


def _field(number: int, kind: int, value: float | bytes) -> bytes:
    key = _varint(number << 3 | kind)
    if isinstance(value, bytes):
        return key + _varint(len(value)) + value
    if kind == _VARINT:
        return key + _varint(int(value))
    return key + struct.pack("<d" if kind == _FIXED64 else "<f", value)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _checksum(content: bytes) -> bytes:
    crc = crc32c(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF)


def crc32c(content: bytes) -> int:
    """The Castagnoli checksum, as iSCSI and TFRecord use it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
