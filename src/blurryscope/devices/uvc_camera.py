"""A USB camera (UVC) through PyAV: its JPEGs as they come, with the kernel's own times."""

import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from blurryscope.artifacts.video import DecodedFrame, Frame
from blurryscope.basics.clock import Clock, SystemClock
from blurryscope.devices.contracts import CameraFrame, CameraSettings
from blurryscope.devices.errors import (
    CameraError,
    CameraFrozenError,
    DeviceGoneError,
    DeviceMissingError,
    SettingsRefusedError,
)
from blurryscope.devices.jpeg import JpegPicture, is_whole
from blurryscope.devices.v4l2_controls import Controls, V4l2Controls, lock_settings, read_settings

_PATIENCE_S = 2.0
_BUFFERED_FRAMES = 30
_SAME_CLOCK_S = 60.0
"""Times of the kernel lie this near to the clock's when both count the same seconds."""
_JPEGS = {"input_format": "mjpeg"}
_FORMATS = {"linux": "v4l2", "win32": "dshow", "darwin": "avfoundation"}

OpenStream = Callable[[str, CameraSettings], InputContainer]
"""Opens a device by name with a size and a rate; another one stands in for hardware in tests."""


OpenContainer = Callable[..., InputContainer]
"""`av.open`."""


def open_device(
    device: str, settings: CameraSettings, open_container: OpenContainer = av.open
) -> InputContainer:
    """Open a camera of this system, for JPEGs where it has them."""
    options = {"video_size": f"{settings.columns}x{settings.rows}"}
    if settings.frame_rate_hz is not None:
        options["framerate"] = f"{settings.frame_rate_hz:g}"
    name = _FORMATS.get(sys.platform, "v4l2")
    if sys.platform == "linux":
        options["timestamps"] = "default"
        with contextlib.suppress(av.error.ArgumentError):  # it has no JPEGs
            return open_container(device, format=name, options=options | _JPEGS)
    return open_container(device, format=name, options=options)


@dataclass(frozen=True, slots=True)
class _End:
    """The last thing that the reading thread says."""

    error: Exception | None


@dataclass(frozen=True, slots=True)
class _Arrival:
    """What the camera sent."""

    content: bytes
    stamped_s: float | None
    """When, as the kernel says."""
    arrived_s: float
    picture: VideoFrame | None
    """Decoded already, because it was no JPEG."""


_Arrivals = queue.Queue[_Arrival | _End]


