"""Locking a USB camera, and noticing what is wrong with it."""

import shutil
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import InputContainer

from blurryscope.artifacts.video import Video
from blurryscope.basics.errors import OutputError
from blurryscope.devices.contracts import CameraFrame, CameraSettings
from blurryscope.devices.errors import (
    CameraError,
    CameraFrozenError,
    DeviceMissingError,
    SettingsRefusedError,
)
from blurryscope.devices.jpeg import JpegFilm, JpegPicture, is_whole, to_jpeg
from blurryscope.devices.uvc_camera import UvcCamera, open_device
from blurryscope.devices.v4l2_controls import (
    AUTO_WHITE_BALANCE,
    EXPOSURE,
    EXPOSURE_MODE,
    GAIN,
    WHITE_BALANCE_K,
    V4l2Controls,
    lock_settings,
    read_settings,
)
from blurryscope.testing import smooth_picture
from tests.devices.usb_on_desk import Knobs, usb_camera

WANTED = CameraSettings(exposure_s=0.0078, gain=16.0, white_balance_k=5000.0)


def _frame(index: int, time_s: float, jpeg: bytes) -> CameraFrame:
    return CameraFrame(
        index=index, time_s=time_s, picture=JpegPicture(index, time_s, jpeg), jpeg=jpeg
    )


def _film(path: Path, times_s: list[float], jpegs: list[bytes]) -> Path:
    with JpegFilm(path, (96, 128), 30.0) as film:
        for index, (time_s, jpeg) in enumerate(zip(times_s, jpegs, strict=True)):
            film.write(_frame(index, time_s, jpeg))
    return path


def _jpegs(count: int) -> list[bytes]:
    rng = np.random.default_rng(1)
    return [to_jpeg(smooth_picture(rng, (96, 128))) for _ in range(count)]


def test_locking_switches_automatics_off_and_reads_back(jpeg_film: Path) -> None:
    knobs = Knobs()
    with usb_camera(jpeg_film, knobs) as camera:
        has = camera.configure(WANTED)
    assert (has.exposure_s, has.gain, has.white_balance_k) == (0.0078, 16.0, 5000.0)
    assert knobs.values[EXPOSURE_MODE] == 1
    assert knobs.values[AUTO_WHITE_BALANCE] == 0


@pytest.mark.parametrize(
    ("control", "name"),
    [
        (EXPOSURE, "exposure_s"),
        (GAIN, "gain"),
        (WHITE_BALANCE_K, "white_balance_k"),
        (EXPOSURE_MODE, "automatic exposure"),
    ],
)
def test_a_setting_that_does_not_stick_is_refused_by_name(
    jpeg_film: Path, control: int, name: str
) -> None:
    with (
        usb_camera(jpeg_film, Knobs(stuck=frozenset({control}))) as camera,
        pytest.raises(SettingsRefusedError, match=f"does not keep {name}"),
    ):
        camera.configure(WANTED)


def test_what_the_camera_sets_by_itself_is_unknown(jpeg_film: Path) -> None:
    with usb_camera(jpeg_film) as camera:
        has = camera.settings
        assert (has.exposure_s, has.gain, has.white_balance_k) == (None, None, None)
        assert camera.configure(CameraSettings(gain=20.0)).gain == 20.0
        assert camera.settings.exposure_s is None


def test_a_camera_off_linux_has_settings_that_nobody_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    controls = V4l2Controls(Path("0"))
    assert read_settings(controls) == CameraSettings()
    lock_settings("0", controls, CameraSettings())
    with pytest.raises(SettingsRefusedError, match="set it by hand, and leave it out"):
        lock_settings("0", controls, CameraSettings(gain=20.0))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no format is asked for")
def test_a_camera_without_jpegs_is_opened_all_the_same(jpeg_film: Path) -> None:
    asked: list[str | None] = []

    def has_no_jpegs(device: str, *, format: str, options: dict[str, str]) -> InputContainer:  # noqa: A002 - PyAV's word
        asked.append(options.get("input_format"))
        assert (device, format, options["video_size"]) == ("/dev/video0", "v4l2", "128x96")
        if asked[-1] is not None:
            raise av.error.ArgumentError(22, "Invalid argument", device)
        return av.open(str(jpeg_film))

    with open_device("/dev/video0", CameraSettings(columns=128, rows=96), has_no_jpegs) as opened:
        assert len(opened.streams.video) == 1
    assert asked == ["mjpeg", None]


def test_a_camera_without_a_knob_says_which_one(jpeg_film: Path) -> None:
    knobs = Knobs()
    del knobs.values[WHITE_BALANCE_K]
    with (
        usb_camera(jpeg_film, knobs) as camera,
        pytest.raises(SettingsRefusedError, match="no control for white_balance_k"),
    ):
        camera.configure(WANTED)


