"""What a plan costs: time, frames, bytes; and what it yields: area and speed of scanning."""

from dataclasses import dataclass

from blurryscope.scan.plan import TALK_S, FieldOfView, Phase, ScanPlan

JPEG_BYTES_PER_PIXEL = 0.13
"""Motion JPEG of a cheap camera: 0.36 GB for 9,000 frames of 640 x 480."""
PAPER_MM2_PER_S = 3.0
"""The paper's figure; it needs a line pitch of 0.7 mm, which its published pictures contradict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What to expect of one scan."""

    duration_s: float
    frame_count: int
    covered_mm2: float
    mm2_per_s: float
    film_bytes: int
    mosaic_px: int
    blur_um: float
    """Length of the blur on the slide."""
    blur_px: tuple[float, float]
    """The blur in frames, shorter and longer: the rolling shutter stretches one direction."""
    frame_step_fraction: float
    """How much of a frame's length the next one moves on, in the stretched direction."""
    lane_overlap_fraction: float


def estimate(plan: ScanPlan) -> Estimate:
    """Time, frames, area and data of one scan; talk between host and stage counts too."""
    last = list(plan.segments())[-1]
    duration_s = last.start_s + last.lasts_s + TALK_S * (plan.lane_count - 1)
    field, motion = plan.field, plan.motion
    frame_count = round(duration_s * field.frame_rate_hz)
    step_um = motion.speed_um_per_s / field.frame_rate_hz
    blur_um = motion.speed_um_per_s * field.exposure_s
    covered, ratio = plan.covered, abs(field.readout_ratio)
    return Estimate(
        duration_s=duration_s,
        frame_count=frame_count,
        covered_mm2=covered.mm2,
        mm2_per_s=plan.area.mm2 / duration_s,
        film_bytes=round(frame_count * field.rows * field.columns * JPEG_BYTES_PER_PIXEL),
        mosaic_px=round(covered.mm2 * 1e6 / field.pixel_size_um**2),
        blur_um=blur_um,
        blur_px=(
            blur_um / field.pixel_size_um / (1 + ratio),
            blur_um / field.pixel_size_um / (1 - ratio),
        ),
        frame_step_fraction=step_um / field.along_um / (1 - ratio),
        lane_overlap_fraction=1 - plan.lane_pitch_um / field.across_um,
    )


def in_bytes(count: float) -> str:
    """An amount of data, to be read."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def scanning_fraction(plan: ScanPlan) -> float:
    """Share of the time that the stage is in lanes; the rest it rests, steps and turns."""
    segments = list(plan.segments())
    in_lanes_s = sum(part.lasts_s for part in segments if part.phase is Phase.LANE)
    return in_lanes_s / (segments[-1].start_s + segments[-1].lasts_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """A magnification as it might be built, with the camera's short or long side across lanes."""

    label: str
    pixel_size_um: float
    is_long_across: bool

    def field_of_view(self) -> FieldOfView:
        return FieldOfView(
            pixel_size_um=self.pixel_size_um, turn_deg=90.0 if self.is_long_across else 0.0
        )


BUILDS = (
    Optics(label="10x, short side across", pixel_size_um=0.56, is_long_across=False),
    Optics(label="10x, long side across", pixel_size_um=0.56, is_long_across=True),
    Optics(label="7.8x, long side across", pixel_size_um=0.717, is_long_across=True),
    Optics(label="5x (0.5x lens), short side across", pixel_size_um=1.12, is_long_across=False),
    Optics(label="5x (0.5x lens), long side across", pixel_size_um=1.12, is_long_across=True),
    Optics(label="3.5x (0.35x lens), long side across", pixel_size_um=1.60, is_long_across=True),
)
"""Fields that a 640 x 480 sensor of 5.6 µm pixels gives; 7.8x is what the paper's pictures show."""


def with_field(plan: ScanPlan, field: FieldOfView) -> ScanPlan:
    """The same area, motion and overlap seen by another field."""
    return ScanPlan(
        area=plan.area,
        field=field,
        motion=plan.motion,
        overlap_fraction=plan.overlap_fraction,
        backlash_um=plan.backlash_um,
        focus=plan.focus,
    )


def throughput(plan: ScanPlan) -> list[tuple[str, ScanPlan, Estimate]]:
    """How long the plan's area takes with the plan's own field and with every other build."""
    own = f"this plan, {plan.field.pixel_size_um:g} µm per pixel"
    plans = [(own, plan), *((b.label, with_field(plan, b.field_of_view())) for b in BUILDS)]
    return [(label, each, estimate(each)) for label, each in plans]
