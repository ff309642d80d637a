"""Scans with cameras that lose frames, forget what they were told, or fall silent."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from blurryscope.artifacts.video import Video
from blurryscope.devices.contracts import Camera, CameraFrame
from blurryscope.devices.errors import CameraFrozenError
from blurryscope.devices.jpeg import JpegPicture, to_jpeg
from blurryscope.scan.runner import run_scan
from blurryscope.scan.states import ScanStatus
from blurryscope.scan.survey import survey, survey_lanes
from tests.scan.desk import THREE_LANES, Watcher, job_in, opened, rig_of

_LONGEST_WAIT_S = 60.0
"""Real time, after which a test that would wait for ever is broken off."""


class CheapCamera:
    """Some of its frames come in half, and it goes back to its own exposure as it films."""

    def __init__(self, camera: Camera, every: int) -> None:
        self._camera, self._every = camera, every
        self.settings = camera.settings

    def __getattr__(self, name: str) -> object:
        return getattr(self._camera, name)

    def frames(self) -> Iterator[CameraFrame]:
        self.settings = replace(self.settings, exposure_s=0.02)
        with closing(self._camera.frames()) as frames:
            for frame in frames:
                jpeg = to_jpeg(frame.rgb())
                if frame.index % self._every == self._every - 1:
                    jpeg = jpeg[: len(jpeg) // 2]
                picture = JpegPicture(frame.index, frame.time_s, jpeg)
                yield replace(frame, picture=picture, jpeg=jpeg)


def test_lost_frames_and_settings_are_told_and_the_scan_goes_on(tmp_path: Path) -> None:
    watcher = Watcher()
    with rig_of() as rig, opened(rig) as scope:
        camera: Any = CheapCamera(scope.camera, every=20)
        film = run_scan(replace(scope, camera=camera), job_in(tmp_path), watcher.supervision())
    with Video(film) as video:
        assert len([frame.luma() for frame in video]) > 50
        assert video.damage is None
    assert watcher.told[-1].lost_count >= 3
    notes = {status.note for status in watcher.told}
    assert any("frames lost" in note for note in notes)
    # Once: the lanes after the first are alike.
    assert sum("changed by itself exposure_s from 0.0078 to 0.02" in note for note in notes) == 1


@dataclass
class EndingCamera:
    """Its stream ends without an error, as a driver's may."""

    camera: Camera
    is_over: Callable[[], bool]

    def __getattr__(self, name: str) -> object:
        return getattr(self.camera, name)

    def frames(self) -> Iterator[CameraFrame]:
        with closing(self.camera.frames()) as frames:
            for frame in frames:
                if self.is_over():
                    return
                yield frame


def test_a_camera_whose_stream_brings_no_frame_at_all_is_told() -> None:
    with rig_of() as rig, opened(rig) as scope:
        scope.stage.home()
        camera: Any = EndingCamera(scope.camera, lambda: True)
        with pytest.raises(CameraFrozenError, match="without a single frame"):
            survey(
                replace(scope, camera=camera),
                survey_lanes(THREE_LANES, 1000.0, most_count=2),
                THREE_LANES.motion,
            )


@pytest.mark.parametrize("state", ["scanning", "paused", "checking"])
def test_a_camera_whose_stream_ends_is_told_wherever_a_scan_is(tmp_path: Path, state: str) -> None:
    ended = threading.Event()

    class Watching(Watcher):
        def __call__(self, status: ScanStatus) -> None:
            super().__call__(status)
            if state != "scanning" and status.lane == 0 and status.state == "scanning":
                self.controls.pause()
            if status.state == state and status.lane == 1:
                ended.set()
            if status.state == "paused" and state != "paused":
                self.controls.resume()

    watcher = Watching()
    # Else a scan that waits for ever would keep the test.
    guard = threading.Timer(_LONGEST_WAIT_S, watcher.controls.abort)
    guard.daemon = True
    guard.start()
    with rig_of() as rig, opened(rig) as scope:
        camera: Any = EndingCamera(scope.camera, ended.is_set)
        with pytest.raises(CameraFrozenError, match="no frame for"):
            run_scan(replace(scope, camera=camera), job_in(tmp_path), watcher.supervision())
    guard.cancel()
    assert watcher.states[-2:] == [state, "interrupted"]
