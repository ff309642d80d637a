import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurryscope.artifacts.video import ArrayFrame, DecodedFrame, Video, VideoWriter
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.image import Rgb
from blurryscope.devices.contracts import CameraFrame
from blurryscope.devices.jpeg import JpegFilm, JpegPicture, to_jpeg
from blurryscope.testing import smooth_picture

RATE_HZ = 30.0
CODECS = ["libx264", "mjpeg", "mpeg4", "ffv1"]
FORMATS = [
    (suffix, codec)
    for suffix in (".mp4", ".avi", ".mkv", ".mov")
    for codec in CODECS
    if (suffix, codec) != (".mov", "ffv1")  # MOV does not hold FFV1
]
COUNT = 40


@pytest.fixture(scope="module")
def pictures() -> list[Rgb]:
    slide = smooth_picture(np.random.default_rng(3), (48, 70 + 4 * COUNT), grain_px=16)
    return [slide[:, 4 * shift : 4 * shift + 70] for shift in range(COUNT)]


@pytest.fixture(scope="module")
def uneven_times_s() -> list[float]:
    gaps_s = np.random.default_rng(4).uniform(0.01, 0.08, COUNT - 1)
    return [0.0, *np.cumsum(gaps_s).tolist()]


def test_a_film_whose_pictures_change_their_size_ends_there(tmp_path: Path) -> None:
    path = tmp_path / "scan.mkv"
    rng = np.random.default_rng(0)
    with JpegFilm(path, (96, 128), RATE_HZ) as film:
        for index in range(8):
            jpeg = to_jpeg(smooth_picture(rng, (96, 128) if index < 5 else (48, 64)))
            time_s = index / RATE_HZ
            picture = JpegPicture(index, time_s, jpeg)
            film.write(CameraFrame(index=index, time_s=time_s, picture=picture, jpeg=jpeg))
    with Video(path) as video:
        assert video.info.frame_count == pytest.approx(8, abs=1)  # by its duration
        assert [frame.rgb().shape for frame in video] == [(96, 128, 3)] * 5
        assert video.damage == "after frame 4: another picture size"


def _even_times_s() -> list[float]:
    return [index / RATE_HZ for index in range(COUNT)]


def _write(path: Path, pictures: list[Rgb], times_s: list[float], codec: str = "libx264") -> None:
    with VideoWriter(path, pictures[0].shape[:2], RATE_HZ, codec) as writer:
        for picture, time_s in zip(pictures, times_s, strict=True):
            writer.write(picture, time_s)


def _read(path: Path, *, by_one_thread: bool = False) -> tuple[list[DecodedFrame], str | None]:
    with Video(path, by_one_thread=by_one_thread) as video:
        return list(video), video.damage


@pytest.mark.parametrize(("suffix", "codec"), FORMATS)
def test_every_container_and_codec_gives_the_pictures_back_in_order(
    tmp_path: Path, pictures: list[Rgb], suffix: str, codec: str
) -> None:
    path = tmp_path / f"scan{suffix}"
    _write(path, pictures, _even_times_s(), codec)
    frames, damage = _read(path)
    assert damage is None
    assert [frame.index for frame in frames] == list(range(COUNT))
    seen = np.array([[np.abs(frame.rgb().astype(int) - picture).mean() for picture in pictures]
                     for frame in frames])  # fmt: skip
    np.testing.assert_array_equal(seen.argmin(axis=1), np.arange(COUNT))
    assert np.diagonal(seen).mean() < 12  # the default bit rate of MPEG-4 costs that much
    for frame, alone in zip(frames, _read(path, by_one_thread=True)[0], strict=True):
        assert alone.time_s == frame.time_s
        np.testing.assert_array_equal(alone.rgb(), frame.rgb())


