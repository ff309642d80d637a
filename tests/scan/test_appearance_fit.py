import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.devices.contracts import CameraFrame
from blurryscope.devices.jpeg import JpegPicture, to_jpeg
from blurryscope.scan.appearance_fit import fit_flat_field, sharpness, tissue_fraction
from blurryscope.scan.optical_fit import peak_of
from blurryscope.scan.watches import FocusWatch, lost_words
from blurryscope.simulator.camera import Camera
from blurryscope.simulator.slide import Slide, SlideDesign
from tests.scan.conftest import CALM, Bench, straight

Luma = NDArray[np.uint8]
EVEN = np.ones((240, 320), np.float32)


def test_the_flat_field_is_that_of_the_camera_whatever_dust_lies_on_the_slide(bench: Bench) -> None:
    times_s = [number / 30 for number in range(12)]
    glass = bench.pictures(straight((300.0, -900.0), 1000.0), times_s)
    glass[3][100:160, 100:160] = 20  # a hair that only one frame shows
    flat = fit_flat_field(glass)
    assert flat.falloff_fraction == pytest.approx(bench.camera.shading_fraction, abs=0.05)
    assert flat.uncertainty_fraction < 0.01
    left = np.mean(glass[:3], axis=0) / flat.gain
    assert np.std(left.mean(axis=2)) < 1.5


def test_too_few_frames_make_no_flat_field(bench: Bench) -> None:
    with pytest.raises(ValueError, match="six frames"):
        fit_flat_field(bench.pictures(straight((300.0, -900.0), 0.0), [0.0]))


def test_the_sharpest_height_is_found_by_detail_across_the_scan(bench: Bench) -> None:
    core = bench.slide.cores[1]
    heights_um = np.arange(-60.0, 61.0, 10.0)
    seen = bench.lumas(straight((core.x_um, core.y_um), 0.0), [0.0])[0]
    values = []
    for z_um in heights_um:
        sigma_px = 0.3 + abs(z_um - 13.0) / 12.0  # a depth of field of 12 µm, in focus at 13
        values.append(sharpness(blurred(seen, sigma_px), EVEN, along_rows=True))
    assert peak_of(heights_um, np.array(values))[0] == pytest.approx(13.0, abs=5.0)


def test_motion_blur_along_the_scan_does_not_pass_for_a_lost_focus(bench: Bench) -> None:
    core = bench.slide.cores[1]
    watch = watch_of()
    moving = bench.lumas(straight((core.x_um - 100, core.y_um), 5000.0), [0.02])[0]
    assert tissue_fraction(moving, 230.0) > 0.5
    for _ in range(2):
        take_often(watch, moving, 8)
        assert watch.end_lane() is None
    take_often(watch, blurred(moving, 4.0), 8)
    assert "out of focus" in (watch.end_lane() or "")


@pytest.fixture(scope="module")
def other_tissue() -> Bench:
    """Cores whose fineness differs fourfold, all in focus."""
    design = SlideDesign(
        name="STAINS", rows=1, columns=4, core_diameter_um=1000, pitch_um=1300, margin_um=1100,
        placement_um=0.0, seed=2,
    )  # fmt: skip
    return Bench(Slide(design, CALM.pixel_size_um), CALM)


def test_tissue_of_another_kind_is_not_out_of_focus(other_tissue: Bench) -> None:
    for first in range(4):
        watch = watch_of()
        for core in range(4):
            look_at(watch, other_tissue, (first + core) % 4, 0.0)
            assert watch.end_lane() is None


@pytest.mark.parametrize("off_um", [15.0, 25.0, 50.0])
def test_tissue_of_another_kind_is_told_where_it_is_out_of_focus(
    other_tissue: Bench, off_um: float
) -> None:
    watch = watch_of()
    for core in range(3):
        look_at(watch, other_tissue, core, 0.0)
        assert watch.end_lane() is None
    look_at(watch, other_tissue, 3, off_um)
    assert "out of focus" in (watch.end_lane() or "")


def watch_of() -> FocusWatch:
    return FocusWatch(flat=EVEN, glass=230.0, is_portrait=True, pixel_size_um=CALM.pixel_size_um)


def look_at(watch: FocusWatch, bench: Bench, core: int, off_um: float) -> None:
    """A lane over one core, so far off its focus."""
    place = bench.slide.cores[core]
    camera = Camera(
        bench.camera,
        bench.slide,
        straight((place.x_um - 400.0, place.y_um), 5000.0),
        np.random.default_rng(7),
    )
    sigma_px = 0.13 * off_um / bench.camera.pixel_size_um
    for time_s in np.linspace(0.02, 0.10, 9):
        frame = camera.frame(float(time_s), np.random.default_rng(1), sigma_px)
        watch.take(frame_of(np.rint(frame @ [0.299, 0.587, 0.114]).astype(np.uint8)))


def test_a_lane_of_little_tissue_is_judged_with_those_that_follow(bench: Bench) -> None:
    core = bench.slide.cores[1]
    watch = watch_of()
    moving = bench.lumas(straight((core.x_um - 100, core.y_um), 5000.0), [0.02])[0]
    take_often(watch, moving, 8)
    assert watch.end_lane() is None
    for _ in range(2):
        take_often(watch, blurred(moving, 4.0), 3)
        assert watch.end_lane() is None
    take_often(watch, blurred(moving, 4.0), 3)
    assert "out of focus" in (watch.end_lane() or "")


def test_a_lane_without_tissue_says_nothing_of_the_focus() -> None:
    watch = watch_of()
    watch.take(frame_of(np.full((240, 320), 230, np.uint8)))
    assert watch.end_lane() is None


def test_more_than_two_percent_of_lost_frames_is_told() -> None:
    assert lost_words(1, 200) is None
    assert lost_words(1, 30) is None
    assert lost_words(2, 30) == "2 frames lost, 6 % of the lane"
    assert lost_words(5, 95) == "5 frames lost, 5 % of the lane"


def blurred(luma: Luma, sigma_px: float) -> Luma:
    return np.asarray(cv2.GaussianBlur(luma, (0, 0), sigma_px), np.uint8)


def take_often(watch: FocusWatch, luma: Luma, count: int) -> None:
    for _ in range(count):
        watch.take(frame_of(luma))


def frame_of(luma: Luma) -> CameraFrame:
    jpeg = to_jpeg(np.repeat(luma[..., None], 3, axis=2))
    return CameraFrame(index=0, time_s=0.0, picture=JpegPicture(0, 0.0, jpeg), jpeg=jpeg)
