"""What a scan is doing, and how a person steers it."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from blurryscope.basics.errors import BlurryScopeError
from blurryscope.devices.errors import DeviceError


class ScanState(StrEnum):
    """Where a scan is.

    LOOKING → OPENING → HOMING → CHECKING → SCANNING → CHECKING → JOINING → DONE
    SCANNING → PAUSED → CHECKING → SCANNING
    and from any of them to ABORTED (a person), INTERRUPTED (a device, the disk) or FAILED (a fault
    of the program). All but DONE and FAILED can be taken up again by the same command.
    """

    OPENING = "opening"
    HOMING = "homing"
    LOOKING = "looking for tissue"
    """Before the first scan of a slide of which only the tissue is wanted."""
    CHECKING = "checking"
    """Looks whether the slide lies where it lay and the stage is where its controller counts, or
    for a place to know the slide by."""
    SCANNING = "scanning"
    PAUSED = "paused"
    JOINING = "joining"
    """Makes one film of the parts."""
    DONE = "done"
    ABORTED = "aborted"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanStatus:
    """One look at a scan that runs."""

    slide: str
    repeat: int
    state: ScanState
    lane: int
    """The lane it is on; lanes before it are finished."""
    lane_count: int
    frame_count: int
    lost_count: int
    note: str = ""
    """What a person should know of the lane before: focus, lost frames; why a scan ended."""

    @property
    def fraction(self) -> float:
        """Share of the lanes that is finished."""
        return 1.0 if self.state is ScanState.DONE else self.lane / self.lane_count


OnStatus = Callable[[ScanStatus], None]


class ScanAbortedError(BlurryScopeError):
    """A person stopped the scan."""

    def __init__(self) -> None:
        super().__init__(
            "the scan was stopped; lanes that were finished are kept. "
            "Run the same command again to go on."
        )


class Controls:
    """A person's wishes, from any thread or a signal.

    Parameters
    ----------
    hold
        Slows the stage down, whatever else waits for it: homing looks at no wish. A device that
        cannot be reached is left to whoever waits for it.
    """

    def __init__(self, hold: Callable[[], None] | None = None) -> None:
        self._hold = hold
        self._is_aborted = threading.Event()
        self._may_go = threading.Event()
        self._may_go.set()

    def pause(self) -> None:
        """Rest at the end of the lane: nothing has to be scanned twice."""
        self._may_go.clear()

    def resume(self) -> None:
        """Go on after a pause."""
        self._may_go.set()

    def abort(self) -> None:
        """Stop at once, in good order."""
        self._is_aborted.set()
        self._may_go.set()
        if self._hold is not None:
            # A signal may come in the midst of talk with the stage, which must go on meanwhile.
            threading.Thread(target=self._hold_now, args=(self._hold,), daemon=True).start()

    @staticmethod
    def _hold_now(hold: Callable[[], None]) -> None:
        with contextlib.suppress(DeviceError):
            hold()

    def wants_pause(self) -> bool:
        """Whether somebody asked to pause and nobody to resume since."""
        return not self._may_go.is_set()

    @property
    def is_aborted(self) -> bool:
        """Whether somebody wants to stop."""
        return self._is_aborted.is_set()

    def check(self) -> None:
        """Raise `ScanAbortedError` if somebody wants to stop."""
        if self._is_aborted.is_set():
            raise ScanAbortedError
