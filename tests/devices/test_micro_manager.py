"""Devices of Micro-Manager keep the same contracts, shown on its demonstration devices."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from blurryscope.devices.contracts import Camera, Stage, StageLimits, StagePoint
from blurryscope.devices.errors import HomingFailedError
from blurryscope.devices.micro_manager import MicroManagerCamera, MicroManagerStage, open_core
from blurryscope.testing import CameraContract, FakeClock, StageContract

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


class SlowHome:
    """The demonstration, but its stage takes a while to home; its own waiting gives up."""

    def __init__(self, core: Any, clock: FakeClock, lasts_s: float) -> None:
        self._core, self._clock, self._lasts_s = core, clock, lasts_s
        self._homes_until_s = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def home(self, device: str) -> None:
        self._core.home(device)
        self._homes_until_s = self._clock.monotonic_s() + self._lasts_s

    def deviceBusy(self, device: str) -> bool:  # noqa: N802 - Micro-Manager's name
        homes = self._clock.monotonic_s() < self._homes_until_s
        return homes or bool(self._core.deviceBusy(device))

    def stop(self, device: str) -> None:
        self._homes_until_s = 0.0
        self._core.stop(device)


class Impatient(FakeClock):
    """Does something after a second."""

    act: Callable[[], None] | None = None

    def sleep(self, for_s: float) -> None:
        super().sleep(for_s)
        if self.act is not None and self.monotonic_s() > 1.0:
            act, self.act = self.act, None
            act()


def test_a_stage_that_homes_for_a_minute_is_waited_for(core: Any) -> None:
    clock = FakeClock()
    with MicroManagerStage(SlowHome(core, clock, 60.0), LIMITS, clock=clock) as stage:
        assert stage.home().is_homed
    assert clock.monotonic_s() > 60.0


def test_a_stage_that_never_ends_homing_is_told(core: Any) -> None:
    clock = FakeClock()
    slow = SlowHome(core, clock, 1e6)
    told = pytest.raises(HomingFailedError, match="not done after 180 s")
    with MicroManagerStage(slow, LIMITS, clock=clock) as stage, told:
        stage.home()


def test_a_homing_that_a_person_holds_is_no_homing(core: Any) -> None:
    clock = Impatient()
    with MicroManagerStage(SlowHome(core, clock, 60.0), LIMITS, clock=clock) as stage:
        clock.act = stage.hold
        with pytest.raises(HomingFailedError, match="it was stopped"):
            stage.home()
        assert not stage.status().is_homed
    assert clock.monotonic_s() < 10.0


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
