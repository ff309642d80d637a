"""`rig.toml`: which microscope. The only place that chooses between a real and a simulated one."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal, Self

import pydantic

from blurryscope.artifacts.toml_file import TomlTable, read_toml
from blurryscope.basics.clock import SystemClock
from blurryscope.basics.errors import InputError
from blurryscope.devices.contracts import Camera, CameraSettings, Stage, StageLimits, StagePoint
from blurryscope.devices.film_camera import FilmCamera
from blurryscope.devices.grbl_stage import GrblStage
from blurryscope.devices.marlin_stage import MarlinStage
from blurryscope.devices.micro_manager import MicroManagerCamera, MicroManagerStage, open_core
from blurryscope.devices.uvc_camera import UvcCamera
from blurryscope.scan.bench import FocusSearch
from blurryscope.scan.drive import Microscope
from blurryscope.scan.plan import FieldOfView
from blurryscope.scan.plausible import (
    AccelerationUmPerS2,
    ExposureS,
    FrameRateHz,
    FrameSidePx,
    LengthUm,
    PixelSizeUm,
    PlaceUm,
    SlopeUmPerUm,
    SpeedUmPerS,
    TurnDeg,
)
from blurryscope.simulator.fast_clock import FastClock
from blurryscope.simulator.presets import PRESETS, ScanSettings
from blurryscope.simulator.rig import FocusSurface, RigSettings, SimulatedRig
from blurryscope.simulator.slide import SlideDesign

SIMULATED = "simulated"
_REMEDY = "Correct it; docs/how-to/scan.md shows a rig.toml"
_MOST_FOCUS_STEPS = 200
"""Above the middle, and below; more would take a quarter of an hour at each place."""
_FAST = 20.0
"""How many times faster than real time a simulated microscope runs at most."""
_SLOWEST_FRAME_S = 60.0
"""Of real time: a busy computer may take long to draw the cores that a frame shows first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSlide:
    """What a simulated rig carries, and how it is built."""

    scan: ScanSettings
    design: SlideDesign
    focus: FocusSurface | None = None
    """None is a lens to which z makes no difference."""
    speed: float = _FAST


