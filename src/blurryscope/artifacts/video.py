"""Films: frames with their times, from MP4, AVI, MKV or MOV, in whatever codec PyAV reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.image import Rgb


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
        """Brightness, (row, col); free of charge for most codecs."""
        ...

    def rgb(self) -> Rgb:
        """Colour, (row, col, rgb)."""
        ...


@dataclass(frozen=True, slots=True)
class ArrayFrame:
    """A frame that is already an array."""

    index: int
    time_s: float
    pixels: Rgb

    def luma(self) -> NDArray[np.uint8]:
        weights = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
        return np.rint(self.pixels.astype(np.float32) @ weights).astype(np.uint8)

    def rgb(self) -> Rgb:
        return self.pixels


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A frame as the decoder left it; colour is converted only when asked for."""

    index: int
    time_s: float
    picture: VideoFrame

    def luma(self) -> NDArray[np.uint8]:
        if not self.picture.format.name.startswith(("yuv", "nv12", "gray")):
            return ArrayFrame(self.index, self.time_s, self.rgb()).luma()
        plane = self.picture.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        return rows[:, : plane.width]

    def rgb(self) -> Rgb:
        return self.picture.to_ndarray(format="rgb24")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What the container says of itself; `frame_count` is a hint and may be 0."""

    width_px: int
    height_px: int
    frame_rate_hz: float
    frame_count: int
    codec: str


class Video:
    """A film on disk. Opens in `with`; iterating gives `DecodedFrame`s in order.

    A damaged end is not an error while frames come: `damage` then says what the decoder met.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: str | None = None

    def __enter__(self) -> Self:
        if not self.path.is_file():
            raise MissingInputError(self.path, "no such file", "Check the path of the video")
        try:
            self._container: InputContainer = av.open(str(self.path))
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
        rate = self._stream.average_rate or self._stream.base_rate or 30
        return VideoInfo(
            width_px=context.width,
            height_px=context.height,
            frame_rate_hz=float(rate),
            frame_count=self._stream.frames,
            codec=context.name,
        )

    def __iter__(self) -> Iterator[DecodedFrame]:
        rate_hz = self.info.frame_rate_hz
        time_s = -1.0 / rate_hz
        index = 0
        pictures = self._container.decode(self._stream)
        while True:
            try:
                picture = next(pictures)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                self.damage = f"after frame {index - 1}: {_reason(error)}"
                return
            # PyAV reports no time for some AVI files; then the nominal rate has to do.
            later_s = picture.time if picture.time is not None else time_s + 1.0 / rate_hz
            time_s = later_s if later_s > time_s else time_s + 1.0 / rate_hz
            yield DecodedFrame(index, time_s, picture)
            index += 1


class VideoWriter:
    """Writes frames with their own times. Opens in `with`; the file is complete after it."""

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
        self._frame_rate_hz = frame_rate_hz
        self._codec = codec
        self._options = options or {}

    def __enter__(self) -> Self:
        self._container: OutputContainer = av.open(str(self.path), "w")
        stream = self._container.add_stream(self._codec, rate=round(self._frame_rate_hz))
        if not isinstance(stream, VideoStream):
            raise ValueError(f"codec must be a video codec, got {self._codec}")
        self._stream = stream
        self._stream.width, self._stream.height = self._columns, self._rows
        # MJPEG and FFV1 have their own preferred formats; 4:2:0 plays everywhere else.
        formats = {"mjpeg": "yuvj420p", "ffv1": "yuv444p"}
        self._stream.pix_fmt = formats.get(self._codec, "yuv420p")
        self._stream.options = self._options
        self._last_tick = -1
        return self

    def write(self, rgb: Rgb, time_s: float) -> None:
        """Append one frame, (row, col, rgb) uint8; times are kept to a millisecond or better."""
        picture = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        base = self._stream.codec_context.time_base or self._stream.time_base
        if base is None:
            base = 1 / self._frame_rate_hz  # type: ignore[assignment]
        tick = max(round(time_s / float(base)), self._last_tick + 1)
        self._last_tick = tick
        picture.pts = tick
        picture.time_base = base
        self._container.mux(self._stream.encode(picture))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
