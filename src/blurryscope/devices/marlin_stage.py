"""A stage on a 3D printer's controller: Marlin 2, with its emergency parser and soft endstops."""

import contextlib
import re
from types import TracebackType
from typing import Self

from blurryscope.basics.clock import Clock, SystemClock
from blurryscope.devices.contracts import StageLimits, StageMode, StagePoint, StageStatus
from blurryscope.devices.errors import (
    DeviceError,
    GarbledLinkError,
    HomingFailedError,
    NotHomedError,
    SettingsRefusedError,
    StageAstrayError,
    StageHeldError,
    StageStalledError,
)
from blurryscope.devices.marlin_link import MarlinLink
from blurryscope.devices.refusals import no_way_to_go, refuse_move
from blurryscope.devices.serial_port import SerialPort
from blurryscope.devices.travel_time import AxisPaces

_ARRIVED_UM = 11.0
"""`M114` tells hundredths of a millimetre."""
_STALLED_S = 1.0
_HOMING_S = 180.0
_LOOK_S = 0.1
_SPARE_S = 5.0
"""Beyond the time that a move should take: the limit is there for what hangs, not to pace."""
_NUMBER = r"(-?\d+(?:\.\d+)?)(?![\d.])"
"""Nothing else: replies carry no checksum, so a number may be damaged on its way."""
_THREE = rf"X{_NUMBER} ?Y{_NUMBER} ?Z{_NUMBER}"
_PLACE = re.compile(rf"X:\s*{_NUMBER}\s+Y:\s*{_NUMBER}\s+Z:\s*{_NUMBER}")
_ENDSTOPS = re.compile(
    rf"Soft endstops:\s*(\w+)\s+Min:\s*{_THREE}\s+Max:\s*{_THREE}", re.IGNORECASE
)
_RATES = re.compile(rf"M203 {_THREE}")
_ACCELERATIONS = re.compile(rf"M201 {_THREE}")
_TRAVEL = re.compile(rf"M204 .*T{_NUMBER}")
"""The acceleration of moves that print nothing, where it is lower than the axes'."""


