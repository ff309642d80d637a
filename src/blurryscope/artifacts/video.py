"""Films: frames with their times, from MP4, AVI, MKV or MOV, in whatever codec PyAV reads."""

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, cast

import av
import cv2
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from blurryscope.artifacts.whole import present_file
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb, to_uint8

_TICK_S = Fraction(1, 60_000)
"""Divides the frame times of 24, 25, 30, 50, 60 and 29.97 Hz; MPEG-4 allows 1/65535 at most."""


class Frame(Protocol):
    """One picture of the camera, from a file or from a camera that is filming now."""

    @property
    def index(self) -> int:
        """Counts from 0 in order of arrival."""
        ...

    @property
    def time_s(self) -> float:
        """When it was taken, on the source's own clock."""
        ...

    def luma(self) -> NDArray[np.uint8]:
        """Brightness, (row, col), in the range the source codes it; costs next to nothing."""
        ...

    def rgb(self) -> Rgb:
        """Colour, (row, col, rgb)."""
        ...

    def small_rgb(self, size_px: tuple[int, int]) -> Rgb:
        """Colour averaged down to (rows, columns); cheaper than shrinking `rgb`."""
        ...


@dataclass(frozen=True, slots=True)
class ArrayFrame:
    """A frame that is already an array."""

    index: int
    time_s: float
    pixels: Rgb

    def luma(self) -> NDArray[np.uint8]:
        weights = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
        return to_uint8(self.pixels.astype(np.float32) @ weights)

    def rgb(self) -> Rgb:
        return self.pixels

    def small_rgb(self, size_px: tuple[int, int]) -> Rgb:
        small = cv2.resize(self.pixels, size_px[::-1], interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8)


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A frame as the decoder left it; colour is converted only when asked for."""

    index: int
    time_s: float
    picture: VideoFrame
    is_mirrored: bool = False
    """Whether columns are given back in reverse."""

    def luma(self) -> NDArray[np.uint8]:
        if not _has_plain_luma(self.picture.format):
            return ArrayFrame(self.index, self.time_s, self.rgb()).luma()
        plane = self.picture.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8)
        return self._turned_back(rows.reshape(plane.height, plane.line_size)[:, : plane.width])

    def rgb(self) -> Rgb:
        whole = _reformatter().reformat(self.picture, format="rgb24", threads=1)
        return self._turned_back(np.asarray(whole.to_ndarray(), np.uint8))

    def small_rgb(self, size_px: tuple[int, int]) -> Rgb:
        rows, columns = size_px
        small = _reformatter(rows).reformat(
            self.picture, columns, rows, "rgb24", interpolation="AREA", threads=1
        )
        return self._turned_back(np.asarray(small.to_ndarray(), np.uint8))

    def _turned_back(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(pixels[:, ::-1]) if self.is_mirrored else pixels


_of_thread = threading.local()


def _reformatter(rows: int = 0) -> VideoReformatter:
    """A converter that is kept for each height, 0 for the whole picture.

    Setting one up takes up to ten times as long as its work. Threads of its own would cost more to
    wake than they save.
    """
    kept = _of_thread.__dict__.setdefault("reformatters", {})
    return cast(VideoReformatter, kept.setdefault(rows, VideoReformatter()))


def _has_plain_luma(pixel_format: VideoFormat) -> bool:
    """Whether the first plane is brightness, a byte a pixel: not RGB, not YUYV, not 10 bit."""
    return (
        pixel_format.name.startswith(("yuv", "nv12", "nv21", "gray"))
        and pixel_format.components[0].bits == 8
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What the container says of itself; `frame_count` is a hint and may be 0."""

    width_px: int
    height_px: int
    frame_rate_hz: float
    frame_count: int
    codec: str

    @property
    def picture_bytes(self) -> float:
        """About what a decoded frame takes: three bytes for two pixels (4:2:0)."""
        return 1.5 * self.width_px * self.height_px


