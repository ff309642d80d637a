"""Two microscopes: one that behaves, and one like the authors' own as measured on its pictures."""

from dataclasses import dataclass, field

from blurryscope.simulator.camera import CameraSettings
from blurryscope.simulator.stage import StageSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSettings:
    """A stage, a camera, how lanes overlap, and how the film is stored."""

    stage: StageSettings = field(default_factory=StageSettings)
    camera: CameraSettings = field(default_factory=CameraSettings)
    lane_overlap_fraction: float = 0.2
    """Share of the field that neighbouring lanes have in common."""
    codec: str = "libx264"
    quality: int = 18
    """The encoder's constant rate factor: lower is better; MJPEG and FFV1 do without."""

    def __post_init__(self) -> None:
        if not 0 <= self.lane_overlap_fraction < 0.9:
            raise ValueError(
                f"lane_overlap_fraction must lie in 0..0.9, got {self.lane_overlap_fraction}"
            )


PLAIN = ScanSettings(
    stage=StageSettings(
        step_jitter_um=2.0, wander_um=0.8, skew_deg=0.05, jerks_per_lane=0.1, backlash_um=3.0
    ),
    camera=CameraSettings(
        pixel_size_um=1.12,
        shading_fraction=0.08,
        noise=1.2,
        dirt_count=2,
        timing_jitter_s=0.0002,
    ),
    lane_overlap_fraction=0.15,
)
"""1.12 µm per pixel, the camera straight, all rows exposed at once, mild faults."""

AUTHENTIC = ScanSettings(
    stage=StageSettings(
        step_jitter_um=3.0,
        wander_um=1.5,
        skew_deg=0.25,
        jerks_per_lane=0.35,
        scale_error=0.002,
        screw_error_um=2.5,
        backlash_um=14.0,
        vibration_um=0.08,
    ),
    camera=CameraSettings(
        pixel_size_um=0.72,
        turn_deg=94.4,
        readout_s=0.017,
        shading_fraction=0.14,
        dirt_count=5,
        noise=1.8,
        exposure_jumps_per_minute=2.0,
        white_balance_jumps_per_minute=1.0,
        timing_jitter_s=0.0006,
        drop_fraction=0.006,
        repeat_fraction=0.006,
    ),
    lane_overlap_fraction=0.2,
    quality=19,
)
"""Like the authors' device: 0.72 µm per pixel, the camera turned by 90 degrees and 4.4 more, 17 ms
of rolling shutter along the scan, jerks, frames lost and doubled. The overlap is the paper's; its
released pictures show up to 0.38."""

PRESETS = {"plain": PLAIN, "authentic": AUTHENTIC}
