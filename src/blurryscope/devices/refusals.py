"""What every stage refuses before it moves."""

from blurryscope.devices.contracts import StageLimits, StagePoint
from blurryscope.devices.errors import OutsideLimitsError, SettingsRefusedError


def in_words(point: StagePoint) -> str:
    """A place as a person reads it."""
    return f"({point.x_um / 1000:.3f}, {point.y_um / 1000:.3f}, {point.z_um / 1000:.3f}) mm"


def no_way_to_go(where: str, why: ValueError) -> SettingsRefusedError:
    """The error for a controller whose own settings leave its stage no room or no speed."""
    return SettingsRefusedError(
        where, f"has settings with which no stage can move: {why}", "Correct the controller"
    )


def refuse_move(
    where: str, limits: StageLimits, target: StagePoint, speed_um_per_s: float | None
) -> None:
    """Raise if a stage, named by `where`, may not go there, or not with that speed."""
    if not limits.contain(target):
        raise OutsideLimitsError(
            where,
            f"cannot go to {in_words(target)}, outside {in_words(limits.lowest)} to "
            f"{in_words(limits.highest)}",
            "Plan within the limits, or lay the slide elsewhere",
        )
    if speed_um_per_s is not None and speed_um_per_s <= 0:
        raise ValueError(f"speed_um_per_s must be positive, got {speed_um_per_s}")