class UvcCamera:
    """A `Camera` on USB. Only one program can have it.

    Parameters
    ----------
    device
        `/dev/video0`; on Windows `video=Name`, on macOS `0`.
    asked
        The size and rate that it is opened with.
    clock
        On Linux frames carry the kernel's monotonic time, which is the system clock's; elsewhere,
        and on other clocks, the time of arrival stands in.
    """

    def __init__(
        self,
        device: str,
        asked: CameraSettings,
        *,
        clock: Clock | None = None,
        controls: Controls | None = None,
        open_stream: OpenStream = open_device,
    ) -> None:
        self._device = device
        self._asked = replace(asked, columns=asked.columns or 640, rows=asked.rows or 480)
        self._clock = clock or SystemClock()
        self._controls = controls or V4l2Controls(Path(device))
        self._open_stream = open_stream
        self._size = (0, 0)
        self._rate_hz: float | None = None

    def __enter__(self) -> Self:
        """Open it once, to see that it is there and what it gives."""
        with closing(self._opened()) as container:
            stream = container.streams.video[0]
            self._size = (stream.codec_context.height, stream.codec_context.width)
            rate = stream.average_rate or stream.base_rate
            self._rate_hz = float(rate) if rate else None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing stays open between streams."""

    @property
    def name(self) -> str:
        return f"USB camera on {self._device}"

    @property
    def settings(self) -> CameraSettings:
        rows, columns = self._size
        knobs = read_settings(self._controls)
        return replace(knobs, columns=columns, rows=rows, frame_rate_hz=self._rate_hz)

    def configure(self, wanted: CameraSettings) -> CameraSettings:
        has = self.settings
        for name in ("columns", "rows", "frame_rate_hz"):
            value = getattr(wanted, name)
            if value is not None and value != getattr(has, name):
                raise SettingsRefusedError(
                    self._device,
                    f"was opened with {name} = {getattr(has, name)}, {value} was asked for",
                    "Open it with that, or ask for what it has",
                )
        lock_settings(self._device, self._controls, wanted)
        return self.settings

    def frames(self) -> Generator[CameraFrame, None, None]:
        arrived: _Arrivals = queue.Queue(_BUFFERED_FRAMES)
        is_over = threading.Event()
        reader = threading.Thread(
            target=self._read, args=(arrived, is_over), name="USB camera", daemon=True
        )
        reader.start()
        try:
            yield from self._ordered(arrived)
        finally:
            is_over.set()
            reader.join(_PATIENCE_S)  # one that hangs in the kernel ends when the cable is pulled

    def grab(self) -> CameraFrame:
        asked_s = self._clock.monotonic_s()
        with closing(self.frames()) as frames:
            for frame in frames:
                if frame.time_s >= asked_s and (frame.jpeg is None or is_whole(frame.jpeg)):
                    return frame
        raise DeviceGoneError(self._device, "sends no frames", "Check its cable")

    def _ordered(self, arrived: _Arrivals) -> Generator[CameraFrame, None, None]:
        watch = _Watch(self._device, self._rate_hz or 30.0)
        index, before_s = 0, None
        while True:
            try:
                item = arrived.get(timeout=_PATIENCE_S)
            except queue.Empty:
                raise watch.frozen(f"has sent no picture for {_PATIENCE_S:.0f} s") from None
            if isinstance(item, _End):
                if item.error is not None:
                    raise DeviceGoneError(
                        self._device, "is gone", "Plug it in again and begin the lane again"
                    ) from item.error
                return
            time_s = _time_of(item)
            if before_s is not None and time_s <= before_s:
                continue  # the same picture once more
            watch.look(item)
            lost_count = watch.missing(before_s, time_s)
            yield _frame(index, time_s, item, lost_count)
            index, before_s = index + 1, time_s

    def _read(
        self,
        arrived: _Arrivals,
        is_over: threading.Event,
    ) -> None:
        """Take packets from the kernel as they come; in a thread, for that may block for ever."""
        end = _End(None)
        try:
            with closing(self._opened()) as container:
                for packet in container.demux(container.streams.video[0]):
                    if is_over.is_set():
                        return
                    if packet.size:
                        for arrival in _arrivals(packet, self._clock.monotonic_s()):
                            _put(arrived, arrival, is_over)
        except (av.error.FFmpegError, OSError, DeviceMissingError) as error:
            end = _End(error)
        _put(arrived, end, is_over)

    def _opened(self) -> InputContainer:
        try:
            container = self._open_stream(self._device, self._asked)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise DeviceMissingError(
                self._device,
                f"cannot be opened as a camera ({getattr(error, 'strerror', None) or error})",
                "Linux: sudo usermod -a -G video $USER, then log in anew"
                if isinstance(error, PermissionError)
                else "Check the cable and the name, and close other programs that use it",
            ) from error
        if not container.streams.video:
            container.close()
            raise DeviceMissingError(self._device, "gives no pictures", "Choose another device")
        return container


def _put(arrived: _Arrivals, item: _Arrival | _End, is_over: threading.Event) -> None:
    """Wait for room as long as somebody listens; frames lost meanwhile show in the times."""
    while not is_over.is_set():
        try:
            arrived.put(item, timeout=0.1)
        except queue.Full:
            continue
        return


def _arrivals(packet: "Packet[VideoStream]", arrived_s: float) -> Iterator[_Arrival]:
    """What a packet brings: one JPEG, or what the decoder makes of it, at first maybe nothing.

    Of one that came in half the decoder makes nothing: the gap in the times then shows a loss.
    """
    pictures: Sequence[VideoFrame | None] = [None]
    if packet.stream.codec_context.name != "mjpeg":
        try:
            pictures = packet.decode()
        except av.error.FFmpegError:
            return
    for picture in pictures:
        counted = packet if picture is None else picture
        stamped_s = None
        if counted.pts is not None and counted.time_base is not None:
            stamped_s = float(counted.pts * counted.time_base)
        yield _Arrival(
            content=bytes(packet), stamped_s=stamped_s, arrived_s=arrived_s, picture=picture
        )


def _time_of(item: _Arrival) -> float:
    if item.stamped_s is None or abs(item.stamped_s - item.arrived_s) > _SAME_CLOCK_S:
        return item.arrived_s
    return item.stamped_s


def _frame(index: int, time_s: float, item: _Arrival, lost_count: int) -> CameraFrame:
    picture: Frame
    if item.picture is None:
        picture = JpegPicture(index, time_s, item.content)
    else:
        picture = DecodedFrame(index, time_s, item.picture)
    jpeg = item.content if item.picture is None else None
    return CameraFrame(
        index=index, time_s=time_s, picture=picture, jpeg=jpeg, lost_count=lost_count
    )


class _Watch:
    """Notices frames that are missing or half, and a camera that repeats itself."""

    def __init__(self, device: str, rate_hz: float) -> None:
        self._device = device
        self._rate_hz = rate_hz
        self._last: bytes = b""
        self._alike_count = 0
        self._half_count = 0

    def look(self, item: _Arrival) -> None:
        """Noise makes every picture different; bytes that stay the same come from nowhere."""
        self._alike_count = self._alike_count + 1 if item.content == self._last else 0
        self._last = item.content
        if self._alike_count > _PATIENCE_S * self._rate_hz:
            raise self.frozen("sends the same picture again and again")
        is_half = item.picture is None and not is_whole(item.content)
        self._half_count = self._half_count + 1 if is_half else 0
        if self._half_count > _PATIENCE_S * self._rate_hz:
            raise CameraError(
                self._device,
                f"has sent no whole picture for {_PATIENCE_S:.0f} s: each JPEG lacks its end",
                "Use a shorter USB cable, another socket or a lower frame rate; if that does not "
                "help, this camera never sends the end, and another one is needed",
            )

    def missing(self, before_s: float | None, time_s: float) -> int:
        """How many frames would have had room in between."""
        if before_s is None:
            return 0
        return max(round((time_s - before_s) * self._rate_hz) - 1, 0)

    def frozen(self, how: str) -> CameraFrozenError:
        return CameraFrozenError(
            self._device, how, "Unplug the camera, plug it in again, and begin the lane again"
        )
