"""Pictures as a cheap camera sends them: JPEGs, decoded when looked at, filmed as they came."""

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from blurryscope.artifacts.video import ArrayFrame, address_of
from blurryscope.basics.errors import OutputError
from blurryscope.basics.image import Rgb
from blurryscope.devices.contracts import CameraFrame
from blurryscope.devices.errors import CameraError

_BEGIN, _END, _SCAN = b"\xff\xd8", b"\xff\xd9", 0xDA
"""Markers: of the beginning, of the end, and of the pixels, in which neither of the two occurs."""
_TICK_S = Fraction(1, 1000)
"""Matroska keeps times to the millisecond."""


@dataclass(frozen=True, slots=True)
class JpegPicture:
    """A `Frame` that is still a JPEG; each look decodes it."""

    index: int
    time_s: float
    jpeg: bytes

    def luma(self) -> NDArray[np.uint8]:
        return self._decoded(cv2.IMREAD_GRAYSCALE)

    def rgb(self) -> Rgb:
        return self._decoded(cv2.IMREAD_COLOR_RGB)

    def small_rgb(self, size_px: tuple[int, int]) -> Rgb:
        return ArrayFrame(self.index, self.time_s, self.rgb()).small_rgb(size_px)

    def _decoded(self, flags: int) -> NDArray[np.uint8]:
        coded = np.frombuffer(self.jpeg, np.uint8)
        pixels = cv2.imdecode(coded, flags) if len(coded) else None
        if pixels is None:
            raise CameraError(
                f"frame {self.index} of the camera",
                "is damaged and cannot be decoded",
                "Shorten the USB cable or lower the frame rate",
            )
        return np.asarray(pixels, np.uint8)


def is_whole(jpeg: bytes) -> bool:
    """Whether a JPEG has its beginning and its end, which is what USB loses of a frame.

    Behind the end some cameras fill up, with whatever they have and to any length.
    """
    pixels = _pixels_begin(jpeg)
    if pixels is None:
        return False
    end, next_begin = jpeg.find(_END, pixels), jpeg.find(_BEGIN, pixels)
    return end >= 0 and not 0 <= next_begin < end


def _pixels_begin(jpeg: bytes) -> int | None:
    """Where the head is over, in which a small picture with an end of its own may lie."""
    if not jpeg.startswith(_BEGIN):
        return None
    at = len(_BEGIN)
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] == _SCAN:
            return at + 2 + length
        at += 2 + length
    return None


def to_jpeg(rgb: Rgb, quality: int = 92) -> bytes:
    """Code a picture, (row, col, rgb) uint8; for cameras that send something else."""
    is_coded, coded = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not is_coded:
        raise ValueError(f"a picture of shape {rgb.shape} cannot be coded as JPEG")
    return coded.tobytes()


class JpegFilm:
    """Writes the frames of a camera into a Matroska file, each JPEG as it came, with its own time.

    Opens in `with`. What was written stays readable when the program or the machine dies. A full
    disk is an `OutputError`; the frames before it are in the file.
    """

    def __init__(self, path: Path, size_px: tuple[int, int], frame_rate_hz: float) -> None:
        self.path = path
        self.frame_count = 0
        self._rows, self._columns = size_px
        self._rate_hz = Fraction(frame_rate_hz).limit_denominator(1001)
        self._last_tick = -1
        self._first_s: float | None = None

    def __enter__(self) -> Self:
        try:
            # Clusters of a second at most, flushed: no more than that is lost in a crash.
            self._container: OutputContainer = av.open(
                address_of(self.path),
                "w",
                format="matroska",
                options={"flush_packets": "1", "cluster_time_limit": "1000"},
            )
        except OSError as error:
            raise self._full(error) from error
        stream = self._container.add_stream("mjpeg", rate=self._rate_hz)
        if not isinstance(stream, VideoStream):
            raise TypeError("mjpeg must be a video codec")
        self._stream = stream
        self._stream.width, self._stream.height = self._columns, self._rows
        self._stream.pix_fmt = "yuvj420p"
        self._stream.codec_context.time_base = _TICK_S
        return self

    def write(self, frame: CameraFrame) -> None:
        """Append one frame; the film begins with the first one's time."""
        if self._first_s is None:
            self._first_s = frame.time_s
        packet = Packet(frame.jpeg if frame.jpeg is not None else to_jpeg(frame.rgb()))
        tick = max(round((frame.time_s - self._first_s) / _TICK_S), self._last_tick + 1)
        packet.stream = self._stream
        packet.time_base = _TICK_S
        packet.pts = packet.dts = self._last_tick = tick
        packet.is_keyframe = True
        try:
            self._container.mux(packet)
        except OSError as error:
            raise self._full(error) from error
        self.frame_count += 1

    def keep(self) -> None:
        """Have the system put on the disk what it was given: a power cut then takes none of it."""
        if not self.frame_count:
            return  # the file comes with the first frame
        try:
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise self._full(error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._container.close()
        except OSError as failure:
            if kind is None:
                raise self._full(failure) from failure

    def _full(self, error: OSError) -> OutputError:
        return OutputError(
            self.path,
            f"cannot be written ({error.strerror or error})",
            f"Free some space and run the same command again; {self.frame_count} frames are in the "
            "file",
        )