@pytest.mark.parametrize(("suffix", "codec"), FORMATS)
def test_uneven_times_are_kept_to_the_millisecond_or_to_a_frame_in_avi(
    tmp_path: Path, pictures: list[Rgb], uneven_times_s: list[float], suffix: str, codec: str
) -> None:
    path = tmp_path / f"scan{suffix}"
    _write(path, pictures, uneven_times_s, codec)
    frames, damage = _read(path)
    tolerance_s = 1 / RATE_HZ if suffix == ".avi" else 0.001
    assert [frame.time_s for frame in frames] == pytest.approx(uneven_times_s, abs=tolerance_s)
    assert damage is None


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(2, 2000), min_size=1, max_size=12), st.sampled_from([".mp4", ".mkv"]))
def test_any_gaps_between_frames_are_kept_to_the_millisecond(
    tmp_path_factory: pytest.TempPathFactory, gaps_ms: list[int], suffix: str
) -> None:
    times_s = [0.0, *(np.cumsum(gaps_ms) / 1000).tolist()]
    path = tmp_path_factory.mktemp("video") / f"scan{suffix}"
    picture = smooth_picture(np.random.default_rng(0), (16, 32))
    _write(path, [picture] * len(times_s), times_s, "mjpeg")
    frames, _ = _read(path)
    assert [frame.time_s for frame in frames] == pytest.approx(times_s, abs=0.001)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_times_grow_by_a_frame_also_where_frames_lean_on_later_ones(
    tmp_path: Path, pictures: list[Rgb], suffix: str
) -> None:
    path = tmp_path / f"foreign{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"bf": "3"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frames, _ = _read(path)
    times_s = [frame.time_s for frame in frames]
    assert np.diff(times_s).tolist() == pytest.approx([1 / 30] * (COUNT - 1), abs=0.0011)


def test_frames_of_one_time_are_still_told_apart(tmp_path: Path, pictures: list[Rgb]) -> None:
    _write(tmp_path / "scan.mp4", pictures[:3], [0.5, 0.5, 0.5])
    frames, _ = _read(tmp_path / "scan.mp4")
    times_s = [frame.time_s for frame in frames]
    assert len(times_s) == 3
    assert times_s == sorted(set(times_s))


@pytest.mark.parametrize("codec", CODECS)
def test_the_luma_of_a_frame_is_its_y_plane(
    tmp_path: Path, pictures: list[Rgb], codec: str
) -> None:
    path = tmp_path / "scan.mkv"
    _write(path, pictures[:5], _even_times_s()[:5], codec)
    for frame in _read(path)[0]:
        planes = frame.picture.to_ndarray()
        y_plane = planes[:48] if planes.ndim == 2 else planes[0]  # 4:4:4 has planes of one size
        np.testing.assert_array_equal(frame.luma(), y_plane)
        assert frame.luma().shape == (48, 70)


@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "bgr0", "yuyv422", "gray16le"])
def test_luma_of_unusual_pixels_is_8_bit_brightness_all_the_same(pixel_format: str) -> None:
    picture = smooth_picture(np.random.default_rng(5), (32, 48), grain_px=16)
    decoded = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixel_format)
    luma = DecodedFrame(0, 0.0, decoded).luma()
    assert luma.dtype == np.uint8
    wanted = ArrayFrame(0, 0.0, picture).luma()
    assert np.abs(luma.astype(int) - wanted).mean() < 6


def test_a_film_cut_within_its_head_is_refused_wherever_it_is_cut(
    tmp_path: Path, pictures: list[Rgb]
) -> None:
    _write(tmp_path / "whole.avi", pictures, _even_times_s(), "mjpeg")
    whole = (tmp_path / "whole.avi").read_bytes()
    path = tmp_path / "scan.avi"
    for kept in range(0, 2000, 50):
        path.write_bytes(whole[:kept])
        with pytest.raises(InputError):
            _read(path)


@settings(max_examples=25, deadline=None)
@given(suffix=st.sampled_from([".mp4", ".mkv", ".avi"]), kept=st.floats(0, 0.99))
def test_a_cut_film_gives_frames_up_to_the_cut_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, pictures: list[Rgb], suffix: str, kept: float
) -> None:
    path = tmp_path_factory.mktemp("video") / f"scan{suffix}"
    _write(path, pictures, _even_times_s(), "mjpeg")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    try:
        frames, damage = _read(path)
    except InputError:
        return  # the beginning itself is gone, or MP4's index, which stands at the end
    for frame in frames[:-1]:  # the last may be half there
        assert np.abs(frame.rgb().astype(int) - pictures[frame.index]).mean() < 8
    if len(frames) < COUNT / 2:
        assert damage is not None


