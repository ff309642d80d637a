"""The talk with a GRBL controller: one line at a time, repeated until it is understood."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from blurryscope.basics.clock import Clock
from blurryscope.devices.errors import (
    DeviceError,
    DeviceSilentError,
    GarbledLinkError,
    SettingsRefusedError,
)
from blurryscope.devices.grbl_words import (
    LAST_NUMBER,
    NOT_HOMED_ALARMS,
    Reply,
    Report,
    is_banner,
    read_identity,
    read_reply,
    read_report,
    read_resend,
    sealed,
    tells_work_place,
    unsealed,
)
from blurryscope.devices.serial_port import SerialPort

logger = logging.getLogger(__name__)

_REPLY_S = 1.0
"""A line or question that got no answer for so long is sent again."""
_TRIES = 5
_LINE_TRIES = 8
_HEARTBEAT_S = 0.25
_LONGEST_NAP_S = 0.1
_CHECKED_MODE = b"M110 N0*35\n"
_KNOWN_PROTOCOL = "1"
_LOCKING_ALARMS = frozenset({1, 2})
"""After these GRBL 1.1 heeds nothing but a reset, and answers no `?`."""
_NOISE = "Shorten or replace the USB cable and keep it away from the motors' wires"


class RefusedLineError(Exception):
    """The controller answered `error:n`; the stage turns it into words."""

    def __init__(self, number: int) -> None:
        super().__init__(f"error:{number}")
        self.number = number


class AlarmError(Exception):
    """The controller pushed `ALARM:n`; the stage turns it into words."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ALARM:{number}")
        self.number = number