@dataclass(frozen=True, slots=True, kw_only=True)
class RealDevices:
    """What hangs on which port."""

    stage_port: str
    """`/dev/ttyACM0`, `COM3`."""
    speaks: Literal["grbl", "marlin"] = "grbl"
    profile: dict[int, float] = field(default_factory=dict)
    """Settings of the controller by number, compared when it is opened."""
    lamp_fraction: float = 0.0
    """How bright the controller's lamp burns; 0 where the light has a switch of its own."""
    camera_device: str
    """Of a USB camera: `/dev/video0`; of a film its path."""
    camera_driver: Literal["uvc", "film"] = "uvc"


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroManagerDevices:
    """The default stage, focus and camera of a Micro-Manager configuration."""

    limits: StageLimits
    """Micro-Manager knows none."""
    configuration: Path | None = None
    """None is its demonstration."""
    speed_property: str | None = None
    """Of the XY stage, in mm/s; None leaves the speed as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """A microscope that can be opened."""

    name: str
    devices: RealDevices | MicroManagerDevices | SimulatedSlide
    camera: CameraSettings
    """Asked for and locked when it is opened."""
    focus: FocusSearch
    guess: FieldOfView
    """Before there is a calibration."""
    folder: Path | None
    """Where its calibration lies; None lays it beside the results."""

    @contextmanager
    def opened(self) -> Iterator[Microscope]:
        """Open stage and camera, set and lock the camera; all is closed again at the end."""
        with ExitStack() as stack:
            if isinstance(self.devices, SimulatedSlide):
                scope, _ = stack.enter_context(self.opened_with_truth())
            else:
                if isinstance(self.devices, MicroManagerDevices):
                    scope = _open_micro_manager(self.name, self.devices, stack)
                else:
                    scope = _open_real(self.name, self.devices, self.camera, stack)
                scope.camera.configure(self.camera)
            yield scope

    @contextmanager
    def opened_with_truth(self) -> Iterator[tuple[Microscope, SimulatedRig]]:
        """As `opened`, and what stands behind it; `ValueError` for a real microscope."""
        if not isinstance(self.devices, SimulatedSlide):
            raise ValueError(f"{self.name} is no simulated rig: nobody knows its truth")
        with ExitStack() as stack:
            scope, rig = _open_simulated(self.name, self.devices, stack)
            scope.camera.configure(self.camera)
            yield scope, rig


def load_rig(named: str) -> Rig:
    """Read a `rig.toml`, or take `simulated`, the microscope that everybody has."""
    if named == SIMULATED:
        return _simulated(_SimulatedOnDisk(), SIMULATED, None)
    path = Path(named)
    missing = f"Give a rig.toml, or {SIMULATED!r}"
    return _rig_of(read_toml(path, _RigOnDisk, missing=missing, remedy=_REMEDY), path)


def _rig_of(stored: "_RigOnDisk", path: Path) -> Rig:
    folder = path.parent / f"{path.stem}-calibration"
    kinds = [stored.simulated, stored.micro_manager, stored.stage or stored.camera]
    if sum(kind is not None for kind in kinds) > 1:
        raise InputError(path, "names more than one microscope", _REMEDY)
    if stored.simulated is not None:
        return _simulated(stored.simulated, stored.name, folder, stored)
    if stored.micro_manager is not None:
        return _micro_managed(stored, stored.micro_manager, path)
    if stored.stage is None or stored.camera is None:
        has_one = (stored.stage is None) != (stored.camera is None)
        there, wanted = ("camera", "stage") if stored.stage is None else ("stage", "camera")
        raise InputError(
            path,
            f"has a [{there}] and no [{wanted}]" if has_one
            else "names neither [stage] and [camera] nor [micro_manager] or [simulated]",
            _REMEDY,
        )  # fmt: skip
    camera = stored.camera
    return Rig(
        name=stored.name,
        devices=RealDevices(
            stage_port=stored.stage.port,
            speaks=stored.stage.speaks,
            profile={int(number): value for number, value in stored.stage.settings.items()},
            lamp_fraction=stored.stage.lamp_fraction,
            camera_device=camera.device_beside(path),
            camera_driver=camera.driver,
        ),
        camera=camera.settings(),
        focus=FocusSearch(**stored.focus.model_dump()),
        guess=camera.field_of_view(),
        folder=folder,
    )


def _micro_managed(stored: "_RigOnDisk", told: "_MicroManagerOnDisk", path: Path) -> Rig:
    configuration = told.configuration
    try:
        limits = StageLimits(
            lowest=_point(told.lowest_um),
            highest=_point(told.highest_um),
            speed_um_per_s=told.speed_um_per_s,
            acceleration_um_per_s2=told.acceleration_um_per_s2,
        )
    except ValueError as error:
        raise InputError(f"{path}, micro_manager", str(error), _REMEDY) from error
    return Rig(
        name=stored.name,
        devices=MicroManagerDevices(
            limits=limits,
            configuration=None if configuration is None else path.parent / configuration,
            speed_property=told.speed_property,
        ),
        camera=CameraSettings(exposure_s=told.exposure_s),
        focus=FocusSearch(**stored.focus.model_dump()),
        guess=told.field_of_view(),
        folder=path.parent / f"{path.stem}-calibration",
    )


def _point(place_um: tuple[float, float, float]) -> StagePoint:
    x_um, y_um, z_um = place_um
    return StagePoint(x_um=x_um, y_um=y_um, z_um=z_um)


def _simulated(
    stored: "_SimulatedOnDisk", name: str, folder: Path | None, rig: "_RigOnDisk | None" = None
) -> Rig:
    scan = PRESETS[stored.preset]
    mounted = replace(
        scan.camera,
        rows=scan.camera.rows // stored.shrink,
        columns=scan.camera.columns // stored.shrink,
        pixel_size_um=scan.camera.pixel_size_um * stored.shrink,
    )
    focus = rig.focus if rig is not None else _FocusOnDisk()
    surface = None if stored.focus is None else FocusSurface(**stored.focus.model_dump())
    return Rig(
        name=name,
        devices=SimulatedSlide(
            scan=replace(scan, camera=mounted),
            design=stored.design(),
            focus=surface,
            speed=stored.speed,
        ),
        camera=CameraSettings(exposure_s=mounted.exposure_s, gain=1.0, white_balance_k=4600.0),
        # Without [simulated.focus] no height changes what its camera sees, which is no fault of it.
        focus=FocusSearch(**focus.model_dump(), is_expected=surface is not None),
        guess=FieldOfView(
            # As a lab would guess: 10x on the side of the box, the camera about upright.
            pixel_size_um=0.56 * stored.shrink,
            rows=mounted.rows,
            columns=mounted.columns,
            turn_deg=90.0 * round(mounted.turn_deg / 90.0),
        ),
        folder=folder,
    )


def _open_simulated(
    name: str, devices: SimulatedSlide, stack: ExitStack
) -> tuple[Microscope, SimulatedRig]:
    clock = stack.enter_context(FastClock(devices.speed, bound_lasts_s=_SLOWEST_FRAME_S))
    settings = RigSettings(scan=devices.scan, lamp_fraction=1.0, focus=devices.focus)
    rig = SimulatedRig(devices.design, clock, settings)
    stack.enter_context(rig)
    stage, camera = stack.enter_context(rig.stage()), stack.enter_context(rig.camera())
    return Microscope(name, stage, camera, clock), rig


def _open_real(
    name: str, devices: RealDevices, asked: CameraSettings, stack: ExitStack
) -> Microscope:
    clock = SystemClock()
    stage: Stage = GrblStage(
        devices.stage_port,
        clock=clock,
        profile=devices.profile,
        lamp_fraction=devices.lamp_fraction,
    )
    if devices.speaks == "marlin":
        stage = MarlinStage(devices.stage_port, clock=clock)
    camera: Camera = UvcCamera(devices.camera_device, asked, clock=clock)
    if devices.camera_driver == "film":
        camera = FilmCamera(Path(devices.camera_device), clock=clock)
    return Microscope(name, stack.enter_context(stage), stack.enter_context(camera), clock)


def _open_micro_manager(name: str, devices: MicroManagerDevices, stack: ExitStack) -> Microscope:
    clock, core = SystemClock(), open_core(devices.configuration)
    stage = MicroManagerStage(
        core, devices.limits, speed_property=devices.speed_property, clock=clock
    )
    camera = MicroManagerCamera(core, clock=clock)
    return Microscope(name, stack.enter_context(stage), stack.enter_context(camera), clock)


class _StageOnDisk(TomlTable):
    speaks: Literal["grbl", "marlin"] = "grbl"
    port: str = pydantic.Field(min_length=1)
    settings: dict[str, float] = pydantic.Field(default={})
    """GRBL's `$` settings by number, such as "100" = 1600."""
    lamp_fraction: float = pydantic.Field(default=0.0, ge=0, le=1)

    @pydantic.field_validator("settings")
    @classmethod
    def _are_numbered(cls, settings: dict[str, float]) -> dict[str, float]:
        strangers = [name for name in settings if not name.isdecimal()]
        if strangers:
            raise ValueError(f"settings go by number, such as 100, got {strangers[0]!r}")
        return settings

    @pydantic.model_validator(mode="after")
    def _is_for_grbl(self) -> Self:
        if self.speaks == "marlin" and self.lamp_fraction:
            raise ValueError(
                "a Marlin controller's lamp is not known here: leave out lamp_fraction"
            )
        if self.speaks == "marlin" and self.settings:
            raise ValueError("settings are GRBL's; a Marlin controller's are not compared")
        return self