def test_a_cut_mp4_whose_index_stands_in_front_says_how_much_is_missing(
    tmp_path: Path, pictures: list[Rgb]
) -> None:
    _write(tmp_path / "whole.mp4", pictures, _even_times_s(), "mjpeg")
    path = tmp_path / "scan.mp4"
    with (
        av.open(str(tmp_path / "whole.mp4")) as source,
        av.open(str(path), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    frames, damage = _read(path)
    assert 10 < len(frames) < 30
    assert damage is not None


@pytest.mark.parametrize("by_one_thread", [False, True])
def test_damage_in_the_middle_is_told_and_the_frames_before_it_come(
    tmp_path: Path, pictures: list[Rgb], by_one_thread: bool
) -> None:
    path = tmp_path / "scan.mp4"
    _write(path, pictures, _even_times_s(), "mjpeg")
    stored = bytearray(path.read_bytes())
    middle = len(stored) // 2
    stored[middle : middle + 3000] = b"\xff" * 3000
    path.write_bytes(stored)
    frames, damage = _read(path, by_one_thread=by_one_thread)
    assert len(frames) >= 10
    assert damage is not None
    assert "after frame" in damage


@pytest.mark.parametrize("by_one_thread", [False, True])
def test_after_damage_whole_pictures_come_again_with_their_own_times(
    tmp_path: Path, pictures: list[Rgb], by_one_thread: bool
) -> None:
    path = tmp_path / "scan.mkv"
    # A picture that leans on no other every ten frames, as cameras write them.
    with VideoWriter(path, pictures[0].shape[:2], RATE_HZ, options={"g": "10", "bf": "0"}) as film:
        for picture, time_s in zip(pictures, _even_times_s(), strict=True):
            film.write(picture, time_s)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        broken = bytes(packets[14])
    data = path.read_bytes()
    at = data.index(broken[:40])
    path.write_bytes(data[:at] + b"\xff" * len(broken) + data[at + len(broken) :])
    frames, damage = _read(path, by_one_thread=by_one_thread)
    came = [round(frame.time_s * RATE_HZ) for frame in frames]
    assert came == [*range(14), *range(20, COUNT)]
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert damage is not None
    assert "after frame" in damage
    for frame in frames:
        shown = pictures[round(frame.time_s * RATE_HZ)].astype(int)
        assert np.abs(frame.rgb().astype(int) - shown).mean() < 6


def test_a_mirrored_film_is_turned_back_in_every_view(tmp_path: Path, pictures: list[Rgb]) -> None:
    path = tmp_path / "scan.mkv"
    _write(path, pictures[:3], _even_times_s()[:3], "ffv1")
    with Video(path) as plain, Video(path, is_mirrored=True) as mirrored:
        for seen, turned in zip(plain, mirrored, strict=True):
            assert (turned.luma() == seen.luma()[:, ::-1]).all()
            assert (turned.rgb() == seen.rgb()[:, ::-1]).all()
            small = seen.small_rgb((12, 18))[:, ::-1]
            assert (turned.small_rgb((12, 18)) == small).all()


@pytest.mark.skipif(sys.platform == "win32", reason="no colons in names there")
def test_a_name_that_looks_like_an_address_is_one_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: list[Rgb]
) -> None:
    monkeypatch.chdir(tmp_path)
    _write(Path("10:30.mp4"), pictures, _even_times_s())
    assert len(_read(Path("10:30.mp4"))[0]) == COUNT
    with JpegFilm(Path("10:30.mkv"), (48, 70), RATE_HZ) as film:
        film.write(CameraFrame(index=0, time_s=0.0, picture=ArrayFrame(0, 0.0, pictures[0])))
    assert len(_read(Path("10:30.mkv"))[0]) == 1


@pytest.mark.parametrize("content", [b"", b"no film at all" * 100])
def test_what_is_no_film_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scan.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a video"):
        _read(path)


def test_a_file_without_pictures_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="no video stream"):
        _read(path)


def test_a_film_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no such file"):
        _read(tmp_path / "scan.mp4")


def test_the_container_tells_size_rate_and_codec(tmp_path: Path, pictures: list[Rgb]) -> None:
    path = tmp_path / "scan.mp4"
    _write(path, pictures, _even_times_s())
    with Video(path) as video:
        info = video.info
    assert (info.height_px, info.width_px, info.codec) == (48, 70, "h264")
    assert info.frame_count == COUNT
    assert info.frame_rate_hz == pytest.approx(RATE_HZ, rel=0.01)