class MarlinStage:
    """Drives a stage by Marlin's G-code; see `Stage` for what each method does.

    Marlin cannot hold in the middle of a move: `hold` stops the motors at once, which at the
    few millimetres a second of a scan costs no steps, and `resume` sends the rest again. It has
    no watchdog and no boot id: it has to be homed each time it is opened, and finishes its moves
    when this computer dies.
    """

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        self._url = url
        self._clock = clock or SystemClock()
        self._link = MarlinLink(SerialPort(url), self._clock)
        self._firmware = "Marlin"
        self._limits: StageLimits | None = None
        self._paces: AxisPaces | None = None
        self._is_homed = self._is_homing = False
        self._moves: list[tuple[StagePoint, float]] = []
        """Those not known to be over, with their speeds."""
        self._due_s = 0.0
        """When all moves are over at the latest."""
        self._is_held = False
        self._stop_count = 0

    def __enter__(self) -> Self:
        self._link.open()
        try:
            self._is_homed = self._is_held = False
            self._moves.clear()
            told = self._link.identity
            if "EMERGENCY_PARSER:1" not in told:
                raise SettingsRefusedError(
                    self._url,
                    "was built without EMERGENCY_PARSER, so its homing could not be stopped",
                    "Build Marlin with it",
                )
            self._firmware = told.partition("FIRMWARE_NAME:")[2].partition(" (")[0] or "Marlin"
            self._limits = self._read_limits()
            self._link.ask("M84 S0")  # or it frees its motors after a rest, and they slip
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
            with contextlib.suppress(DeviceError):
                self.stop()
        finally:
            self._link.close()

    @property
    def name(self) -> str:
        return f"{self._firmware} on {self._url}"

    @property
    def limits(self) -> StageLimits:
        if self._limits is None:
            raise NotHomedError(self._url, "is not open", "Open the stage in `with`")
        return self._limits

    def status(self) -> StageStatus:
        with self._link.lock:
            position = self._position()
            return StageStatus(
                mode=self._mode(position),
                position=position,
                is_homed=self._is_homed,
                time_s=self._clock.monotonic_s(),
            )

    def home(self) -> StageStatus:
        with self._link.lock:
            self._is_homed, self._is_held, self._is_homing = False, False, True
            self._moves.clear()
            try:
                told = self._link.ask("G28 Z", _HOMING_S) + self._link.ask("G28 X Y", _HOMING_S)
            except (KeyboardInterrupt, SystemExit):
                self._link.interrupt("M112")  # nothing else stops its homing
                raise
            finally:
                self._is_homing = False
            if any("fail" in line.lower() for line in told):
                raise HomingFailedError(
                    self._url, "could not be homed", "Check the limit switches and their wires"
                )
            self._is_homed = True
        return self.status()

    def move_to(self, target: StagePoint, speed_um_per_s: float | None = None) -> None:
        refuse_move(self._url, self.limits, target, speed_um_per_s)
        with self._link.lock:
            if not self._is_homed:
                raise NotHomedError(
                    self._url, "does not know where it is and did not move", "Home the stage first"
                )
            if self._is_held:
                raise self._held("is held")
            self._order(target, speed_um_per_s or self.limits.speed_um_per_s)

    def wait_until_rest(self) -> StageStatus:
        stops = self._stop_count
        before, since_s = self._position(), self._clock.monotonic_s()
        while True:
            if self._stop_count != stops:
                raise self._held("was stopped")
            if self._is_held:
                raise self._held("was held")
            if not self._moves:
                return self.status()
            position, now_s = self._position(), self._clock.monotonic_s()
            if position != before:
                before, since_s = position, now_s
            is_there = position.distance_um(self._moves[-1][0]) <= _ARRIVED_UM
            if is_there or now_s - since_s > _STALLED_S:
                self._settle(stops)
            else:
                self._clock.sleep(_LOOK_S)

    def hold(self) -> None:
        if self._is_homing:
            self._link.interrupt("M112")
        elif self._moves:
            self._is_held = True
            self._quick_stop()

    def resume(self) -> None:
        with self._link.lock:
            if not self._is_held:
                return
            self._is_held = False
            left, self._moves = self._left(), []
            for target, speed in left:
                self._order(target, speed)

    def stop(self) -> None:
        self._stop_count += bool(self._moves)
        if self._is_homing:
            self._link.interrupt("M112")
            return
        self._quick_stop()
        with self._link.lock:
            self._is_held = False
            self._moves.clear()

    def _quick_stop(self) -> None:
        """At once, past whoever waits for a reply; and once more, with a checksum."""
        self._link.interrupt("M410")
        with self._link.lock:
            self._link.ask("M410")

    def _mode(self, position: StagePoint) -> StageMode:
        if not self._is_homed:
            return StageMode.HOMING if self._is_homing else StageMode.UNHOMED
        if self._is_held:
            return StageMode.HELD
        is_there = not self._moves or position.distance_um(self._moves[-1][0]) <= _ARRIVED_UM
        return StageMode.RESTING if is_there else StageMode.MOVING

    def _order(self, target: StagePoint, speed: float) -> None:
        place = f"X{target.x_um / 1000:.4f} Y{target.y_um / 1000:.4f} Z{target.z_um / 1000:.4f}"
        start = self._moves[-1][0] if self._moves else self._position()
        self._link.ask("G90")
        # Sixteen moves wait in Marlin; the reply to one more takes until there is room.
        self._link.ask(f"G1 {place} F{speed * 60 / 1000:.3f}", 120.0)
        lasts_s = 0.0 if self._paces is None else self._paces.lasts_s(start, target, speed)
        self._due_s = max(self._due_s, self._clock.monotonic_s()) + 2 * lasts_s + _SPARE_S
        self._moves.append((target, speed))

    def _left(self) -> list[tuple[StagePoint, float]]:
        """The moves that are not over, judged by the first target that lies ahead."""
        position = self._position()
        done = [
            number
            for number, (target, _) in enumerate(self._moves)
            if position.distance_um(target) <= _ARRIVED_UM
        ]
        return self._moves[done[-1] + 1 :] if done else self._moves[:]

    def _settle(self, stops: int) -> None:
        """Wait for the very end of the moves, and see that it rests where it was sent.

        Or for a hold or a stop, of which there had been `stops` before.
        """
        target = self._moves[-1][0]
        with self._link.lock:
            try:
                # Marlin as it is built by default tells where it goes, not where it is: only this
                # says that it is there.
                self._link.ask("M400", max(self._due_s - self._clock.monotonic_s(), _SPARE_S))
            except DeviceError as error:
                self._is_homed = False
                self._link.interrupt("M410")
                raise StageStalledError(
                    self._url, "says that it moves, and stands", "Check motor and screw, then home"
                ) from error
            if self._is_held or self._stop_count != stops:
                return
            position = self._position()
            self._moves.clear()
        if position.distance_um(target) > _ARRIVED_UM:
            raise StageAstrayError(
                self._url, f"rests at {position} instead of {target}", "Check the USB cable"
            )

    def _position(self) -> StagePoint:
        for _ in range(3):
            for line in self._link.ask("M114 R"):
                if match := _PLACE.match(line):  # behind it come counts of steps that look alike
                    x, y, z = (float(value) * 1000 for value in match.groups())
                    return StagePoint(x_um=x, y_um=y, z_um=z)
        raise GarbledLinkError(self._url, "does not tell where it is", "Check the USB cable")

    def _read_limits(self) -> StageLimits:
        for _ in range(3):
            told = "\n".join(self._link.ask("M211") + self._link.ask("M503", 10.0))
            ends, rates = _ENDSTOPS.search(told), _RATES.search(told)
            accelerations, travel = _ACCELERATIONS.search(told), _TRAVEL.search(told)
            if ends and rates and accelerations and travel:
                try:
                    self._paces = _paces(rates, accelerations, float(travel[1]))
                    return self._limits_of(ends, self._paces)
                except ValueError as error:
                    raise no_way_to_go(self._url, error) from error
        raise GarbledLinkError(
            self._url, "does not tell its settings completely", "Check the USB cable"
        )

    def _limits_of(self, ends: re.Match[str], paces: AxisPaces) -> StageLimits:
        if ends[1].lower() != "on":
            raise SettingsRefusedError(
                self._url, "has its soft endstops switched off", "Switch them on with M211 S1"
            )
        low_x, low_y, low_z, high_x, high_y, high_z = (float(v) * 1000 for v in ends.groups()[1:])
        return StageLimits(
            lowest=StagePoint(x_um=low_x, y_um=low_y, z_um=low_z),
            highest=StagePoint(x_um=high_x, y_um=high_y, z_um=high_z),
            speed_um_per_s=paces.speed_um_per_s[0],
            acceleration_um_per_s2=paces.acceleration_um_per_s2[0],
        )

    def _held(self, what: str) -> StageHeldError:
        remedy = "Resume, or stop and send it again"
        return StageHeldError(self._url, f"{what} before it was there", remedy)


def _paces(rates: re.Match[str], accelerations: re.Match[str], travel: float) -> AxisPaces:
    """In mm there; `travel` is the acceleration of moves along any axis."""
    x_speed, y_speed, z_speed = (float(rate) * 1000 for rate in rates.groups())
    x_gain, y_gain, z_gain = (min(float(a), travel) * 1000 for a in accelerations.groups())
    return AxisPaces(
        speed_um_per_s=(x_speed, y_speed, z_speed),
        acceleration_um_per_s2=(x_gain, y_gain, z_gain),
    )
