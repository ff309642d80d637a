"""A stage on a GRBL 1.1 controller: our firmware, GRBL, grblHAL, FluidNC."""

import contextlib
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from blurryscope.basics.clock import Clock, SystemClock
from blurryscope.devices.contracts import StageLimits, StagePoint, StageStatus
from blurryscope.devices.errors import (
    DeviceError,
    GarbledLinkError,
    HomingFailedError,
    LimitHitError,
    NotHomedError,
    SettingsRefusedError,
    StageAstrayError,
    StageError,
    StageHeldError,
    StageRestartedError,
    StageStalledError,
)
from blurryscope.devices.grbl_link import AlarmError, GrblLink, RefusedLineError
from blurryscope.devices.grbl_meaning import (
    lamp_line,
    limits_of,
    longest_homing_s,
    mode_of,
    move_line,
    paces_of,
    point_of,
)
from blurryscope.devices.grbl_words import ALARMS, ERRORS, Report, read_settings
from blurryscope.devices.refusals import in_words, no_way_to_go, refuse_move
from blurryscope.devices.serial_port import SerialPort
from blurryscope.devices.stall_watch import StallWatch
from blurryscope.devices.travel_time import AxisPaces

logger = logging.getLogger(__name__)

_ARRIVED_UM = 3.0
"""Reports round to a micrometre, steps of a coarse screw to 2.5."""
_NEEDED_SETTINGS = frozenset({20, 22, *range(110, 113), *range(120, 123), *range(130, 133)})
_HOMING_SETTINGS = frozenset({23, 24, 25, 27})
"""All of them, or as with FluidNC none of the last three: one alone was lost on its way."""
_MOTORS_STAY_ON = 255.0
"""Of `$1`, otherwise the ms after which GRBL frees its motors; our firmware never does."""
_MUST_BE_POSITIVE = _NEEDED_SETTINGS - {20, 22} | {24, 25}
_LOOK_S = 0.12
"""A GRBL controller answers five to ten questions a second without losing steps."""
_LATE_S = 0.02
"""After the end of a move as reckoned; a look in time spares the next one."""
_AGAIN_S = 0.05
_INTERRUPTED = frozenset({None, 6})
"""Alarms after which homing is worth another try; None is an alarm whose line got lost."""
_HOME_AGAIN = "Home the stage, then begin the lane again"


