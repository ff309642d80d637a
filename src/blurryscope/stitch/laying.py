"""Placed lanes become the mosaic, beside whoever places the next: in a thread, or in a process.

Nothing that lays lanes tells anything back to where they are placed, so both go their own ways. A
thread takes the frames as they are. A process of its own has an interpreter of its own, which is
worth more than what it costs: it decodes the film a second time, because to be sent a frame takes
longer (decision 0030).
"""

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.mosaic import MosaicWriter
from blurryscope.artifacts.video import Frame, Video
from blurryscope.basics.ahead import ahead
from blurryscope.basics.errors import BlurryScopeError, InputError
from blurryscope.stitch.brightness import lane_brightness, shrunk_gain
from blurryscope.stitch.compose import Composer
from blurryscope.stitch.held_frames import FilmAgain
from blurryscope.stitch.placed_lane import Canvas, PlacedLane
from blurryscope.stitch.seams import TornSeam
from blurryscope.stitch.shading_drift import ShadingDrift

_LANES_UNDER_WAY = 4
"""One lane is laid while others are placed; more waiting than a few would cost memory."""
_BRIGHTNESS_REDUCTION = 8
_SURE_PITCH_FRACTION = 0.8
_BYTES_AHEAD, _LEAST_AHEAD = 30e6, 16
"""Of frames that a laying process decodes before it is asked for them: less than a lane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What must be known before the first lane can be laid."""

    folder: Path
    """Of the mosaic."""
    canvas: Canvas
    pixel_size_um: float
    gain: NDArray[np.float32] = field(repr=False)
    """Flat-field factor, (row, col, rgb)."""
    glass: NDArray[np.float64]
    """What empty glass looks like after the flat field, (3,) grey levels."""
    pitch_px: float
    overlap_px: float
    """Rows that neighbouring lanes share."""


class LaneLayer:
    """Lay lanes from top to bottom, then `finish`; opens in `with`.

    The mosaic appears in its folder when the block ends well after `finish`, and not else.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._is_finished = False

    def __enter__(self) -> Self:
        ground = self._ground
        self._stack = ExitStack().__enter__()
        self._writer = self._stack.enter_context(
            MosaicWriter(ground.folder, (None, ground.canvas.columns), ground.pixel_size_um)
        )
        self._composer = Composer(self._writer, ground.canvas, ground.gain, ground.overlap_px)
        self._small_gain = shrunk_gain(ground.gain, _BRIGHTNESS_REDUCTION)
        self._drift = ShadingDrift(self._small_gain)
        self._torn: list[TornSeam] = []
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and not self._is_finished:
            # The mosaic that is under way must not be taken for a whole one.
            kind, error = _UnfinishedError, _UnfinishedError()
        self._stack.__exit__(kind, error, trace)

    def lay(self, lane: PlacedLane) -> None:
        """Lay the next lane and write the rows above it."""
        rows, columns, _ = self._small_gain.shape
        smalls = [frame.small_rgb((rows, columns)) for frame in lane.frames]
        self._drift.follow(smalls)
        small_gain = self._drift.applied_to(self._small_gain)
        brightness = lane_brightness(lane, smalls, small_gain, self._ground.glass)
        gain = self._drift.applied_to(self._ground.gain)
        self._torn += self._composer.lay(lane, brightness, gain)
        # The next lane begins a pitch below, give or take what stages wander.
        top = float(lane.corners[0][0])
        self._composer.write_above(top + _SURE_PITCH_FRACTION * self._ground.pitch_px)

    def finish(self, pixel_size_um: float) -> list[TornSeam]:
        """Write what is left, with the pixel size as it has become known; gives torn seams."""
        self._composer.finish()
        self._writer.rescale(pixel_size_um)
        self._is_finished = True
        return self._torn


class _UnfinishedError(Exception):
    """Tells what writes the mosaic that its block did not end well; nobody sees it."""


class Laying(Protocol):
    """Lays lanes beside whoever places them. Opens in `with`: `begin`, `lay` each, `finish`.

    An error is raised by whichever call comes next. Where the block ends without `finish` nothing
    is left in the folder.
    """

    @property
    def film_again(self) -> FilmAgain | None:
        """How frames can be read once more, where lanes need not bring theirs."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def begin(self, ground: Ground) -> None:
        """Say where lanes will be laid."""
        ...

    def lay(self, lane: PlacedLane) -> None:
        """Hand over the next lane; waits while too many wait."""
        ...

    def finish(self, pixel_size_um: float) -> list[TornSeam]:
        """Wait until all lanes are laid and the mosaic is there; gives torn seams."""
        ...