class _FieldOnDisk(TomlTable):
    """What a camera is thought to see."""

    columns: FrameSidePx = 640
    rows: FrameSidePx = 480
    frame_rate_hz: FrameRateHz = 30.0
    exposure_s: ExposureS | None = None
    """Left out: nothing is asked of the camera, which then keeps what it is set to."""
    pixel_size_um: PixelSizeUm
    """A guess; calibration measures it."""
    turn_deg: TurnDeg
    """A guess to the nearest right angle."""

    def field_of_view(self) -> FieldOfView:
        guess = FieldOfView(
            pixel_size_um=self.pixel_size_um,
            rows=self.rows,
            columns=self.columns,
            turn_deg=self.turn_deg,
            frame_rate_hz=self.frame_rate_hz,
        )
        return guess if self.exposure_s is None else replace(guess, exposure_s=self.exposure_s)


class _CameraOnDisk(_FieldOnDisk):
    driver: Literal["uvc", "film"] = "uvc"
    device: str = pydantic.Field(min_length=1)
    gain: float | None = pydantic.Field(default=None, ge=0)
    white_balance_k: float | None = pydantic.Field(default=None, ge=1000, le=20_000)
    pixel_size_um: PixelSizeUm = 0.72
    turn_deg: TurnDeg = 90.0

    def settings(self) -> CameraSettings:
        """What is asked of the camera; of a film, which is as it is, only what the file says."""
        told = self.model_dump(include={each.name for each in fields(CameraSettings)})
        if self.driver == "film":
            told = {name: value for name, value in told.items() if name in self.model_fields_set}
        return CameraSettings(**told)

    def device_beside(self, rig: Path) -> str:
        """The device's name; a film's path goes from the folder of rig.toml."""
        return str(rig.parent / self.device) if self.driver == "film" else self.device


