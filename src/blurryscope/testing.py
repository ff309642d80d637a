"""A test kit for those who build on this package: a clock, small pictures, and contracts.

A new stage or camera is tested by a class of its own that inherits from `StageContract` or
`CameraContract` and says in a fixture how to get one.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.devices.contracts import (
    Camera,
    CameraFrame,
    CameraSettings,
    Stage,
    StageMode,
    StagePoint,
)
from blurryscope.devices.errors import (
    NotHomedError,
    OutsideLimitsError,
    SettingsRefusedError,
    StageHeldError,
)


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Files cannot grow beyond this, as on a full disk; skips the test where that cannot be set."""
    resource = pytest.importorskip("resource", reason="file size limits exist on Unix only")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@dataclass(slots=True)
class FakeClock:
    """A `Clock` that stands still until told to `advance`, or until somebody sleeps."""

    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    _elapsed_s: float = field(default=0.0, init=False)

    def advance(self, by_s: float) -> None:
        """Let time pass; it never runs backwards."""
        if by_s < 0:
            raise ValueError(f"by_s must not be negative, got {by_s}")
        self._elapsed_s += by_s

    def monotonic_s(self) -> float:
        return self._elapsed_s

    def utc_now(self) -> datetime:
        return self.start + timedelta(seconds=self._elapsed_s)

    def sleep(self, for_s: float) -> None:
        """Let that time pass at once."""
        self.advance(max(for_s, 0.0))


