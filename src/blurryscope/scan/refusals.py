"""Plans that cannot work, found before anything moves; each refusal shows its figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from blurryscope.basics.errors import InputError
from blurryscope.basics.percent import percent
from blurryscope.devices.contracts import StageLimits
from blurryscope.scan.estimate import estimate
from blurryscope.scan.plan import ScanPlan

MOST_PITCH_FRACTION = 0.95
"""Of the measured field across: below 5 % overlap neighbouring lanes cannot be joined."""
MOST_FRAME_STEP_FRACTION = 0.85
"""Of a frame's length, where the rolling shutter stretches: the next frame needs common ground."""
MOST_BLUR_UM = 45.0
"""The paper's 39 µm and a margin: the networks know no longer blur, and a cell is 10 to 20 µm."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a plan cannot work, with the figures, and what would."""

    problem: str
    remedy: str


def refusals(
    plan: ScanPlan, limits: StageLimits | None = None, most_blur_um: float = MOST_BLUR_UM
) -> list[Refusal]:
    """Everything that is wrong with a plan; empty if it can be scanned.

    Without `limits` only what depends on no stage is looked at.
    """
    found = [*_of_the_field(plan), *_of_the_blur(plan, most_blur_um)]
    if limits is not None:
        found += [*_of_the_motion(plan, limits), *_of_the_way(plan, limits)]
    return found


def refuse(
    where: object,
    plan: ScanPlan,
    limits: StageLimits | None = None,
    most_blur_um: float = MOST_BLUR_UM,
) -> None:
    """Raise an `InputError` with all refusals of the plan, if there are any."""
    _raise(where, refusals(plan, limits, most_blur_um))


def refuse_before_calibrating(
    where: object, plan: ScanPlan, limits: StageLimits, most_blur_um: float = MOST_BLUR_UM
) -> None:
    """Raise an `InputError` with all that is wrong whatever the camera turns out to see."""
    found = [
        *_of_the_blur(plan, most_blur_um),
        *_of_the_motion(plan, limits),
        *_of_the_way(plan, limits),
    ]
    _raise(where, found)


def _raise(where: object, found: Sequence[Refusal]) -> None:
    if found:
        problems = "; ".join(refusal.problem for refusal in found)
        remedies = dict.fromkeys(refusal.remedy for refusal in found)
        raise InputError(where, problems, ". ".join(remedies))


def _of_the_field(plan: ScanPlan) -> Iterator[Refusal]:
    across_um, pitch_um = plan.field.across_um, plan.lane_pitch_um
    most_um = MOST_PITCH_FRACTION * across_um
    if pitch_um > most_um:
        yield Refusal(
            f"a lane pitch of {pitch_um:.0f} µm leaves gaps in a field {across_um:.0f} µm across",
            f"Use at most {most_um:.0f} µm",
        )
    step = estimate(plan).frame_step_fraction
    if step > MOST_FRAME_STEP_FRACTION:
        turned = ", or turn the long side of the camera along the lanes"
        could_be_longer = plan.field.is_portrait and plan.field.columns > plan.field.rows
        yield Refusal(
            f"at {plan.motion.speed_um_per_s:.0f} µm/s and {plan.field.frame_rate_hz:g} frames a "
            f"second a frame moves on by {percent(step)} of its length of "
            f"{plan.field.along_um:.0f} µm, so that neighbouring frames have too little in common",
            f"Scan at {_most_speed_um_per_s(plan):.0f} µm/s at most"
            + (turned if could_be_longer else ""),
        )


def _most_speed_um_per_s(plan: ScanPlan) -> float:
    """At which frames have just enough in common; the slower, the less the shutter stretches."""
    unstretched = MOST_FRAME_STEP_FRACTION * plan.field.frame_rate_hz * plan.field.along_um
    stretch_s_per_um = abs(plan.field.readout_ratio) / plan.motion.speed_um_per_s
    return unstretched / (1 + stretch_s_per_um * unstretched)


def _of_the_blur(plan: ScanPlan, most_blur_um: float) -> Iterator[Refusal]:
    blur_um = plan.motion.speed_um_per_s * plan.field.exposure_s
    if blur_um > most_blur_um:
        most_ms = 1000 * most_blur_um / plan.motion.speed_um_per_s
        yield Refusal(
            f"{plan.motion.speed_um_per_s:.0f} µm/s and an exposure of "
            f"{1000 * plan.field.exposure_s:.1f} ms blur over {blur_um:.0f} µm, which swallows the "
            f"cells (at most {most_blur_um:.0f} µm)",
            f"Expose for {most_ms:.1f} ms at most, or scan more slowly",
        )


def _of_the_motion(plan: ScanPlan, limits: StageLimits) -> Iterator[Refusal]:
    motion = plan.motion
    if motion.speed_um_per_s > limits.speed_um_per_s:
        yield Refusal(
            f"{motion.speed_um_per_s:.0f} µm/s is more than the stage can do "
            f"({limits.speed_um_per_s:.0f} µm/s)",
            f"Scan at {limits.speed_um_per_s:.0f} µm/s at most",
        )
    if motion.acceleration_um_per_s2 > limits.acceleration_um_per_s2:
        yield Refusal(
            f"the plan counts on {motion.acceleration_um_per_s2:.0f} µm/s², the stage is set to "
            f"{limits.acceleration_um_per_s2:.0f}",
            f"Plan with {limits.acceleration_um_per_s2:.0f} µm/s², which makes the ramps longer",
        )


def _of_the_way(plan: ScanPlan, limits: StageLimits) -> Iterator[Refusal]:
    """Lanes with their over-travel must stay within the limits; the corners tell."""
    points = [point for lane in plan.lanes() for point in (lane.start, lane.end)]
    low, high = limits.lowest, limits.highest
    ways = (
        ("x", [p.x_um for p in points], low.x_um, high.x_um),
        ("y", [p.y_um for p in points], low.y_um, high.y_um),
        ("z", [p.z_um for p in points], low.z_um, high.z_um),
    )
    for axis, values, lowest, highest in ways:
        if min(values) < lowest or max(values) > highest:
            digits = 1 if axis == "z" else 0
            beyond = f", {plan.over_travel_um:.0f} µm of run-up included" if axis == "x" else ""
            yield Refusal(
                f"lanes need {axis} from {min(values):.{digits}f} to {max(values):.{digits}f} µm"
                f"{beyond}, and the stage goes from {lowest:.0f} to {highest:.0f}",
                {"z": "Measure the focus again"}.get(axis, "Move or shrink the area"),
            )