class _FocusOnDisk(TomlTable):
    start_um: PlaceUm = 0.0
    reach_um: float = pydantic.Field(default=60.0, gt=0, le=1e4)
    step_um: float = pydantic.Field(default=10.0, gt=0)

    @pydantic.model_validator(mode="after")
    def _looks_at_some_heights(self) -> Self:
        if not 1 <= self.reach_um / self.step_um <= _MOST_FOCUS_STEPS:
            raise ValueError(
                f"reach_um must be 1 to {_MOST_FOCUS_STEPS} times step_um, "
                f"got {self.reach_um:g} and {self.step_um:g}"
            )
        return self


class _FocusSurfaceOnDisk(TomlTable):
    z_um: PlaceUm
    slope_x: SlopeUmPerUm = 0.0
    slope_y: SlopeUmPerUm = 0.0
    drift_um_per_s: PlaceUm = 0.0


class _SimulatedOnDisk(TomlTable):
    preset: Literal["plain", "authentic"] = "authentic"
    shrink: int = pydantic.Field(default=1, ge=1, le=8)
    """So many times fewer pixels each way, and so many times larger: quicker, and coarser."""
    speed: float = pydantic.Field(default=_FAST, ge=0.01, le=1000)
    rows: int = pydantic.Field(default=6, ge=1, le=100)
    columns: int = pydantic.Field(default=12, ge=1, le=100)
    core_diameter_um: LengthUm = 1000.0
    pitch_um: LengthUm = 1500.0
    margin_um: float = pydantic.Field(default=1250.0, gt=0, le=1e5)
    seed: int = pydantic.Field(default=0, ge=0)
    focus: _FocusSurfaceOnDisk | None = None

    @pydantic.model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        self.design()
        return self

    def design(self) -> SlideDesign:
        """The slide that it carries; a `ValueError` for one that cannot be."""
        of_the_rig = {"preset", "shrink", "speed", "focus"}
        return SlideDesign(name="SIM", **self.model_dump(exclude=of_the_rig))


class _MicroManagerOnDisk(_FieldOnDisk):
    configuration: Path | None = None
    lowest_um: tuple[PlaceUm, PlaceUm, PlaceUm]
    highest_um: tuple[PlaceUm, PlaceUm, PlaceUm]
    speed_um_per_s: SpeedUmPerS
    acceleration_um_per_s2: AccelerationUmPerS2 = 100_000.0
    speed_property: str | None = None
    turn_deg: TurnDeg = 0.0


class _RigOnDisk(TomlTable):
    name: str = pydantic.Field(min_length=1)
    micro_manager: _MicroManagerOnDisk | None = None
    stage: _StageOnDisk | None = None
    camera: _CameraOnDisk | None = None
    focus: _FocusOnDisk = _FocusOnDisk()
    simulated: _SimulatedOnDisk | None = None