class Video:
    """A film on disk. Opens in `with`; iterating gives `DecodedFrame`s in order.

    Damage is no error while frames come: `damage` then says what the decoder met first. Frames that
    lean on a lost one are left out; the others keep their times, so that the gap shows.

    Parameters
    ----------
    is_mirrored
        Whether the camera saw the slide in a mirror; every frame is then turned back.
    by_one_thread
        Whether only the thread that asks for frames decodes them. By the clock that takes longer,
        but a third less of the processor: for films that are read beside other work.
    """

    def __init__(
        self, path: Path, *, is_mirrored: bool = False, by_one_thread: bool = False
    ) -> None:
        self.path = path
        self.is_mirrored = is_mirrored
        self._by_one_thread = by_one_thread
        self.damage: str | None = None

    def __enter__(self) -> Self:
        present_file(self.path, "Check the path of the video")
        try:
            self._container: InputContainer = av.open(address_of(self.path))
        except (av.error.FFmpegError, ValueError) as error:
            raise InputError(
                self.path,
                f"cannot be read as a video ({_reason(error)})",
                "If the recording was cut off, repair or repeat it; MP4, AVI, MKV and MOV are read",
            ) from error
        if not self._container.streams.video:
            self._container.close()
            raise InputError(self.path, "holds no video stream", "Give the film of the scan")
        self._stream: VideoStream = self._container.streams.video[0]
        # The library's types do not say so, but a film cut within its head has no decoder.
        context: object = self._stream.codec_context
        if context is None:
            self._container.close()
            raise InputError(
                self.path,
                "is cut off before its pictures begin",
                "Repeat the scan, or copy the film again",
            )
        if self._by_one_thread:
            self._stream.codec_context.thread_count = 1
        else:
            self._stream.thread_type = "AUTO"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._container.close()

    @property
    def info(self) -> VideoInfo:
        context = self._stream.codec_context
        rate_hz = float(self._stream.average_rate or self._stream.base_rate or 30)
        lasts_s = (self._container.duration or 0) / av.time_base
        return VideoInfo(
            width_px=context.width,
            height_px=context.height,
            frame_rate_hz=rate_hz,
            # MKV, which our own films are, does not count them.
            frame_count=self._stream.frames or round(lasts_s * rate_hz),
            codec=context.name,
        )

    def __iter__(self) -> Iterator[DecodedFrame]:
        nominal_s = 1.0 / self.info.frame_rate_hz
        time_s = first_s = -nominal_s
        for index, picture in enumerate(self._pictures()):
            # Where a frame has no time, or that of the one before, the nominal rate has to do.
            stored_s = self._stored_time_s(picture)
            time_s = stored_s if stored_s > time_s else time_s + nominal_s
            first_s = time_s if index == 0 else first_s
            yield DecodedFrame(index, time_s, picture, self.is_mirrored)
        if self.damage is None:
            self._note_missing_end(time_s - first_s + nominal_s)

    def _pictures(self) -> Iterator[VideoFrame]:
        """What can be decoded. After damage it goes on at the next frame that leans on no other."""
        came, is_whole = 0, True
        size_px: tuple[int, int] | None = None
        for packet in self._packets():
            try:
                pictures = packet.decode()
            except av.error.FFmpegError as error:
                self.damage = self.damage or f"after frame {came - 1}: {_reason(error)}"
                is_whole = False
                continue
            for picture in pictures:
                size_px = size_px or (picture.height, picture.width)
                if (picture.height, picture.width) != size_px:
                    self.damage = self.damage or f"after frame {came - 1}: another picture size"
                    return
                is_whole = (is_whole or picture.key_frame) and not picture.is_corrupt
                if is_whole:
                    yield picture
                    came += 1
                else:
                    self.damage = self.damage or f"after frame {came - 1}: a broken picture"

    def _packets(self) -> Iterator["Packet[VideoStream]"]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                self.damage = self.damage or f"the file breaks off: {_reason(error)}"
                return
            yield packet

    def _note_missing_end(self, came_s: float) -> None:
        announced_s = self._announced_s()
        if came_s < announced_s - max(0.5, 0.02 * announced_s):
            self.damage = f"it ends after {came_s:.1f} s of the {announced_s:.1f} s it announces"

    def _announced_s(self) -> float:
        """How long the film says it is. MP4 and MKV store it; AVI stores the number of frames.

        Of an MP4 that was cut without coding it anew some frames are stored, and not to be shown.
        """
        counted_s = self._stream.frames / self.info.frame_rate_hz
        if self._stream.duration is not None and self._stream.time_base is not None:
            stored_s = float(self._stream.duration * self._stream.time_base)
            return max(stored_s, counted_s) if self._is_avi else stored_s
        is_alone = len(self._container.streams) == 1
        return max(counted_s, (self._container.duration or 0) / av.time_base if is_alone else 0.0)

    @property
    def _is_avi(self) -> bool:
        return self._container.format.name == "avi"

    def _stored_time_s(self, picture: VideoFrame) -> float:
        # AVI stores when a frame is decoded, not when it is shown; FFmpeg's guess of the latter
        # jumps back and forth where frames lean on later ones (B-frames).
        tick = picture.dts if self._is_avi else picture.pts
        if tick is None or picture.time_base is None:
            return -math.inf
        return float(tick * picture.time_base)


class VideoWriter:
    """Writes frames with their own times. Opens in `with`; the file is complete after it.

    MP4 and MOV keep times to 1/60000 s, MKV to the millisecond. AVI has no times but a frame
    rate: there a frame takes the next free place of the nominal rate.
    """

    def __init__(
        self,
        path: Path,
        size_px: tuple[int, int],
        frame_rate_hz: float,
        codec: str = "libx264",
        options: dict[str, str] | None = None,
    ) -> None:
        self.path = path
        self._rows, self._columns = size_px
        self._rate_hz = Fraction(frame_rate_hz).limit_denominator(1001)
        self._codec = codec
        self._options = options or {}

    def __enter__(self) -> Self:
        self._container: OutputContainer = av.open(address_of(self.path), "w")
        stream = self._container.add_stream(self._codec, rate=self._rate_hz, options=self._options)
        if not isinstance(stream, VideoStream):
            raise ValueError(f"codec must be a video codec, got {self._codec}")
        self._stream = stream
        self._stream.width, self._stream.height = self._columns, self._rows
        # MJPEG and FFV1 have their own preferred formats; 4:2:0 plays everywhere else.
        formats = {"mjpeg": "yuvj420p", "ffv1": "yuv444p"}
        self._stream.pix_fmt = formats.get(self._codec, "yuv420p")
        self._tick_s = 1 / self._rate_hz if self.path.suffix.lower() == ".avi" else _TICK_S
        self._stream.codec_context.time_base = self._tick_s
        if self.path.suffix.lower() == ".avi":
            self._stream.codec_context.max_b_frames = 0  # AVI cannot say that order and time differ
        self._last_tick = -1
        return self

    def write(self, rgb: Rgb, time_s: float) -> None:
        """Append one frame, (row, col, rgb) uint8, taken at `time_s` seconds, 0 or later."""
        picture = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        picture.pts = max(round(time_s / self._tick_s), self._last_tick + 1)
        picture.time_base = self._tick_s
        self._last_tick = picture.pts
        self._container.mux(self._stream.encode(picture))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


def address_of(path: Path) -> str:
    """From the root: a bare `10:30.mp4` would be an address, and `10` what it is fetched with."""
    return str(path.absolute())


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