def test_jpegs_reach_the_film_as_they_left_the_camera(jpeg_film: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mkv"
    with usb_camera(jpeg_film) as camera, JpegFilm(copy, (96, 128), 30.0) as film:
        for frame in camera.frames():
            film.write(frame)
    with Video(jpeg_film) as ours, Video(copy) as theirs:
        for before, after in zip(ours, theirs, strict=True):
            assert np.array_equal(before.rgb(), after.rgb())
            assert before.time_s == pytest.approx(after.time_s, abs=0.002)


def test_a_film_that_is_told_to_keep_its_frames_has_all_but_the_newest(
    jpeg_film: Path, tmp_path: Path
) -> None:
    path = tmp_path / "kept.mkv"
    with usb_camera(jpeg_film) as camera, JpegFilm(path, (96, 128), 30.0) as film:
        for frame in camera.frames():
            film.write(frame)
            film.keep()
        as_a_crash_leaves_it = Path(shutil.copy(path, tmp_path / "crash.mkv"))
        with Video(as_a_crash_leaves_it) as left:
            assert sum(1 for _ in left) == film.frame_count - 1


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
def test_a_film_whose_file_is_gone_is_told_when_it_is_to_be_kept(
    jpeg_film: Path, tmp_path: Path
) -> None:
    path = tmp_path / "gone.mkv"
    with usb_camera(jpeg_film) as camera, JpegFilm(path, (96, 128), 30.0) as film:
        for frame in camera.frames():
            film.write(frame)
        path.unlink()
        with pytest.raises(OutputError, match=r"gone\.mkv: cannot be written"):
            film.keep()


def test_a_raw_frame_of_which_usb_lost_a_part_counts_as_lost(tmp_path: Path) -> None:
    film = tmp_path / "raw.mkv"
    rng = np.random.default_rng(2)
    with av.open(str(film), "w") as container:
        stream = container.add_stream("rawvideo", rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuyv422"
        for number in range(8):
            picture = smooth_picture(rng, (96, 128))
            for whole in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                packet = av.Packet(bytes(whole)[: 5_000 if number == 3 else None])
                packet.stream, packet.time_base = stream, whole.time_base
                packet.pts = packet.dts = whole.pts
                packet.is_keyframe = True
                container.mux(packet)
    with usb_camera(film) as camera:
        assert [frame.lost_count for frame in camera.frames()] == [0, 0, 0, 1, 0, 0, 0]


def test_a_camera_whose_decoder_is_late_at_first_gives_its_frames(tmp_path: Path) -> None:
    film = tmp_path / "camera.mkv"
    rng = np.random.default_rng(2)
    with av.open(str(film), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"bf": "2", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for _ in range(20):
            picture = smooth_picture(rng, (96, 128))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    with usb_camera(film) as camera:
        frames = list(camera.frames())
    assert len(frames) > 10
    assert all(frame.jpeg is None and frame.rgb().shape == (96, 128, 3) for frame in frames)
    assert sum(frame.lost_count for frame in frames) == 0


def test_frames_that_are_missing_are_counted(tmp_path: Path) -> None:
    film = _film(tmp_path / "gap.mkv", [0.0, 1 / 30, 4 / 30, 5 / 30], _jpegs(4))
    with usb_camera(film) as camera:
        assert [frame.lost_count for frame in camera.frames()] == [0, 0, 2, 0]


def test_a_camera_that_repeats_one_picture_is_frozen(tmp_path: Path) -> None:
    film = _film(tmp_path / "still.mkv", [n / 30 for n in range(80)], _jpegs(1) * 80)
    with usb_camera(film) as camera, pytest.raises(CameraFrozenError, match="same picture"):
        list(camera.frames())


@pytest.mark.parametrize(
    "padding", [b"", b"\0" * 1000, b"\xff" * 100, b"\0\xff\xd8stale\xff\xd9" * 50]
)
def test_a_picture_may_be_filled_up_behind_its_end(padding: bytes) -> None:
    assert is_whole(_jpegs(1)[0] + padding)


def test_a_picture_without_its_end_is_half() -> None:
    jpeg, other = _jpegs(2)
    assert not is_whole(jpeg[:-2])
    assert not is_whole(jpeg[: len(jpeg) // 2] + b"\0" * 500)
    assert not is_whole(jpeg[: len(jpeg) // 2] + other)
    assert not is_whole(jpeg[1:])
    assert not is_whole(b"")


def test_the_end_of_a_small_picture_in_the_head_is_not_the_end() -> None:
    jpeg, small = _jpegs(2)
    head = b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small
    assert is_whole(jpeg[:2] + head + jpeg[2:])
    assert not is_whole(jpeg[:2] + head + jpeg[2:-2])


def test_a_camera_that_sends_only_halves_says_so(tmp_path: Path) -> None:
    halves = [jpeg[:-2] for jpeg in _jpegs(80)]
    film = _film(tmp_path / "half.mkv", [n / 30 for n in range(80)], halves)
    with usb_camera(film) as camera:
        with pytest.raises(CameraError, match="each JPEG lacks its end"):
            list(camera.frames())
        with pytest.raises(CameraError, match="each JPEG lacks its end"):
            camera.grab()


def test_a_camera_that_is_not_there_says_so() -> None:
    with (
        pytest.raises(DeviceMissingError, match="cannot be opened as a camera"),
        UvcCamera("/dev/video99", CameraSettings()),
    ):
        pass


def test_a_film_that_was_cut_off_keeps_its_frames(jpeg_film: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    content = jpeg_film.read_bytes()
    cut.write_bytes(content[: len(content) * 2 // 3])
    with Video(cut) as video:
        assert 6 <= len(list(video)) < 12


def test_a_full_disk_is_told_with_what_is_safe() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OutputError, match=r"cannot be written .* frames are in the file"):
        _film(full, [n / 30 for n in range(40)], _jpegs(40))
