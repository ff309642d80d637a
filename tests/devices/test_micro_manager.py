"""Devices of Micro-Manager keep the same contracts, shown on its demonstration devices."""

from collections.abc import Iterator
from typing import Any

import pytest

from blurryscope.devices.contracts import Camera, Stage, StageLimits, StagePoint
from blurryscope.devices.micro_manager import MicroManagerCamera, MicroManagerStage, open_core
from blurryscope.testing import CameraContract, StageContract

pytest.importorskip("pymmcore_plus", reason="the extra `micro-manager` is not installed")
LIMITS = StageLimits(
    lowest=StagePoint(x_um=-20_000.0, y_um=-20_000.0, z_um=-200.0),
    highest=StagePoint(x_um=20_100.0, y_um=20_100.0, z_um=200.0),
    speed_um_per_s=10_000.0,
    acceleration_um_per_s2=100_000.0,
)


@pytest.fixture(scope="module")
def core() -> Any:
    return open_core()


class TestMicroManagerStage(StageContract):
    speed_um_per_s = 5_000.0

    @pytest.fixture
    def stage(self, core: Any) -> Iterator[Stage]:
        with MicroManagerStage(core, LIMITS, speed_property="Velocity") as stage:
            yield stage


class TestMicroManagerCamera(CameraContract):
    @pytest.fixture
    def camera(self, core: Any) -> Iterator[Camera]:
        core.setProperty("Camera", "PixelType", "32bitRGB")
        with MicroManagerCamera(core) as camera:
            yield camera
