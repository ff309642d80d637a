"""The film of a scan: written in parts that survive anything, then joined to one whole film."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
from av.packet import Packet
from av.video.stream import VideoStream

from blurryscope.artifacts.video import address_of
from blurryscope.artifacts.whole import whole_file
from blurryscope.basics.errors import InputError
from blurryscope.scan.past import FilmPart

FILM = "scan.mkv"
PARTS = "parts"
_NOT_YET_WRITTEN = 1
"""The newest frame waits for the next one before it goes into the file."""


def part_name(number: int) -> str:
    """The file of a part, counted from 1."""
    return f"part-{number:03d}.mkv"


def refuse_damaged(folder: Path, parts: Sequence[FilmPart]) -> None:
    """Raise `InputError` where a part is gone or holds fewer frames than the journal counts on.

    Whatever is filmed after it would be in vain, and a film of what is left would be too short.
    """
    for part in parts:
        path = folder / PARTS / part.file
        held = _frame_count(path) if part.kept_frames else 0
        if held < part.kept_frames - _NOT_YET_WRITTEN:
            raise InputError(
                path,
                f"holds {held} of {part.kept_frames} frames that count",
                "Move this scan away, and scan again",
            )


def _frame_count(path: Path) -> int:
    """Of frames that can be read from the beginning; 0 where there is no film."""
    try:
        with av.open(address_of(path)) as film:
            return sum(packet.pts is not None for packet in film.demux(film.streams.video[0]))
    except (av.error.FFmpegError, IndexError):  # the latter: no pictures in it
        return 0


def join_parts(folder: Path, parts: Sequence[FilmPart], frame_rate_hz: float) -> dict[str, float]:
    """Join the finished lanes of all parts to `scan.mkv`, whole or not at all; the parts stay.

    Pictures are copied as they are. Where one part follows another a frame's time passes. Gives
    when each part begins in the film, in seconds, by its file.
    """
    target = folder / FILM
    begins_s: dict[str, float] = {}
    with (
        whole_file(target) as partial,
        av.open(address_of(partial), "w", format="matroska") as film,
    ):
        stream = None
        for file, packet, pts in _packets(folder / PARTS, parts, frame_rate_hz):
            if file not in begins_s and packet.time_base is not None:
                begins_s[file] = float(pts * packet.time_base)
            if stream is None:
                stream = film.add_stream_from_template(packet.stream)
            packet.stream = stream
            packet.pts = packet.dts = pts
            film.mux(packet)
        if stream is None:
            raise InputError(folder, "holds no finished lane", "Scan again into another folder")
    return begins_s


def drop_parts(folder: Path, parts: Sequence[FilmPart]) -> None:
    """Remove the parts of a scan whose journal says that it is done: its film has them all."""
    for part in parts:
        (folder / PARTS / part.file).unlink(missing_ok=True)


def _packets(
    folder: Path, parts: Sequence[FilmPart], frame_rate_hz: float
) -> Iterator["tuple[str, Packet[VideoStream], int]"]:
    """All packets that count, with their part's file and their times in the whole film."""
    offset = 0
    for part in parts:
        if part.kept_frames == 0:
            continue
        last = offset
        with av.open(address_of(folder / part.file)) as film:
            stream = film.streams.video[0]
            base = stream.time_base
            gap = 1 if base is None else round(1 / frame_rate_hz / base)
            for number, packet in enumerate(film.demux(stream)):
                if packet.pts is None or number == part.kept_frames:
                    break
                last = offset + packet.pts
                yield part.file, packet, last
        offset = last + gap
