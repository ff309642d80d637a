"""A scan is stitched while it is filmed; where that cannot be, nothing of it is in the way."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from blurryscope.artifacts.recording import Recording
from blurryscope.artifacts.video import Video
from blurryscope.devices.contracts import CameraFrame
from blurryscope.devices.errors import StageError
from blurryscope.devices.jpeg import JpegPicture, to_jpeg
from blurryscope.pipeline.live import LiveSettings, LiveStitch
from blurryscope.pipeline.settings import RunSettings
from blurryscope.simulator.scan import SimulatedScan
from blurryscope.stitch.film import SlideStitcher

FROM_S = 70.0
"""What the camera's clock says when the film begins."""


def _filmed(video: Path) -> Iterator[CameraFrame]:
    """The frames of a film as a camera sends them, as JPEGs."""
    with Video(video) as film:
        for frame in film:
            jpeg = to_jpeg(frame.rgb())
            time_s = FROM_S + frame.time_s
            picture = JpegPicture(frame.index, time_s, jpeg)
            yield CameraFrame(index=frame.index, time_s=time_s, picture=picture, jpeg=jpeg)


def _live(video: Path, out: Path, live: LiveSettings) -> LiveStitch:
    return LiveStitch(video, out, Recording(), RunSettings(), live)


def _left_in(out: Path) -> list[Path]:
    return sorted(out.iterdir()) if out.exists() else []


def test_frames_that_wait_as_jpegs_are_all_stitched(
    tiny_scans: list[SimulatedScan], tmp_path: Path
) -> None:
    video, out = tiny_scans[0].video, tmp_path / "slide"
    with _live(video, out, LiveSettings(queue_bytes=1)) as stitch:
        for frame in _filmed(video):
            stitch.take(frame)
        result = stitch.finish()
    assert result.is_whole
    assert result.waited_s > 0
    names = {path.name for path in _left_in(out)}
    assert names == {"frames.csv", "mosaic.ome.zarr", "recording.json", "stitch.json"}


def test_a_computer_that_cannot_keep_up_says_so_and_leaves_nothing(
    tiny_scans: list[SimulatedScan], tmp_path: Path
) -> None:
    video, out = tiny_scans[0].video, tmp_path / "slide"
    with _live(video, out, LiveSettings(queue_jpeg_bytes=1, patience_s=0.0)) as stitch:
        for frame in _filmed(video):
            stitch.take(frame)
        result = stitch.finish()
    assert not result.is_whole
    assert "keep up" in result.reason
    assert not _left_in(out)


def test_large_frames_fill_the_queue_as_much_sooner(tiny_scans: list[SimulatedScan]) -> None:
    frame = next(_filmed(tiny_scans[0].video))
    assert frame.jpeg is not None
    settings = LiveSettings(queue_jpeg_bytes=50 * len(frame.jpeg))
    assert settings.most_waiting(frame) == 50
    assert settings.most_waiting(replace(frame, jpeg=frame.jpeg * 5)) == 10
    decoded = replace(frame, jpeg=None)
    pixels = decoded.luma().size
    assert LiveSettings(queue_bytes=30 * pixels).most_waiting(decoded) == 20


def test_a_mosaic_under_way_is_gone_when_the_stitch_is_left_before_its_end(
    tiny_scans: list[SimulatedScan], tmp_path: Path
) -> None:
    video, out = tiny_scans[0].video, tmp_path / "slide"
    with Video(video) as film, SlideStitcher(video, out, Recording()) as slide:
        for frame in film:
            slide.push(frame)
        assert _left_in(out)
    assert not _left_in(out)


def test_the_mosaic_is_made_while_the_scan_still_looks_at_its_stage(
    tiny_scans: list[SimulatedScan], tmp_path: Path
) -> None:
    video, out = tiny_scans[0].video, tmp_path / "slide"
    with _live(video, out, LiveSettings()) as stitch:
        for frame in _filmed(video):
            stitch.take(frame)
        stitch.end()
        deadline_s = time.monotonic() + 60
        while not (out / "stitch.json").exists() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        time.sleep(1.0)
        asked_s = time.monotonic()
        result = stitch.finish()
    assert result.is_whole
    assert time.monotonic() - asked_s < 1.0
    assert _left_in(out)


def test_a_scan_that_fails_after_its_last_frame_leaves_no_mosaic(
    tiny_scans: list[SimulatedScan], tmp_path: Path
) -> None:
    video, out = tiny_scans[0].video, tmp_path / "slide"
    live = _live(video, out, LiveSettings())

    def scan_that_fails() -> None:
        with live as stitch:
            for frame in _filmed(video):
                stitch.take(frame)
            assert stitch.finish().is_whole
            assert _left_in(out)
            raise StageError("stage", "lost its way", "Home it")

    with pytest.raises(StageError):
        scan_that_fails()
    assert not _left_in(out)


def test_what_goes_wrong_in_the_stitcher_is_told_at_the_end(tmp_path: Path) -> None:
    with _live(Path("no.mkv"), tmp_path / "slide", LiveSettings()) as stitch:
        result = stitch.finish()
    assert not result.is_whole
    assert "0 frames, too few" in result.reason
    assert not _left_in(tmp_path / "slide")
