"""Everything that shapes the result of a run, apart from its inputs."""

from dataclasses import dataclass, field, replace

from blurryscope.artifacts.recording import Recording
from blurryscope.classify.shipped import SHIPPED
from blurryscope.evaluate.repeats import FusionRule
from blurryscope.stitch.stitcher import StitchSettings
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.settings import TmaSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a run is done; every field has a default."""

    stitch: StitchSettings = field(default_factory=StitchSettings)
    tma: TmaSettings = field(default_factory=TmaSettings)
    """Of the first film; repeats follow it."""
    repeat_orientations: tuple[Orientation | None, ...] = ()
    """How the second film, the third and so on lay; None, or nothing, is found out by itself."""
    model: str = SHIPPED
    """Name of a shipped model, or path of a safetensors file."""
    threshold: float | None = None
    """Confidence below which a score is withheld; the model's own if None."""
    fusion: FusionRule = FusionRule.LOG_AVERAGE
    shows_why: bool = True
    """Whether each scored core gets a map of where its score comes from."""
    pixel_size_um: float | None = None
    """None is measured from the film and the speed of the stage."""
    rest_s: float | None = None
    """How long the stage stands between two lanes, step across included; None is what was recorded,
    or else as in the paper."""
    takes_damaged: bool = False
    is_mirrored: bool = False
    """Whether the camera saw the slide in a mirror; the film's recording.json may say so too."""
    consensus: str | None = None
    """How one score is made of several readers' in the map: `majority`, `median`, or a name."""
    is_orientation_told: bool = False
    """Whether a person said how the slide lies; else what was said before holds."""
    forgets_answers: bool = False
    """Ask anew, whatever was answered before about this slide."""

    def __post_init__(self) -> None:
        if self.pixel_size_um is not None and not 0 < self.pixel_size_um < float("inf"):
            raise ValueError(f"pixel_size_um must be positive, got {self.pixel_size_um}")
        if self.rest_s is not None and not 0 < self.rest_s < float("inf"):
            raise ValueError(f"rest_s must be positive, got {self.rest_s}")

    def for_film(self, recording: Recording) -> "RunSettings":
        """With what the rig told of the film: exposure, rests, starts, speed, how its axes lie.

        Its pixel size goes no further than that: the film tells it from the speed. Rests that a
        person told count more than those of the rig.
        """
        stitch = self.stitch
        rest_s = recording.rest_s if self.rest_s is None else self.rest_s
        if rest_s is not None:
            stitch = replace(stitch, rest_s=rest_s)
        if recording.exposure_s is not None:
            stitch = replace(stitch, exposure_s=recording.exposure_s)
        if recording.lane_starts_s is not None:
            stitch = replace(stitch, lane_starts_s=recording.lane_starts_s)
        if recording.skew_deg is not None:
            stitch = replace(stitch, skew_deg=recording.skew_deg)
        if recording.pixel_size_um is not None and recording.speed_um_per_s is not None:
            speed_px_per_s = recording.speed_um_per_s / recording.pixel_size_um
            stitch = replace(stitch, told_speed_px_per_s=speed_px_per_s)
        return replace(self, stitch=stitch)

    def tma_of_repeat(self, number: int) -> TmaSettings:
        """How cores are looked for in a repeat after the first, whose `number` is 2 or more."""
        told = self.repeat_orientations[number - 2 : number - 1]
        return replace(self.tma, orientation=told[0] if told else None)
