"""A first look at a microscope: who answers, and whether its picture can be worked with."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.percent import percent
from blurryscope.devices.contracts import CameraSettings, StageLimits, StageStatus
from blurryscope.scan.drive import SETTLE_S, Microscope

WHITE = 254
"""A camera's top: what is brighter looks alike."""
MOST_WHITE_FRACTION, LEAST_BRIGHT, LEAST_EVEN_FRACTION = 0.01, 100.0, 0.6
_EDGE_FRACTION = 0.15
"""Of each side: how large corners and middle are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """What a picture says about light and exposure; grey levels of 255."""

    brightest: float
    """What 1 % of the pixels reach."""
    white_fraction: float
    """Share of pixels with a colour at the camera's top."""
    corner_fraction: float
    """The darkest corner against the middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLook:
    """What stage and camera answered."""

    stage: str
    status: StageStatus
    limits: StageLimits
    camera: str
    settings: CameraSettings
    light: Light
    picture: NDArray[np.uint8]
    """The picture, (row, col, rgb)."""


def first_look(scope: Microscope, *, homes: bool) -> FirstLook:
    """Ask stage and camera, and take a picture; nothing moves unless it `homes`."""
    status = scope.stage.home() if homes else scope.stage.status()
    scope.clock.sleep(SETTLE_S)
    rgb = scope.camera.grab().rgb()
    return FirstLook(
        stage=scope.stage.name,
        status=status,
        limits=scope.stage.limits,
        camera=scope.camera.name,
        settings=scope.camera.settings,
        light=light_of(rgb),
        picture=rgb,
    )


def light_of(rgb: NDArray[np.uint8]) -> Light:
    """Judge the light of a picture, (row, col, rgb) uint8."""
    luma = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    rows, columns = (max(round(_EDGE_FRACTION * side), 1) for side in luma.shape)
    top, left = (luma.shape[0] - rows) // 2, (luma.shape[1] - columns) // 2
    middle = float(np.median(luma[top : top + rows, left : left + columns]))
    corners = [
        float(np.median(luma[down, across]))
        for down in (slice(rows), slice(-rows, None))
        for across in (slice(columns), slice(-columns, None))
    ]
    return Light(
        brightest=float(np.quantile(luma, 0.99)),
        white_fraction=float((rgb >= WHITE).any(axis=2).mean()),
        corner_fraction=min(corners) / max(middle, 1.0),
    )


def advice(look: FirstLook) -> Iterator[str]:
    """What to put right before anything is calibrated, in words; nothing if all is well."""
    light = look.light
    if light.brightest < LEAST_BRIGHT:
        cause = "The lamp burns only after homing: look again with --home"
        if look.status.is_homed:
            cause = "Raise lamp_fraction in rig.toml, or expose for longer"
        yield (
            f"the picture is dark (its brightest hundredth is at {light.brightest:.0f} of 255). "
            f"{cause}."
        )
    if light.white_fraction > MOST_WHITE_FRACTION:
        yield (
            f"{percent(light.white_fraction)} of the picture is at the camera's top. "
            "Lower lamp_fraction in rig.toml, or expose for shorter."
        )
    if light.brightest >= LEAST_BRIGHT and light.corner_fraction < LEAST_EVEN_FRACTION:
        yield (
            f"a corner has {percent(light.corner_fraction)} of the light of the middle. On empty "
            "glass that is uneven light: move the condenser."
        )
