"""Devices of Micro-Manager keep the same contracts, shown on its demonstration devices."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.devices.contracts import Camera, CameraSettings, Stage, StageLimits, StagePoint
from blurryscope.devices.errors import DeviceGoneError, HomingFailedError, SettingsRefusedError
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


class Unplugged:
    """The demonstration after its cable was pulled: named calls fail as the core fails then."""

    def __init__(self, core: Any, *failing: str) -> None:
        self._core, self._failing = core, failing

    def __getattr__(self, name: str) -> Any:
        if name not in self._failing:
            return getattr(self._core, name)

        def fail(*_: object) -> None:
            raise RuntimeError(f'Error in device "Camera" ({name})')

        return fail


@pytest.mark.parametrize(
    ("call", "ask"),
    [
        ("deviceBusy", MicroManagerStage.status),
        ("getXYPosition", MicroManagerStage.status),
        ("stop", MicroManagerStage.stop),
        ("waitForDevice", MicroManagerStage.stop),
    ],
)
def test_a_stage_that_fails_to_answer_is_told(
    core: Any, call: str, ask: Callable[[MicroManagerStage], object]
) -> None:
    stage = MicroManagerStage(Unplugged(core, call), LIMITS)
    with stage, pytest.raises(DeviceGoneError, match=call):
        ask(stage)


@pytest.mark.parametrize("speed_property", ["Sped", "Description"])
def test_a_property_that_sets_no_speed_is_refused(core: Any, speed_property: str) -> None:
    with MicroManagerStage(core, LIMITS, speed_property=speed_property) as stage:
        stage.home()
        with pytest.raises(SettingsRefusedError, match=speed_property):
            stage.move_to(StagePoint(x_um=10.0, y_um=0.0), 1_000.0)


@pytest.mark.parametrize(
    ("call", "ask"),
    [
        ("getImageWidth", lambda camera: camera.settings),
        ("setExposure", lambda camera: camera.configure(CameraSettings(exposure_s=0.01))),
        ("snap", MicroManagerCamera.grab),
    ],
)
def test_a_camera_that_fails_to_answer_is_told(
    core: Any, call: str, ask: Callable[[MicroManagerCamera], object]
) -> None:
    camera = MicroManagerCamera(Unplugged(core, call))
    with camera, pytest.raises(DeviceGoneError, match=call):
        ask(camera)


@pytest.mark.parametrize("call", ["startContinuousSequenceAcquisition", "popNextImageAndMD"])
def test_a_camera_that_is_unplugged_while_it_films_is_told(core: Any, call: str) -> None:
    camera = MicroManagerCamera(Unplugged(core, call, "stopSequenceAcquisition"))
    try:
        with camera, closing(camera.frames()) as frames, pytest.raises(DeviceGoneError, match=call):
            next(frames)
    finally:
        core.stopSequenceAcquisition()


class TwelveBits:
    """The demonstration as a camera of 12 bits, whose pixels come in words of 16."""

    def __init__(self, core: Any, pixels: NDArray[np.uint16]) -> None:
        self._core, self._pixels = core, pixels

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def getImageBitDepth(self) -> int:  # noqa: N802 - Micro-Manager's name
        return 12

    def snap(self) -> NDArray[np.uint16]:
        return self._pixels


def test_a_camera_of_twelve_bits_is_as_bright_as_one_of_eight(core: Any) -> None:
    levels = np.array([[0, 2048], [4095, 1024]], np.uint16)
    with MicroManagerCamera(TwelveBits(core, levels)) as camera:
        rgb = camera.grab().rgb()
    assert rgb.shape == (2, 2, 3)
    assert rgb[:, :, 0].tolist() == [[0, 128], [255, 64]]


class Overrun:
    """A core whose buffer ran over while nobody looked: numbers of pictures are missing."""

    def __init__(self, core: Any, numbers: list[int]) -> None:
        self._core, self._numbers = core, numbers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def startContinuousSequenceAcquisition(self, _: float) -> None:  # noqa: N802
        """Pictures are made up here."""

    def getRemainingImageCount(self) -> int:  # noqa: N802
        return len(self._numbers)

    def popNextImageAndMD(self) -> tuple[NDArray[np.uint8], dict[str, str]]:  # noqa: N802
        number = self._numbers.pop(0)
        notes = {"ImageNumber": str(number), "ElapsedTime-ms": f"{33.3 * number}"}
        return np.full((4, 4), number, np.uint8), notes


def test_frames_that_the_buffer_lost_are_counted(core: Any) -> None:
    camera = MicroManagerCamera(Overrun(core, [0, 1, 15, 16]))
    with camera, closing(camera.frames()) as filmed:
        frames = [next(filmed) for _ in range(4)]
    assert [frame.lost_count for frame in frames] == [0, 0, 13, 0]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
