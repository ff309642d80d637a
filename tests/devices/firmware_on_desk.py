"""The firmware itself behind a simulated port: its own code, on a board in memory."""

import threading

from controller.controller import Controller
from desk.simulated_board import SimulatedBoard

_POLL_US = 2_000


class FirmwareOnDesk:
    """A `Controller` of the simulator's port that runs `firmware/`, in the port's own time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.board = SimulatedBoard()
        # A millimetre or two from the switches: homing need not cross the whole stage.
        self.board.place = [2 * 1600, 2 * 1600, -1 * 1600]
        self.brain = Controller(self.board)
        self.brain.settings.value[24], self.brain.settings.value[25] = 120_000, 600_000
        self.brain.start()
        self._now_s = 0.0

    def feed(self, received: bytes, now_s: float) -> None:
        with self.lock:
            self._run_until(now_s)
            self.board.received += received
            self.brain.poll()

    def advance(self, now_s: float) -> bytes:
        with self.lock:
            self._run_until(now_s)
            sent, self.board.sent = self.board.sent, b""
            return sent

    def reboot(self, now_s: float) -> None:
        """The power fails for a moment."""
        with self.lock:
            self._run_until(now_s)
            fresh = SimulatedBoard(self.board.boot_id + 1, self.board.stored())
            fresh.place = self.board.place
            self.board, self.brain = fresh, Controller(fresh)
            self.brain.start()

    def _run_until(self, now_s: float) -> None:
        while now_s - self._now_s >= _POLL_US / 1e6:
            self.board.advance_us(_POLL_US)
            self.brain.poll()
            self._now_s += _POLL_US / 1e6