class GrblLink:
    """Lines, replies and reports; keeps the controller's watchdog content while it is open.

    With a controller that offers it every line carries a number and a checksum, both ways; what
    is damaged is asked for again, and nothing is carried out twice. Without, a reply that does
    not come is an error.
    """

    def __init__(self, port: SerialPort, clock: Clock) -> None:
        self.lock = threading.RLock()
        self.identity: dict[str, str] = {}
        self.is_checked = False
        self.alarm: int | None = None
        """The last alarm since the last reset that we asked for."""
        self.note = ""
        """The last message that the controller pushed."""
        self.reset_count = 0
        """How often it greeted us without having been asked to reset."""
        self.garbled_count = 0
        """Lines that could not be understood."""
        self._port = port
        self._clock = clock
        self._typed = bytearray()
        self._replies: deque[Reply | int] = deque()
        self._told: list[str] = []
        self._reports: deque[Report] = deque(maxlen=1)
        self._number = 0
        self._newest: Report | None = None
        self._locked_by: int | None = None
        """The alarm after which it answers nothing until it is reset; None while it answers."""
        self._homes_deaf = False
        """It homes, and would heed nothing but a reset."""
        self._has_greeted = False
        self._bare_reports = 0
        self._wrote_s = 0.0
        self._writing = threading.Lock()
        self._is_over = threading.Event()
        self._heart: threading.Thread | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it speaks this project's protocol, which goes beyond GRBL's."""
        return "CHECKSUM" in self.identity.get("NEWOPT", "")

    # Open and close

    def open(self) -> None:
        """Bring the controller to rest, reset it, and agree on how to talk."""
        self._port.open()
        self._is_over.clear()
        try:
            with self.lock:
                self._wake()
                self.settle()
                self.identity = self._introduce()
        except BaseException:
            self._port.close()
            raise
        self._heart = threading.Thread(target=self._beat, name="stage heartbeat", daemon=True)
        self._heart.start()

    def close(self) -> None:
        """Stop talking; the watchdog of the controller takes over."""
        self._is_over.set()
        self._port.close()
        heart, self._heart = self._heart, None
        if heart is not None and heart is not threading.current_thread():
            heart.join()

    def _wake(self) -> None:
        with contextlib.suppress(AlarmError):
            try:
                self.report(tries=1)
            except DeviceSilentError:
                self._port.raise_dtr()

    def settle(self) -> None:
        """Bring it to rest and take back holds and alarms; at rest the position stays known.

        A reset comes also to a controller that says nothing: after a hard limit, or while it
        homes, GRBL answers to nothing else.
        """
        silence: DeviceSilentError | None = None
        with self.lock:
            try:
                self._come_to_rest()
            except DeviceSilentError as error:
                silence = error
            try:
                self.reset()
            except GarbledLinkError as error:
                raise silence or error from error

    def _come_to_rest(self) -> None:
        """Slow down in good order; homing is left to the reset, which stops it everywhere."""
        with contextlib.suppress(AlarmError):
            report = self.report()
            if not report.is_at_rest and report.state != "Home":
                self.signal(b"!")
                self.wait_for_report(lambda told: told.is_at_rest, 10.0)

    def _introduce(self) -> dict[str, str]:
        for _ in range(_TRIES):
            with contextlib.suppress(RefusedLineError):
                identity = read_identity(self.ask("$I"))
                has_checksums = "CHECKSUM" in identity.get("NEWOPT", "")
                if "VER" in identity and has_checksums == self.is_checked:
                    self._refuse_unknown(identity)
                    return identity
            self.reset()
        raise GarbledLinkError(self._port.url, "does not say clearly what it is", _NOISE)

    def _refuse_unknown(self, identity: dict[str, str]) -> None:
        version = identity.get("PROTOCOL", _KNOWN_PROTOCOL)
        if version != _KNOWN_PROTOCOL:
            raise SettingsRefusedError(
                self._port.url,
                f"speaks version {version} of the protocol, this program {_KNOWN_PROTOCOL}",
                "Install the firmware that belongs to this program",
            )

    # Ask and tell

    def signal(self, byte: bytes) -> None:
        """Send a real-time byte past everything else; never waits for another thread's talk."""
        self._write(byte)

    def brake(self) -> None:
        """Have it slow down, as `signal` does; GRBL that homes heeds only a reset: `ALARM:6`."""
        self.signal(b"\x18" if self._homes_deaf else b"!")

    def report(self, tries: int = _TRIES) -> Report:
        """Ask where it is and what it does; `AlarmError` if an alarm has struck it dumb."""
        with self.lock:
            for _ in range(tries):
                self._reports.clear()
                self._write(b"?")
                self._wait(lambda: bool(self._reports) or self._locked_by is not None, _REPLY_S)
                if self._reports:
                    self._newest = self._reports.pop()
                    return self._newest
                if self._locked_by is not None:
                    raise AlarmError(self._locked_by)
        raise DeviceSilentError(
            self._port.url,
            f"has not answered for {tries * _REPLY_S:.0f} s",
            "Check that the controller has power, that it is the right port, and that it speaks "
            "GRBL (rig.toml: speaks), then reconnect",
        )

    def report_in_any_alarm(self) -> Report:
        """The same; for a controller that an alarm has struck dumb its last report, as `Alarm`."""
        try:
            return self.report()
        except AlarmError:
            if self._newest is None:
                raise
            return replace(self._newest, state="Alarm", stage=0)

    def wait_for_report(self, is_it: Callable[[Report], bool], patience_s: float) -> Report:
        """Ask again and again until a report is as wanted."""
        deadline_s = self._clock.monotonic_s() + patience_s
        while True:
            report = self.report()
            if is_it(report):
                return report
            if self._clock.monotonic_s() > deadline_s:
                raise DeviceSilentError(
                    self._port.url,
                    f"is still {report.state} after {patience_s:.0f} s",
                    "Switch the controller off and on, and home the stage",
                )
            self._clock.sleep(0.05)

    def ask(self, line: str, patience_s: float = 10.0) -> list[str]:
        """Send a line and wait for its reply; gives what was told before it.

        Raises `RefusedLineError` for `error:n`, `AlarmError` when an alarm comes first.
        `patience_s` is how long a line may take that waits for motion.
        """
        with self.lock:
            if self._number >= LAST_NUMBER:
                self._agree()
            self._number += self.is_checked
            deadline_s = self._clock.monotonic_s() + patience_s
            for _ in range(_LINE_TRIES):
                reply = self._send_once(line, deadline_s)
                if reply is not None and reply.error is not None:
                    raise RefusedLineError(reply.error)
                if reply is not None:
                    return self._told
        raise GarbledLinkError(
            self._port.url, f"does not understand, or its replies are lost ({line})", _NOISE
        )

    def reset(self) -> None:
        """Soft reset, which keeps the position at rest; then checked mode where there is one."""
        with self.lock:
            for _ in range(_TRIES):
                self._has_greeted = False
                self.is_checked = False
                self._write(b"\x18")
                if self._wait(lambda: self._has_greeted, _REPLY_S):
                    break
            else:
                raise GarbledLinkError(self._port.url, "does not react to a reset", _NOISE)
            self.alarm = None
            self._agree()

    def _agree(self) -> None:
        """Ask for checked mode; plain GRBL refuses, always."""
        self.is_checked, self._number = False, 0
        for _ in range(_TRIES):
            self._replies.clear()
            self._write(_CHECKED_MODE)
            self._wait(lambda: bool(self._replies), _REPLY_S / 2)
            if any(isinstance(told, Reply) and told.number == 0 for told in self._replies):
                self.is_checked = True
                return

    def _send_once(self, line: str, deadline_s: float) -> Reply | None:
        """One try: the reply, or None when the line has to be sent again."""
        self._replies.clear()
        self._told = []
        resets = self.reset_count
        # GRBL has one idea of a line's end; a number that it does not check would only confuse it.
        wire = sealed(self._number, line) if self.is_checked else f"{line}\n".encode("ascii")
        self._homes_deaf = line == "$H" and not self.is_checked
        self._write(wire)
        while True:
            self._wait_for_reply(resets)
            if self.alarm is not None:
                raise AlarmError(self.alarm)
            if self.reset_count != resets:
                self._after_reset()
                return None
            for told in self._replies:
                if isinstance(told, Reply):
                    return told
                if told not in {self._number, self._number + 1}:
                    self._after_reset()  # it has lost count, or we have
                return None
            if not self._still_works(line, deadline_s) and not self._is_answered(resets):
                return None

    def _wait_for_reply(self, resets: int) -> None:
        """Wait for a while; the heart beats on, for homing takes longer than the watchdog waits."""
        for _ in range(round(_REPLY_S / _HEARTBEAT_S)):
            if self._wait(lambda: self._is_answered(resets), _HEARTBEAT_S):
                return
            self._write(b"?")

    def _is_answered(self, resets: int) -> bool:
        return bool(self._replies) or self.alarm is not None or self.reset_count != resets

    def _still_works(self, line: str, deadline_s: float) -> bool:
        """Whether a reply may still come: something moves, and there is time left."""
        if line == "$H" and not self.is_checked:
            return self._clock.monotonic_s() < deadline_s  # GRBL is silent while it homes
        report = self.report()
        if self._clock.monotonic_s() > deadline_s and not report.is_at_rest:
            raise DeviceSilentError(
                self._port.url,
                f"is not done with {line} in time; it says {report.state}",
                "Look whether the stage moves, then switch the controller off and on",
            )
        if not self.is_checked and report.is_at_rest and not self._replies:
            raise GarbledLinkError(self._port.url, f"swallowed the reply to {line}", _NOISE)
        return not report.is_at_rest

    def _after_reset(self) -> None:
        """The controller reset by itself, or by a damaged byte: agree again on how to talk."""
        self._agree()
        self._number += self.is_checked

    # Bytes

    def _write(self, sent: bytes) -> None:
        with self._writing:
            self._port.write(sent)
            self._wrote_s = self._clock.monotonic_s()

    def _wait(self, is_over: Callable[[], bool], patience_s: float) -> bool:
        """Read until something is so; naps grow, so that a quick answer costs little time."""
        deadline_s = self._clock.monotonic_s() + patience_s
        nap_s = 0.001
        while True:
            self._read()
            if is_over():
                return True
            if self._clock.monotonic_s() >= deadline_s:
                return False
            self._clock.sleep(nap_s)
            nap_s = min(2 * nap_s, _LONGEST_NAP_S)

    def _read(self) -> None:
        self._typed += self._port.read()
        *lines, rest = self._typed.split(b"\n")
        self._typed = bytearray(rest[-500:])  # noise without an end must not fill the memory
        for line in lines:
            self._understand(line.rstrip(b"\r").decode("latin-1"))

    def _understand(self, line: str) -> None:
        if is_banner(line):
            self._greeted()
            return
        text = unsealed(line)
        if text is None and self.is_checked:
            self._count_bare(line)
            return
        text = line if text is None else text
        if report := read_report(text):
            self._bare_reports = 0
            self._reports.append(report)
        elif reply := read_reply(text):
            self._take(reply)
        elif (number := read_resend(text)) is not None:
            self._replies.append(number)
        elif tells_work_place(text):
            raise SettingsRefusedError(
                self._port.url,
                "tells places of the workpiece (WPos) instead of the machine's",
                "Set $10=1",
            )
        else:
            self._note_pushed(text)

    def _note_pushed(self, text: str) -> None:
        if text.startswith("ALARM:") and text[6:].isdigit():
            number = int(text[6:])
            if number in NOT_HOMED_ALARMS:
                return  # the reports say so too
            self.alarm = number
            self._homes_deaf = False
            if self.alarm in _LOCKING_ALARMS and not self.is_checked:
                self._locked_by = self.alarm
        elif text.startswith("[MSG:") and text.endswith("]"):
            self.note = text[5:-1]
        elif text.startswith(("[", "$")):
            self._told.append(text)
        elif text:
            self.garbled_count += 1
            logger.debug("cannot understand %r", text)

    def _take(self, reply: Reply) -> None:
        """A reply counts only when it is to the line that waits for one."""
        self._homes_deaf = False
        if not self.is_checked or reply.number == self._number:
            self._replies.append(reply)

    def _greeted(self) -> None:
        if self._has_greeted:
            self.reset_count += 1
            self.is_checked = False
        self._has_greeted = True
        self._homes_deaf = False
        self._locked_by = None
        self._bare_reports = 0

    def _count_bare(self, line: str) -> None:
        """Reports without checksum, again and again: it reset, and the greeting got lost."""
        if line:
            self.garbled_count += 1
        self._bare_reports += read_report(line) is not None
        if self._bare_reports >= 2:
            self._greeted()

    # The heartbeat

    def _beat(self) -> None:
        """Ask now and then when nobody else does; who holds the lock is talking anyway."""
        while not self._is_over.is_set():
            self._clock.sleep(_HEARTBEAT_S / 2)
            is_quiet = self._clock.monotonic_s() - self._wrote_s >= _HEARTBEAT_S
            if is_quiet and self.lock.acquire(blocking=False):
                try:
                    # Whoever uses the stage next meets the same error, and can say it.
                    with contextlib.suppress(DeviceError, AlarmError):
                        self.report(tries=1)
                finally:
                    self.lock.release()