def smooth_picture(rng: np.random.Generator, size_px: tuple[int, int], grain_px: int = 8) -> Rgb:
    """Soft blobs of random colour, about `grain_px` wide; no pixel is (0, 0, 0)."""
    rows, columns = size_px
    coarse = rng.uniform(20, 250, (-(-rows // grain_px) + 1, -(-columns // grain_px) + 1, 3))
    smooth = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return to_uint8(np.asarray(smooth))


def through_video(rgb: NDArray[np.integer | np.floating]) -> Rgb:
    """Colours, (..., rgb) in 0..255, as video keeps them.

    By brightness and two differences of colour in whole numbers (ITU-R BT.601), none left out.
    """
    to_video = np.array(
        [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]
    )
    kept = np.rint(rgb / 255.0 @ to_video.T)
    return to_uint8(255.0 * kept @ np.linalg.inv(to_video).T)


class StageContract:
    """What holds for every stage.

    Give a fixture `stage`: open, and not homed if it can be that. The stage needs room for moves
    of 3 mm along x and 1 mm along y from wherever homing leaves it.
    """

    reach_um = 3_000.0
    speed_um_per_s = 2_000.0

    @pytest.fixture
    def homed(self, stage: Stage) -> Stage:
        stage.home()
        return stage

    def inside(self, stage: Stage, x_fraction: float, y_fraction: float) -> StagePoint:
        """A place within reach of where the stage is, towards the middle of its limits."""
        here, limits = stage.status().position, stage.limits
        middle_x = (limits.lowest.x_um + limits.highest.x_um) / 2
        middle_y = (limits.lowest.y_um + limits.highest.y_um) / 2
        return StagePoint(
            x_um=here.x_um + np.sign(middle_x - here.x_um) * self.reach_um * x_fraction,
            y_um=here.y_um + np.sign(middle_y - here.y_um) * self.reach_um * y_fraction / 3,
            z_um=here.z_um,
        )

    def test_it_does_not_move_before_it_is_homed(self, stage: Stage) -> None:
        before = stage.status()
        if before.is_homed:
            pytest.skip("this stage always knows where it is")
        assert before.mode in {StageMode.UNHOMED, StageMode.ALARMED}
        low = stage.limits.lowest
        with pytest.raises(NotHomedError, match=r"[Hh]ome"):
            stage.move_to(replace(low, x_um=low.x_um + 1_000, y_um=low.y_um + 1_000))
        assert stage.status().position == before.position

    def test_after_homing_it_rests_and_knows_where(self, stage: Stage) -> None:
        status = stage.home()
        assert status.is_homed
        assert status.mode is StageMode.RESTING
        assert stage.limits.contain(status.position)
        assert stage.status().boot_id == status.boot_id

    def test_it_rests_where_it_was_sent(self, homed: Stage) -> None:
        target = self.inside(homed, 0.7, 1.0)
        homed.move_to(target, self.speed_um_per_s)
        assert homed.wait_until_rest().position.distance_um(target) < 3.0
        assert homed.status().mode is StageMode.RESTING

    def test_it_says_that_it_moves_while_it_moves(self, homed: Stage) -> None:
        homed.move_to(self.inside(homed, 1.0, 0.0), self.speed_um_per_s)
        assert homed.status().is_moving
        homed.wait_until_rest()

    def test_waiting_ends_at_once_when_nothing_moves(self, homed: Stage) -> None:
        before = homed.status()
        after = homed.wait_until_rest()
        assert after.position == before.position
        assert after.time_s - before.time_s < 1.0

    def test_a_place_outside_its_limits_is_refused_and_nothing_moves(self, homed: Stage) -> None:
        before = homed.status().position
        beyond = replace(before, x_um=homed.limits.highest.x_um + 50.0)
        with pytest.raises(OutsideLimitsError, match="outside"):
            homed.move_to(beyond, self.speed_um_per_s)
        assert homed.wait_until_rest().position == before

    def test_a_speed_that_is_not_positive_is_refused(self, homed: Stage) -> None:
        with pytest.raises(ValueError, match="speed_um_per_s must be positive"):
            homed.move_to(self.inside(homed, 0.5, 0.0), 0.0)

    def test_moves_follow_one_another(self, homed: Stage) -> None:
        first, last = self.inside(homed, 0.5, 0.0), self.inside(homed, 0.1, 1.0)
        homed.move_to(first, self.speed_um_per_s)
        homed.move_to(last, self.speed_um_per_s)
        assert homed.wait_until_rest().position.distance_um(last) < 3.0

    def test_after_a_hold_the_rest_of_the_move_is_still_done(self, homed: Stage) -> None:
        start, target = homed.status().position, self.inside(homed, 1.0, 0.0)
        homed.move_to(target, self.speed_um_per_s)
        homed.hold()
        with pytest.raises(StageHeldError, match="before it was there"):
            homed.wait_until_rest()
        held = homed.status()
        assert held.mode is StageMode.HELD
        assert 0 <= held.position.distance_um(start) < self.reach_um
        with pytest.raises(StageHeldError):
            homed.move_to(start, self.speed_um_per_s)
        homed.resume()
        assert homed.wait_until_rest().position.distance_um(target) < 3.0

    def test_a_stop_forgets_the_move_and_keeps_the_position(self, homed: Stage) -> None:
        target = self.inside(homed, 1.0, 0.0)
        homed.move_to(target, self.speed_um_per_s)
        homed.stop()
        stopped = homed.status()
        assert stopped.mode is StageMode.RESTING
        assert stopped.is_homed
        assert stopped.position.distance_um(target) > 100.0
        homed.move_to(target, self.speed_um_per_s)
        assert homed.wait_until_rest().position.distance_um(target) < 3.0

    def test_stop_and_resume_do_nothing_to_a_stage_at_rest(self, homed: Stage) -> None:
        before = homed.status()
        homed.stop()
        homed.resume()
        after = homed.status()
        assert (after.mode, after.position) == (before.mode, before.position)

    def test_its_name_says_something(self, stage: Stage) -> None:
        assert stage.name.strip()


class CameraContract:
    """What holds for every camera. Give a fixture `camera`: open, and it must have 5 frames."""

    def frames_of(self, camera: Camera, count: int) -> list[CameraFrame]:
        """The first frames of a new stream."""
        with closing(camera.frames()) as frames:
            return list(islice(frames, count))

    def test_its_settings_tell_the_size_of_its_frames(self, camera: Camera) -> None:
        settings = camera.settings
        for frame in self.frames_of(camera, 2):
            assert frame.rgb().shape == (settings.rows, settings.columns, 3)
            assert frame.luma().shape == (settings.rows, settings.columns)
            assert frame.rgb().dtype == frame.luma().dtype == np.uint8

    def test_frames_come_in_order_with_times_that_grow(self, camera: Camera) -> None:
        frames = self.frames_of(camera, 5)
        assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
        assert all(later.time_s > earlier.time_s for earlier, later in pairwise(frames))

    def test_times_keep_to_the_frame_rate(self, camera: Camera) -> None:
        rate_hz = camera.settings.frame_rate_hz
        if rate_hz is None:
            pytest.skip("this camera does not tell its rate")
        frames = self.frames_of(camera, 5)
        steps = 4 + sum(frame.lost_count for frame in frames[1:])
        lasted_s = frames[-1].time_s - frames[0].time_s
        assert lasted_s == pytest.approx(steps / rate_hz, rel=0.25)

    def test_a_new_stream_counts_from_0_again(self, camera: Camera) -> None:
        for _ in range(2):
            assert self.frames_of(camera, 1)[0].index == 0

    def test_a_small_picture_is_the_large_one_made_small(self, camera: Camera) -> None:
        frame = self.frames_of(camera, 1)[0]
        small = frame.small_rgb((30, 40))
        assert small.shape == (30, 40, 3)
        assert np.allclose(small.mean(axis=(0, 1)), frame.rgb().mean(axis=(0, 1)), atol=3.0)

    def test_a_frame_that_is_a_jpeg_is_that_picture(self, camera: Camera) -> None:
        frame = self.frames_of(camera, 1)[0]
        if frame.jpeg is None:
            pytest.skip("this camera sends no JPEGs")
        decoded = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        assert decoded is not None
        assert np.abs(decoded.astype(np.int16) - frame.rgb()).mean() < 2.0

    def test_what_it_has_it_also_takes(self, camera: Camera) -> None:
        has = camera.settings
        taken = camera.configure(CameraSettings(columns=has.columns, rows=has.rows))
        assert (taken.columns, taken.rows) == (has.columns, has.rows)

    def test_what_it_cannot_do_is_refused(self, camera: Camera) -> None:
        with pytest.raises(SettingsRefusedError, match="columns"):
            camera.configure(CameraSettings(columns=123_456))

    def test_grab_gives_a_frame_of_the_same_size(self, camera: Camera) -> None:
        settings = camera.settings
        assert camera.grab().luma().shape == (settings.rows, settings.columns)

    def test_its_name_says_something(self, camera: Camera) -> None:
        assert camera.name.strip()
