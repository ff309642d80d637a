"""The talk with a Marlin controller: numbered lines with checksums, one at a time, until `ok`."""

import re
import threading

from blurryscope.basics.clock import Clock
from blurryscope.devices.errors import (
    DeviceSilentError,
    GarbledLinkError,
    SettingsRefusedError,
    StageError,
    StageRestartedError,
)
from blurryscope.devices.grbl_words import sealed
from blurryscope.devices.serial_port import SerialPort

_REPLY_S = 3.0
"""Marlin says `busy` every two seconds while something takes long."""
_BOOT_S = 3.0
_HUSH_S = 0.3
"""Without a line after an interruption, and its own `ok` has come."""
_TRIES = 6
_LONGEST_NAP_S = 0.03
_RESEND = re.compile(r"(?:Resend|rs):? ?N?(\d+)")


class MarlinLink:
    """Lines and their replies. Marlin carries a numbered line out once, however often it comes."""

    def __init__(self, port: SerialPort, clock: Clock) -> None:
        self.lock = threading.RLock()
        self.has_restarted = False
        """It greeted us since it was opened, so it forgot where it is."""
        self.identity = ""
        """What it says of itself."""
        self._port = port
        self._clock = clock
        self._typed = bytearray()
        self._lines: list[str] = []
        self._number = 0
        self._was_interrupted = False

    def open(self) -> None:
        """Open the port, which restarts many boards, and agree on line numbers."""
        self._port.open()
        try:
            with self.lock:
                self._wait_for_line(_BOOT_S)
                self._agree()
                self.has_restarted = False
        except BaseException:
            self._port.close()
            raise

    def close(self) -> None:
        """Stop talking. Marlin has no watchdog: it finishes what it was told."""
        self._port.close()

    def interrupt(self, line: str) -> None:
        """Send what Marlin's emergency parser takes past everything else; waits for nobody."""
        self._was_interrupted = True
        self._port.write(f"{line}\n".encode("ascii"))

    def ask(self, line: str, patience_s: float = _REPLY_S) -> list[str]:
        """Send a line and wait for its `ok`; gives what was told before it."""
        with self.lock:
            if self._was_interrupted:
                self._hush()
            self._number += 1
            self._lines.clear()
            for _ in range(_TRIES):
                self._port.write(sealed(self._number, line))
                told = self._told_until_ok(patience_s)
                if told is not None:
                    return told
        raise GarbledLinkError(
            self._port.url,
            f"does not understand, or its replies are lost ({line})",
            "Shorten or replace the USB cable and keep it away from the motors' wires",
        )

    def _hush(self) -> None:
        """Let the `ok` of an interruption go by, or it would be taken for the next line's."""
        self._was_interrupted = False
        while self._wait_for_line(_HUSH_S) is not None:
            continue

    def _agree(self) -> None:
        self._number = -1
        try:
            self.ask("M110 N0")
            self._number = 0
            self.identity = " ".join(self.ask("M115"))
        except DeviceSilentError as error:  # GRBL refuses these lines, and says no `ok`
            raise self._of_another_language() from error
        if "FIRMWARE_NAME:" not in self.identity:
            raise self._of_another_language()

    def _of_another_language(self) -> SettingsRefusedError:
        return SettingsRefusedError(
            self._port.url,
            "does not answer as a Marlin controller does",
            'Switch it off and on; a GRBL board, as ours is, needs speaks = "grbl" in rig.toml',
        )

    def _told_until_ok(self, patience_s: float) -> list[str] | None:
        """What was told until `ok`; None when the line has to be sent again."""
        told: list[str] = []
        deadline_s = self._clock.monotonic_s() + max(patience_s, _REPLY_S)
        asked_again: int | None = None
        while True:
            line = self._wait_for_line(_REPLY_S)
            if line is None and not told and asked_again is None:
                return None
            if line is None or self._clock.monotonic_s() > deadline_s:
                raise DeviceSilentError(
                    self._port.url, "does not finish what it was told", "Switch it off and on"
                )
            if line == "ok" or line.startswith("ok "):
                # A number beyond ours: it has carried our line out, only its `ok` was lost.
                is_done = asked_again is None or asked_again == self._number + 1
                return told if is_done else None
            asked_again = self._noted(line, told, asked_again)

    def _noted(self, line: str, told: list[str], asked_again: int | None) -> int | None:
        """Take a line that is not `ok`; gives the number that Marlin wants again, if any."""
        if match := _RESEND.match(line):
            return int(match[1])
        if line == "start":
            self.has_restarted = True
            raise StageRestartedError(
                self._port.url,
                "has restarted by itself and does not know where it is",
                "Reconnect and home the stage, then begin the lane again",
            )
        if "halted" in line or "kill()" in line:
            raise StageError(
                self._port.url, f"has halted ({line})", "Switch it off and on, and home the stage"
            )
        told.append(line)
        return asked_again

    def _wait_for_line(self, patience_s: float) -> str | None:
        deadline_s = self._clock.monotonic_s() + patience_s
        nap_s = 0.001
        while not self._lines:
            self._typed += self._port.read()
            *lines, rest = self._typed.split(b"\n")
            self._typed = bytearray(rest[-500:])
            self._lines += [line.decode("latin-1").strip() for line in lines if line.strip()]
            if not self._lines:
                if self._clock.monotonic_s() >= deadline_s:
                    return None
                self._clock.sleep(nap_s)
                nap_s = min(2 * nap_s, _LONGEST_NAP_S)
        return self._lines.pop(0)
