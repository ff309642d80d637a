"""What a GRBL controller's reports and settings mean, and how a move is put into a line for it."""

from blurryscope.devices.contracts import StageLimits, StageMode, StagePoint
from blurryscope.devices.grbl_words import Report
from blurryscope.devices.travel_time import AxisPaces

_UNTOLD_HOMING_S = 180.0
"""Where a controller does not tell how fast it homes: FluidNC keeps that in another file."""


def mode_of(report: Report, *, is_homed: bool, has_alarm: bool) -> StageMode:
    """What the stage does, in words that all stages share."""
    modes = {
        "Home": StageMode.HOMING,
        "Run": StageMode.MOVING,
        "Jog": StageMode.MOVING,
        "Hold": StageMode.HELD,
        "Door": StageMode.HELD,
        "Tool": StageMode.HELD,
    }
    if report.state in modes:
        return modes[report.state]
    if is_homed:
        return StageMode.RESTING
    return StageMode.ALARMED if has_alarm else StageMode.UNHOMED


def point_of(report: Report) -> StagePoint:
    """Where the report says that it is."""
    x, y, z = report.position_um
    return StagePoint(x_um=x, y_um=y, z_um=z)


def move_line(target: StagePoint, speed_um_per_s: float | None) -> str:
    """The line that orders a straight move; without a speed as fast as it can.

    `G53`: a controller may keep an offset for workpieces, which these places know nothing of.
    """
    words = "".join(
        f" {axis}{value / 1000:.4f}"
        for axis, value in zip("XYZ", (target.x_um, target.y_um, target.z_um), strict=True)
    )
    if speed_um_per_s is None:
        return f"G21 G90 G53 G0{words}"
    return f"G21 G90 G53 G1{words} F{speed_um_per_s * 60 / 1000:.3f}"


def lamp_line(level_fraction: float, full: float) -> str:
    """The command for a lamp between 0, dark, and 1; `full` is what the controller's `$30` says."""
    return f"M3 S{level_fraction * full:.0f}" if level_fraction else "M5"


def longest_homing_s(values: dict[int, float]) -> float:
    """How long homing may take, one axis after the other; times are in minutes there."""
    if not values.keys() >= {24, 25, 27}:
        return _UNTOLD_HOMING_S
    lasts_min = 0.0
    for axis in range(3):
        rate = values[110 + axis]  # holds in homing, too
        lasts_min += 1.5 * values[130 + axis] / min(values[25], rate)
        lasts_min += 4 * values[27] / min(values[24], values[25], rate)
    return 60 * lasts_min + 10.0


def paces_of(values: dict[int, float]) -> AxisPaces:
    """What each axis may do; rates are in mm/min there."""
    x_speed, y_speed, z_speed = (values[number] * 1000 / 60 for number in (110, 111, 112))
    x_gain, y_gain, z_gain = (values[number] * 1000 for number in (120, 121, 122))
    return AxisPaces(
        speed_um_per_s=(x_speed, y_speed, z_speed),
        acceleration_um_per_s2=(x_gain, y_gain, z_gain),
    )


def limits_of(values: dict[int, float], *, is_ours: bool) -> StageLimits:
    """Where it may go, from its settings; plain GRBL counts from -travel to 0 whatever $23 says."""
    mask, pull_off_um = int(values.get(23, 0.0)), values.get(27, 0.0) * 1000
    low, high = [], []
    for axis in range(3):
        travel_um = values.get(130 + axis, 0.0) * 1000
        if is_ours:
            low.append(0.0 if mask >> axis & 1 else -travel_um)
            high.append(low[-1] + travel_um)
        else:  # a switch sits at one end, and closes before the travel is over
            low.append(-travel_um + (pull_off_um if mask >> axis & 1 else 0.0))
            high.append(0.0 if mask >> axis & 1 else -pull_off_um)
    return StageLimits(
        lowest=StagePoint(x_um=low[0], y_um=low[1], z_um=low[2]),
        highest=StagePoint(x_um=high[0], y_um=high[1], z_um=max(high[2], low[2])),
        speed_um_per_s=values[110] * 1000 / 60,
        acceleration_um_per_s2=values[120] * 1000,
    )