class LayingThread:
    """Lays lanes in a second thread: `Laying` for a scan that still runs, and for short films."""

    film_again = None

    def __enter__(self) -> Self:
        self._stack = ExitStack().__enter__()
        self._under_way: deque[Future[None]] = deque()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def begin(self, ground: Ground) -> None:
        self._layer = self._stack.enter_context(LaneLayer(ground))
        self._helper = ThreadPoolExecutor(1, "compose")
        # Done last, undone first: nothing is laid any more when the mosaic is taken back.
        self._stack.callback(self._helper.shutdown, cancel_futures=True)

    def lay(self, lane: PlacedLane) -> None:
        while len(self._under_way) >= _LANES_UNDER_WAY:
            self._under_way.popleft().result()
        self._under_way.append(self._helper.submit(self._layer.lay, lane))

    def finish(self, pixel_size_um: float) -> list[TornSeam]:
        while self._under_way:
            self._under_way.popleft().result()
        torn = self._layer.finish(pixel_size_um)
        self._stack.close()
        return torn


class LayingProcess:
    """Lays lanes in a process of its own, which takes their frames from the film by itself.

    `Laying` for a film that is a whole file. Starts a fresh interpreter, so a script that stitches
    needs the usual `if __name__ == "__main__"`.
    """

    def __init__(self, film: Path, *, is_mirrored: bool = False) -> None:
        self._film = film
        self._is_mirrored = is_mirrored

    def __enter__(self) -> Self:
        starts = multiprocessing.get_context("spawn")
        self._asked, theirs = starts.Pipe()
        self._process = starts.Process(
            target=_lay_when_asked, args=(theirs, self._film, self._is_mirrored), daemon=True
        )
        self._process.start()
        theirs.close()  # so that the end of either side is the end of the line for the other
        self._waiting = 0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._asked.close()
        self._process.join()

    def film_again(self, indices: Sequence[int]) -> list[Frame]:
        """Read frames of the film once more; their numbers rise."""
        with Video(self._film, is_mirrored=self._is_mirrored, by_one_thread=True) as opened:
            return _taken(iter(opened), indices, self._film)

    def begin(self, ground: Ground) -> None:
        self._ask(ground)

    def lay(self, lane: PlacedLane) -> None:
        while self._waiting >= _LANES_UNDER_WAY:
            self._answer()
        self._ask(replace(lane, frames=()))
        self._waiting += 1

    def finish(self, pixel_size_um: float) -> list[TornSeam]:
        while self._waiting:
            self._answer()
        self._ask(pixel_size_um)
        self._waiting += 1
        torn = self._answer()
        self._process.join()
        return torn

    def _ask(self, what: Ground | PlacedLane | float) -> None:
        try:
            self._asked.send(what)
        except ConnectionError:
            while True:
                self._answer()  # the last one says why there are no more

    def _answer(self) -> list[TornSeam]:
        """What has become of the longest-waiting lane, or of the mosaic."""
        try:
            said: list[TornSeam] | BlurryScopeError = self._asked.recv()
        except (EOFError, ConnectionError) as error:
            raise RuntimeError(
                f"{self._film}: the process that lays lanes ended unasked "
                f"(exit code {self._ended()})"
            ) from error
        if isinstance(said, BlurryScopeError):
            raise said
        self._waiting -= 1
        return said

    def _ended(self) -> int | None:
        self._process.join()
        return self._process.exitcode


def _lay_when_asked(asker: "Connection[object, object]", film: Path, is_mirrored: bool) -> None:
    """What a laying process does: each request gets one answer, an error is the last."""
    # Who interrupts the asker interrupts this too, and the asker says what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The other core has the other process; pictures are too small for two threads.
    cv2.setNumThreads(1)
    with asker:
        try:
            _lay_all(asker, film, is_mirrored)
        except (EOFError, ConnectionError):
            return  # given up by the asker, who has closed the line
        except BlurryScopeError as error:
            asker.send(error)


def _lay_all(asker: "Connection[object, object]", film: Path, is_mirrored: bool) -> None:
    ground = cast(Ground, asker.recv())
    video = Video(film, is_mirrored=is_mirrored, by_one_thread=True)
    with video as opened, LaneLayer(ground) as layer:
        most = max(int(_BYTES_AHEAD / opened.info.picture_bytes), _LEAST_AHEAD)
        with closing(ahead(opened, most)) as frames:
            while isinstance(asked := asker.recv(), PlacedLane):
                layer.lay(replace(asked, frames=_taken(frames, asked.indices, film)))
                asker.send([])
        torn = layer.finish(cast(float, asked))
    asker.send(torn)


def _taken(frames: Iterator[Frame], indices: Sequence[int], film: Path) -> list[Frame]:
    """The frames of these numbers, which rise; what lies before and between is passed over."""
    wanted = set(indices)
    found: list[Frame] = []
    while len(found) < len(indices):
        frame = next(frames, None)
        if frame is None:
            raise InputError(film, "changed while it was read", "Leave it alone, and stitch again")
        if frame.index in wanted:
            found.append(frame)
    return found
