"""Filming in a thread of its own: every frame goes to all who asked, in order."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from blurryscope.devices.contracts import Camera, CameraFrame
from blurryscope.devices.errors import CameraFrozenError

Taker = Callable[[CameraFrame], None]
"""Takes a frame; what takes long must put it aside, for the camera waits meanwhile."""


class Filming:
    """Films while in `with`. What the camera or a taker raises is raised at `check` or at the end.

    Safe to ask from other threads.
    """

    def __init__(self, camera: Camera, takers: Sequence[Taker]) -> None:
        self.frame_count = 0
        self.lost_count = 0
        self._camera = camera
        self._takers = tuple(takers)
        self._is_over = threading.Event()
        self._has_begun = threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._film, name="filming", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raise what went wrong in the thread, if anything did."""
        if self._failure is not None:
            raise self._failure

    def wait_for_first(self, patience_s: float = 20.0) -> None:
        """Return once the first frame has come, or raise what the camera met; real time.

        A stream that ends before is a `CameraFrozenError`. Where nothing happens within
        `patience_s`, who waits for the frames of a lane tells.
        """
        has_begun = self._has_begun.wait(patience_s)
        self.check()
        if has_begun and self.frame_count == 0:
            raise CameraFrozenError(
                self._camera.name,
                "ended its film without a single frame",
                "Unplug the camera, plug it in again, and run the command again",
            )

    def _film(self) -> None:
        try:
            with contextlib.closing(self._camera.frames()) as frames:
                for frame in frames:
                    if self._is_over.is_set():
                        return
                    self._take(frame)
        except BaseException as failure:  # noqa: BLE001 - carried over to the other thread, whole
            self._failure = failure
        finally:
            self._has_begun.set()

    def _take(self, frame: CameraFrame) -> None:
        for taker in self._takers:
            taker(frame)
        self.frame_count += 1
        self.lost_count += frame.lost_count
        self._has_begun.set()
