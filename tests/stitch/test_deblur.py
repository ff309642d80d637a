"""Blur of known length undone on tissue, and nothing invented where there is none."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.artifacts.derived_mosaic import derivation_of
from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.recording import Recording, write_recording
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.stitch.deblur import (
    DEBLURRED,
    DeblurSettings,
    PowerSpectra,
    deblur_slide,
    deblurred,
    measure_spectra,
    steadiness,
    wiener_gain,
)
from blurryscope.stitch.regions import LaneTrack
from tests.stitch.slide_by_hand import WHITE, good_slide

KERNEL_PX = 41
GLASS = (float(WHITE),) * 3
COLUMNS = 1400


def _true_tissue() -> NDArray[np.float32]:
    """Cells of all sizes, as a slide at rest shows them, between glass on both sides."""
    rng = np.random.default_rng(3)
    texture = np.zeros((192, COLUMNS), np.float32)
    for sigma in (2, 5, 12):
        grown = cv2.GaussianBlur(rng.standard_normal(texture.shape, np.float32), (0, 0), sigma)
        texture += np.asarray(grown / grown.std(), np.float32)
    level = np.full_like(texture, WHITE)
    level[:, 400:1000] = np.clip(150 + 16 * texture[:, 400:1000], 40, 220)
    return level


def _filmed(truth: NDArray[np.float32], noise: float) -> Rgb:
    blurred = cv2.blur(truth, (KERNEL_PX, 1), borderType=cv2.BORDER_REPLICATE)
    grain = np.random.default_rng(0).normal(0, noise, (*truth.shape, 3))
    return to_uint8(np.asarray(blurred)[:, :, None] + grain)


def _spectra(noise: float) -> PowerSpectra:
    """What measuring gives for such tissue and white noise."""
    frequency = np.fft.rfftfreq(512)
    power = np.full((3, len(frequency)), noise**2)
    return PowerSpectra(frequency=frequency, noise=power, signal=(0.5, 0.5, 0.5))


def _undone(
    filmed: Rgb, noise: float, settings: DeblurSettings | None = None
) -> NDArray[np.float64]:
    even = np.ones(filmed.shape[1], np.float32)
    settings = settings or DeblurSettings()
    return deblurred(filmed, KERNEL_PX, _spectra(noise), GLASS, even, settings).astype(np.float64)


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
def test_tissue_comes_nearer_to_the_slide_at_rest(noise: float) -> None:
    truth = _true_tissue()[:, :, None]
    filmed = _filmed(truth[:, :, 0], noise)
    here = np.s_[:, 420:980]
    before = np.mean((filmed - truth)[here] ** 2)
    after = np.mean((_undone(filmed, noise) - truth)[here] ** 2)
    assert after < 0.6 * before


def test_beside_an_edge_it_rings_by_less_than_a_tenth_of_the_contrast() -> None:
    truth = np.full((64, COLUMNS), WHITE, np.float32)
    truth[:, 500:900] = 110
    result = _undone(_filmed(truth, 0.5), 0.5).mean(axis=(0, 2))
    contrast = WHITE - 110
    assert result.max() <= WHITE + 1.5  # noise of the blurred picture itself
    inside = result[500 + KERNEL_PX : 900 - KERNEL_PX]
    assert np.abs(inside - 110).max() < 0.1 * contrast
    outside = np.concatenate([result[: 500 - KERNEL_PX], result[900 + KERNEL_PX :]])
    assert np.abs(outside - WHITE).max() < 1.5


def test_an_edge_becomes_steeper() -> None:
    truth = np.full((64, COLUMNS), WHITE, np.float32)
    truth[:, 500:900] = 110
    filmed = _filmed(truth, 0.5)

    def width_px(picture: NDArray[np.float64]) -> int:
        profile = picture.mean(axis=(0, 2))[440:560]
        return int(((profile > 130) & (profile < 210)).sum())

    assert width_px(_undone(filmed, 0.5)) < 0.4 * width_px(filmed.astype(np.float64))


def test_empty_glass_and_what_was_not_scanned_stay_as_they_are() -> None:
    filmed = _filmed(_true_tissue(), 1.0)
    filmed[:, 600:640] = 0
    result = _undone(filmed, 1.0)
    assert (result[:, 600:640] == 0).all()
    assert (result[:, :600] > 0).all()
    assert (result[:, :300] == filmed[:, :300]).all()
    beside = np.abs(result[:, 560:600] - filmed[:, 560:600]).mean()
    usual = np.abs(result[:, 760:800] - filmed[:, 760:800]).mean()
    assert beside < 1.5 * usual


def test_the_noisier_the_film_the_less_is_undone() -> None:
    frequency = np.fft.rfftfreq(2048)
    most = [
        np.abs(wiener_gain(frequency, KERNEL_PX, _spectra(noise), 0, DeblurSettings())).max()
        for noise in (0.1, 3.0, 10.0)
    ]
    assert most[0] > most[1] > most[2] >= 1
    assert most[0] <= DeblurSettings().most_gain


def test_where_the_stage_stuck_nothing_is_undone() -> None:
    x_px = np.arange(0, 3000, 150.0)
    time_s = np.arange(20) / 30
    time_s[10:] += 1 / 30  # one step took twice as long
    track = LaneTrack(lane=0, x_px=x_px, y_px=np.zeros(20), time_s=time_s, confidence=np.ones(20))
    even = steadiness(track, 3000, 0.15)
    assert even[int(x_px[9] + 75)] == 0
    assert even[300:1000].min() == 1


def test_a_slide_gets_a_second_mosaic_that_says_what_it_is(tmp_path: Path) -> None:
    folder = good_slide().write(tmp_path)
    before = Mosaic(folder / "mosaic.ome.zarr").read_level(0)
    written = deblur_slide(folder)
    assert written.name == DEBLURRED
    assert (Mosaic(folder / "mosaic.ome.zarr").read_level(0) == before).all()
    layer = Mosaic(written)
    assert layer.size_px == before.shape[:2]
    assert layer.pixel_size_um == 1.0
    told = derivation_of(written)
    assert told is not None
    assert told["derived_from"] == "mosaic.ome.zarr"
    # 150 px a frame, 30 frames a second, 0.03 s of exposure.
    assert told["kernel_px"] == [135.0] * 4
    assert derivation_of(folder / "mosaic.ome.zarr") is None


def test_noise_is_measured_on_glass_and_contrast_on_tissue(tmp_path: Path) -> None:
    spectra = measure_spectra(Mosaic(good_slide().write(tmp_path) / "mosaic.ome.zarr"), GLASS, 35)
    at_high = spectra.noise[1][spectra.frequency > 0.25]
    assert np.median(at_high) == pytest.approx(1.2**2 + 1 / 12, rel=0.15)
    assert min(spectra.signal) > 0


@pytest.mark.slow
@pytest.mark.parametrize("exposure_s", [0.028])
def test_long_blur_does_not_wash_the_tissue_out(tmp_path: Path, exposure_s: float) -> None:
    folder = good_slide().write(tmp_path)
    before = Mosaic(folder / "mosaic.ome.zarr").read_level(1).astype(np.float32)
    layer = Mosaic(deblur_slide(folder, exposure_s=exposure_s))
    assert layer.read_level(1).astype(np.float32).std() > 0.95 * before.std()


def test_blur_too_long_for_the_mosaic_is_left_in_it(tmp_path: Path) -> None:
    folder = good_slide().write(tmp_path)
    with pytest.raises(InputError, match="cannot be undone"):
        deblur_slide(folder, exposure_s=0.3)
    assert not (folder / DEBLURRED).exists()


def test_without_an_exposure_the_blur_is_not_known(tmp_path: Path) -> None:
    folder = good_slide().write(tmp_path)
    write_recording(folder / "recording.json", Recording(pixel_size_um=1.0))
    with pytest.raises(InputError, match="exposed"):
        deblur_slide(folder)
    assert not (folder / DEBLURRED).exists()
