"""Run the firmware on a simulated stage behind a pseudo-terminal, in real time: a port for hosts.

From the folder `firmware`: `python -m desk.serve`. The first line printed is the path of the port;
the program ends when its standard input is closed, or on Ctrl-C. CPython on Linux and macOS only.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import time
from pathlib import Path

from controller.controller import Controller
from desk.simulated_board import SimulatedBoard

POLL_US = 1000
LONGEST_CATCH_UP_US = 100_000
"""What the operating system takes away beyond this does not exist for the simulated board."""


class Port:
    """The controller's end of a pseudo-terminal, and the board behind it."""

    def __init__(self, board: SimulatedBoard) -> None:
        import tty

        self._ours, self._theirs = os.openpty()  # theirs stays open, so that hosts may come and go
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.path = os.ttyname(self._theirs)
        self._board = board
        self._controller = Controller(board)
        self._controller.start()

    def run(self, elapsed_us: int) -> None:
        """Let time pass for the board, with whatever the host has sent."""
        self._receive()
        for passed_us in range(0, elapsed_us, POLL_US):
            self._board.advance_us(min(POLL_US, elapsed_us - passed_us))
            self._controller.poll()
        self._send()

    def _receive(self) -> None:
        try:
            self._board.received += os.read(self._ours, 4096)
        except BlockingIOError:
            return

    def _send(self) -> None:
        try:
            sent = os.write(self._ours, self._board.sent) if self._board.sent else 0
        except BlockingIOError:  # nobody reads: as on a board, what finds no room is lost
            sent = len(self._board.sent)
        self._board.sent = self._board.sent[sent:]


def serve(speed: float, boot_id: int, settings_file: Path | None) -> None:
    """Serve until standard input ends; time passes `speed` times as fast as on the wall."""
    stored = settings_file.read_bytes() if settings_file and settings_file.exists() else b""
    board = SimulatedBoard(boot_id, stored)
    port = Port(board)
    sys.stdout.write(f"{port.path}\n")
    sys.stdout.flush()
    last_ns = time.monotonic_ns()
    owed_us = 0.0
    while not select.select([sys.stdin], [], [], POLL_US / 1e6)[0] or sys.stdin.readline():
        now_ns = time.monotonic_ns()
        owed_us += min((now_ns - last_ns) / 1000, LONGEST_CATCH_UP_US) * speed
        last_ns = now_ns
        port.run(int(owed_us))
        owed_us -= int(owed_us)
        if settings_file and board.stored() != stored:
            stored = board.stored()
            settings_file.write_bytes(stored)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--speed", type=float, default=1, help="how much faster time passes")
    parser.add_argument("--boot-id", type=lambda text: int(text, 16), help="hexadecimal")
    parser.add_argument("--settings", type=Path, help="file that stands for the flash")
    chosen = parser.parse_args()
    boot_id = chosen.boot_id
    if boot_id is None:
        boot_id = int.from_bytes(os.urandom(4), "big")
    serve(chosen.speed, boot_id, chosen.settings)


if __name__ == "__main__":
    main()