class GrblStage:
    """Drives a stage by the page `firmware/protocol.md`; see `Stage` for what each method does.

    Parameters
    ----------
    url
        The serial port: `/dev/ttyACM0`, `COM3`.
    clock
        What it waits on.
    profile
        What the instrument was measured with: settings of the controller by number. Other
        values there are told and refused, and never written over.
    lamp_fraction
        How bright the controller's lamp burns from opening, or where it was not homed from homing,
        to closing; 0 leaves it alone.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock | None = None,
        profile: Mapping[int, float] | None = None,
        lamp_fraction: float = 0.0,
    ) -> None:
        self._url = url
        self._clock = clock or SystemClock()
        self._profile = dict(profile or {})
        self._link = GrblLink(SerialPort(url), self._clock)
        self._limits: StageLimits | None = None
        self._paces: AxisPaces | None = None
        self._target: StagePoint | None = None
        self._ends_s = 0.0
        """When all moves are over, as reckoned."""
        self._stop_count = 0
        self._interruption_count = 0
        """How often a person, or the program above, held or stopped it."""
        self._resets_seen = 0
        self._known_boot: str | None = None
        self._uptime_ms = 0
        self._has_homed = False
        self._homing_s = 0.0
        self._full_lamp = 1000.0
        self._lamp_fraction = lamp_fraction
        """What the lamp has to be again after a reset, which makes it dark."""

    def __enter__(self) -> Self:
        self._link.open()
        try:
            self._limits = self._read_limits()
            report = self._link.report()
            self._remember_boot(report)
            self._resets_seen = self._link.reset_count
            # Plain GRBL cannot say whether it was homed or only unlocked: it has to home again.
            self._has_homed = bool(report.is_homed)
            self._light_again()
        except (RefusedLineError, AlarmError) as error:
            self._link.close()
            raise self._explained(error) from error
        except BaseException:
            self._link.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with contextlib.suppress(DeviceError):  # its watchdog stops it all the same
                self._halt()
        finally:
            self._link.close()

    @property
    def name(self) -> str:
        firmware = self._link.identity.get("FIRMWARE") or self._link.identity.get("VER", "GRBL")
        return f"{firmware} on {self._url}"

    @property
    def limits(self) -> StageLimits:
        if self._limits is None:
            raise NotHomedError(self._url, "is not open", "Open the stage in `with`")
        return self._limits

    def status(self) -> StageStatus:
        return self._status(self._link.report_in_any_alarm())

    def home(self) -> StageStatus:
        interruptions = self._interruption_count
        with self._link.lock:
            try:
                return self._home_once()
            except HomingFailedError:
                # Noise on the line can break homing off; a person who did so meant it.
                is_by_person = self._interruption_count != interruptions
                if is_by_person or self._link.alarm not in _INTERRUPTED:
                    raise
            return self._home_once()

    def _home_once(self) -> StageStatus:
        self._link.settle()
        self._has_homed = False
        self._link.note = ""  # such as that it has to be homed
        try:
            self._link.ask("$H", self._homing_s)
        except AlarmError as error:
            raise self._homing_failed(error.number) from error
        except RefusedLineError as error:
            raise self._homing_failed(self._link.alarm) from error
        report = self._link.report()
        if report.state == "Alarm" or report.is_homed is False:
            raise self._homing_failed(self._link.alarm)
        self._refuse_other_zero(report)
        self._remember_boot(report)
        self._resets_seen = self._link.reset_count
        self._has_homed = True
        self._forget_moves()
        self._light_again()
        return self._status(report)

    def _refuse_other_zero(self, report: Report) -> None:
        """Raise if homing left it outside the limits: then it counts from another place."""
        for _ in range(3):
            place = point_of(report)
            if self.limits.contain(place, slack_um=_ARRIVED_UM):
                return
            report = self._link.report()
        raise SettingsRefusedError(
            self._url,
            f"rests at {in_words(place)} after homing, outside {in_words(self.limits.lowest)} to "
            f"{in_words(self.limits.highest)}, so its zero is not where GRBL has it",
            "Let all axes count from minus their travel to 0 (grblHAL: $22 without 8; FluidNC: "
            "mpos_mm)",
        )

    def move_to(self, target: StagePoint, speed_um_per_s: float | None = None) -> None:
        refuse_move(self._url, self.limits, target, speed_um_per_s)
        with self._link.lock, self._told_in_words():
            report = self._link.report()
            self._refuse_unless_ready(report)
            start = self._target or point_of(report)
            self._order(move_line(target, speed_um_per_s))
            begins_s = max(self._ends_s, self._clock.monotonic_s())
            self._ends_s = begins_s + self._lasts_s(start, target, speed_um_per_s)
            self._target = target

    def _lasts_s(
        self, start: StagePoint, target: StagePoint, speed_um_per_s: float | None
    ) -> float:
        return 0.0 if self._paces is None else self._paces.lasts_s(start, target, speed_um_per_s)

    def _order(self, line: str) -> None:
        """Send a move that the host knows to be right; a refusal means that it was damaged."""
        for _ in range(2):
            try:
                self._link.ask(line)
            except RefusedLineError:
                self._refuse_unless_ready(self._link.report())
            else:
                return
        self._link.ask(line)

    def wait_until_rest(self) -> StageStatus:
        stops = self._stop_count
        watch = StallWatch(self._clock)
        while True:
            with self._link.lock, self._told_in_words():
                report = self._link.report()
                self._refuse_lost(report)
                if self._stop_count != stops:
                    raise self._held("was stopped")
                if report.state == "Hold" and report.is_at_rest:
                    self._refuse_held()
                if report.state == "Door":
                    raise self._held("was stopped by its safety door")
                if report.state not in {"Run", "Jog", "Home", "Hold"}:
                    return self._arrived(report)
                if watch.sees_standing(report):
                    self.stop()
                    raise StageStalledError(
                        self._url,
                        f"says that it moves, and stands at {in_words(point_of(report))}",
                        "Check motor, screw and power, then home the stage",
                    )
            left_s = self._ends_s + _LATE_S - self._clock.monotonic_s()
            self._clock.sleep(left_s if 0 < left_s < _LOOK_S else _LOOK_S)

    def hold(self) -> None:
        self._interruption_count += 1
        self._link.brake()

    def resume(self) -> None:
        with self._link.lock, self._told_in_words():
            report = self._link.report()
            self._refuse_lost(report)
            if report.is_stopped_by_watchdog:
                raise self._held("was stopped by its watchdog")
            if report.state in {"Hold", "Door"}:
                self._link.signal(b"~")
                self._ends_s += 3600.0  # how long it was held is nobody's fault

    def stop(self) -> None:
        self._halt()
        self._light_again()

    def _halt(self) -> None:
        """Stand, dark, without moves."""
        self._stop_count += 1
        self._interruption_count += 1
        self._link.brake()
        with self._link.lock:
            self._link.settle()
            self._forget_moves()

    def light(self, level_fraction: float) -> None:
        """Light the lamp, from 0, dark, to 1; after all moves that were started before.

        It stays so over `stop` and `home`.
        """
        if not 0 <= level_fraction <= 1:
            raise ValueError(f"level_fraction must lie in 0..1, got {level_fraction}")
        with self._told_in_words():
            self._link.ask(lamp_line(level_fraction, self._full_lamp), self._patience_s())
        self._lamp_fraction = level_fraction

    def _light_again(self) -> None:
        """After a reset; in an alarm the controller takes no such line, homing comes first."""
        if self._lamp_fraction and self._link.report_in_any_alarm().state != "Alarm":
            with contextlib.suppress(RefusedLineError, AlarmError):  # `status` will tell
                self._link.ask(lamp_line(self._lamp_fraction, self._full_lamp))

    def mark(self, dark_s: float) -> None:
        """Make the lamp dark for a moment, then as before: a mark in the film."""
        if not 0 <= dark_s <= 60:
            raise ValueError(f"dark_s must lie in 0..60, got {dark_s}")
        if "MARK" not in self._link.identity.get("NEWOPT", ""):
            raise SettingsRefusedError(
                self._url, "cannot make marks with its lamp", "Use this project's firmware"
            )
        with self._told_in_words():
            self._link.ask(f"M100 P{dark_s:.3f}", self._patience_s() + dark_s)

    # What the controller says

    def _status(self, report: Report) -> StageStatus:
        is_homed = self._is_homed(report)
        return StageStatus(
            mode=mode_of(report, is_homed=is_homed, has_alarm=self._link.alarm is not None),
            position=point_of(report),
            is_homed=is_homed,
            time_s=self._clock.monotonic_s(),
            boot_id=report.boot_id,
            note=self._link.note,
        )

    def _is_homed(self, report: Report) -> bool:
        if report.is_homed is not None:
            return report.is_homed
        return self._has_homed and report.state != "Alarm" and not self._has_restarted(report)

    def _has_restarted(self, report: Report) -> bool:
        if report.boot_id is None:
            return self._link.reset_count != self._resets_seen
        went_back = report.uptime_ms is not None and report.uptime_ms < self._uptime_ms
        return report.boot_id != self._known_boot or went_back

    def _remember_boot(self, report: Report) -> None:
        self._known_boot = report.boot_id
        self._uptime_ms = report.uptime_ms or 0

    def _refuse_lost(self, report: Report) -> None:
        """Raise when its position is worth nothing."""
        if self._has_restarted(report) and self._has_restarted(self._link.report()):
            raise StageRestartedError(
                self._url, "has restarted by itself and does not know where it is", _HOME_AGAIN
            )
        self._uptime_ms = report.uptime_ms or 0
        if self._link.alarm is not None or (self._has_homed and report.state == "Alarm"):
            raise self._alarmed(self._link.alarm)

    def _refuse_unless_ready(self, report: Report) -> None:
        self._refuse_lost(report)
        if not self._is_homed(report):
            raise NotHomedError(
                self._url, "does not know where it is and did not move", "Home the stage first"
            )
        if report.state in {"Hold", "Door"}:
            raise self._held("is held")

    def _refuse_held(self) -> None:
        """Raise if it is held; asked once more, since a late report may be older than `resume`."""
        report = self._link.report()
        if report.is_stopped_by_watchdog:
            raise self._held("was stopped by its watchdog: it heard nothing from this computer")
        if report.state == "Hold" and report.is_at_rest:
            raise self._held("was held")

    def _arrived(self, report: Report) -> StageStatus:
        """Make sure that it rests where it was sent: a report may be old, a line damaged."""
        target = self._target
        for _ in range(3):
            is_there = target is None or point_of(report).distance_um(target) <= _ARRIVED_UM
            if is_there and report.is_at_rest:
                self._forget_moves()
                return self._status(report)
            self._clock.sleep(_AGAIN_S)
            report = self._link.report()
            self._refuse_lost(report)
            if not report.is_at_rest:
                return self.wait_until_rest()
        self._forget_moves()
        place = point_of(report)
        raise StageAstrayError(
            self._url,
            f"rests at {in_words(place)} instead of {in_words(target or place)}",
            "Check the USB cable, then begin the lane again",
        )

    # What the host does

    def _forget_moves(self) -> None:
        self._target, self._ends_s = None, 0.0

    def _patience_s(self) -> float:
        """For a line that waits for all moves; its end is reckoned, so twice as long."""
        return 2 * max(self._ends_s - self._clock.monotonic_s(), 0.0) + 10.0

    def _read_limits(self) -> StageLimits:
        before: dict[int, float] = {}
        for _ in range(6):
            values = read_settings(self._link.ask("$$"))
            # A line of them may be damaged and missing, or on plain GRBL damaged and believed.
            if values == before and _is_complete(values):
                self._compare(values)
                self._homing_s = longest_homing_s(values)
                self._paces = paces_of(values)
                self._full_lamp = values.get(30, 0.0) or 1000.0
                try:
                    return limits_of(values, is_ours=self._link.is_ours)
                except ValueError as error:
                    raise no_way_to_go(self._url, error) from error
            before = values
        raise GarbledLinkError(
            self._url, "does not tell its settings completely", "Check the USB cable"
        )

    def _compare(self, values: dict[int, float]) -> None:
        if values.get(1, _MOTORS_STAY_ON) != _MOTORS_STAY_ON:
            raise SettingsRefusedError(
                self._url,
                f"frees its motors {values[1]:g} ms after each move, so that they slip ($1)",
                "Set $1=255, which keeps them on",
            )
        if 22 not in self._profile:
            values = values | {22: values[22] % 2}  # grblHAL's other bits say how it homes
        safe = {20: 1.0, 22: 1.0}  # without soft limits and homing no move is safe
        if 13 in values:
            safe[13] = 0.0  # or else it reports inches; those without this cannot
        wrong = [
            f"${number} is {values.get(number, math.nan):g} instead of {wanted:g}"
            for number, wanted in sorted({**safe, **self._profile}.items())
            if not math.isclose(values.get(number, math.nan), wanted, rel_tol=1e-6, abs_tol=1e-4)
        ]
        if wrong:
            raise SettingsRefusedError(
                self._url,
                f"is set otherwise than it must be: {', '.join(wrong)}",
                "Correct the controller, or what rig.toml says under settings, and calibrate again "
                "if you change steps",
            )

    # What went wrong

    @contextmanager
    def _told_in_words(self) -> Iterator[None]:
        try:
            yield
        except (AlarmError, RefusedLineError) as error:
            raise self._explained(error) from error

    def _explained(self, error: AlarmError | RefusedLineError) -> DeviceError:
        if isinstance(error, AlarmError):
            return self._alarmed(error.number)
        why = ERRORS.get(error.number, f"error {error.number}")
        if error.number == 9:
            report = self._link.report_in_any_alarm()
            if report.is_stopped_by_watchdog:
                return self._held("was stopped by its watchdog")
            return NotHomedError(self._url, f"did not move: {why}", "Home the stage first")
        if error.number == 15:
            return GarbledLinkError(
                self._url,
                "refused a place that lies within the limits it told",
                "Check the USB cable, then reconnect, which reads the limits again",
            )
        return GarbledLinkError(self._url, f"refused a command: {why}", "Check the USB cable")

    def _alarmed(self, number: int | None) -> StageError:
        why = ALARMS.get(number or 0, "it is in an alarm" if number is None else f"alarm {number}")
        kind = LimitHitError if number == 1 else StageError
        return kind(self._url, f"stopped at once: {why}", _HOME_AGAIN)

    def _homing_failed(self, alarm: int | None) -> HomingFailedError:
        why = ALARMS.get(alarm or 0, "it broke off and did not say why")
        remedy = "Check the limit switches and their wires, and home again"
        return HomingFailedError(self._url, f"could not be homed: {why}", remedy)

    def _held(self, what: str) -> StageHeldError:
        remedy = "Resume, or stop and send it again"
        return StageHeldError(self._url, f"{what} before it was there", remedy)


def _is_complete(values: dict[int, float]) -> bool:
    keys = values.keys()
    tells_homing = keys >= _HOMING_SETTINGS or not keys & {24, 25, 27}
    paces = [value for number, value in values.items() if number in _MUST_BE_POSITIVE]
    return keys >= _NEEDED_SETTINGS and tells_homing and all(pace > 0 for pace in paces)
