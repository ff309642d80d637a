"""A copy of the mosaic in which motion blur along the scan is undone as far as noise allows.

While a frame is exposed the stage moves on: a box of speed x exposure along x. Its inverse is
known, but it amplifies noise; the Wiener filter below stops where the noise measured on this
slide's empty glass would come through. The result is a derived picture for the eye: kept beside the
mosaic, never in its place, and nothing else in this package reads it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from blurryscope.artifacts.derived_mosaic import Told, derived_mosaic
from blurryscope.artifacts.frame_places import read_frame_places
from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.recording import read_recording
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb, is_unscanned, to_uint8
from blurryscope.basics.progress import Progress, silent
from blurryscope.stitch.regions import LaneTrack, lane_tracks, white_of

DEBLURRED = "mosaic-deblurred.ome.zarr"

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeblurSettings:
    """How far to go."""

    noise_factor: float = 4.0
    """How many times the measured noise counts: video compression adds what glass does not show.
    Against simulated slides at rest 2 to 4 come nearest; 1 to 8 differ little."""
    most_gain: float = 6.0
    """No frequency is amplified more than this."""
    glass_levels: float = 3.0
    """Grey levels below glass at which a place begins to count as tissue."""
    speed_tolerance: float = 0.15
    """By how much the stage may be slower or faster than usual in its lane; from there on less is
    undone, and from twice as much on nothing."""

    def __post_init__(self) -> None:
        if self.noise_factor <= 0 or self.most_gain < 1:
            raise ValueError(
                f"noise_factor must be positive and most_gain at least 1, got {self.noise_factor} "
                f"and {self.most_gain}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSpectra:
    """Power along x by frequency, per channel: what is tissue and what is noise."""

    frequency: NDArray[np.floating]
    """(n,), cycles per pixel, from 0 to 0.5."""
    noise: NDArray[np.floating]
    """(3, n) grey levels squared; of empty glass."""
    signal: tuple[float, float, float]
    """Power of the sharp tissue is this over frequency squared."""


def deblur_slide(
    slide_dir: Path,
    *,
    exposure_s: float | None = None,
    settings: DeblurSettings | None = None,
    progress: Progress = silent,
) -> Path:
    """Write `mosaic-deblurred.ome.zarr` beside the mosaic of a stitched slide, band by band.

    Parameters
    ----------
    exposure_s
        Of a frame; taken from the folder's `recording.json` if not given.

    Returns
    -------
    The folder written. An `InputError` says what is missing.
    """
    settings = settings or DeblurSettings()
    mosaic = Mosaic(slide_dir / "mosaic.ome.zarr")
    exposure_s = exposure_s or _recorded_exposure(slide_dir)
    tracks = lane_tracks(read_frame_places(slide_dir / "frames.csv"))
    kernels = [usual_speed(track) * exposure_s for track in tracks]
    if not kernels:
        raise InputError(slide_dir / "frames.csv", "holds no lane", "Stitch the slide again")
    white = white_of(mosaic, _GLASS_PERCENTILE)
    kernel_px = float(np.median(kernels))
    spectra = measure_spectra(mosaic, white, kernel_px)
    if not all(spectra.signal):
        raise InputError(
            slide_dir,
            f"a blur of {kernel_px:.0f} px cannot be undone: the mosaic shows no piece of tissue "
            f"of {_segment_px(kernel_px)} px to learn from",
            "Leave out --deblurred, or give the right --exposure-s",
        )
    told: Told = {
        "derived_from": "mosaic.ome.zarr",
        "how": "Wiener filter along x against a box of speed x exposure, one per lane",
        "exposure_s": exposure_s,
        "kernel_px": [round(kernel, 2) for kernel in kernels],
        "noise_factor": settings.noise_factor,
        "most_gain": settings.most_gain,
        "for": "looking at; measure and score on mosaic.ome.zarr",
    }
    target = slide_dir / DEBLURRED
    rows = mosaic.size_px[0]
    with derived_mosaic(target, mosaic.size_px, mosaic.pixel_size_um, told) as writer:
        for top, height, lane in _bands(tracks, rows):
            rgb = mosaic.read(top, 0, (height, mosaic.size_px[1]))
            even = steadiness(tracks[lane], rgb.shape[1], settings.speed_tolerance)
            writer.write_rows(deblurred(rgb, kernels[lane], spectra, white, even, settings))
            progress("undo motion blur", (top + height) / rows)
    return target


def deblurred(
    rgb: Rgb,
    kernel_px: float,
    spectra: PowerSpectra,
    white: tuple[float, float, float],
    even: Floats,
    settings: DeblurSettings,
) -> Rgb:
    """Undo a box blur of `kernel_px` along the columns of (row, col, rgb) uint8.

    `even`, (col,), is 1 where the kernel holds and 0 where the picture is to stay as it is. Empty
    glass stays as it is too: ripples would show there first. Unscanned pixels stay unscanned.
    """
    unscanned = is_unscanned(rgb)
    filled = _bridged(rgb.astype(np.float32), unscanned)
    weight = _tissue_weight(filled, white, kernel_px, settings.glass_levels) * even
    if not weight.any():
        return rgb
    margin = round(2 * kernel_px) + 16
    length = scipy.fft.next_fast_len(rgb.shape[1] + 2 * margin, real=True)
    pad = ((0, 0), (margin, length - rgb.shape[1] - margin))
    result = np.empty_like(filled)
    for channel in range(3):
        frequency = scipy.fft.rfftfreq(length)
        gain = wiener_gain(frequency, kernel_px, spectra, channel, settings).astype(np.float32)
        padded = np.pad(filled[:, :, channel], pad, mode="reflect")
        sharp = scipy.fft.irfft(scipy.fft.rfft(padded, axis=1) * gain, length, axis=1)
        here = filled[:, :, channel]
        # Nothing lets more light through than glass does.
        most = np.maximum(here, white[channel])
        there = np.minimum(sharp[:, margin : margin + rgb.shape[1]], most)
        result[:, :, channel] = here + weight * (there - here)
    stored = np.maximum(to_uint8(result), 1)
    stored[unscanned] = 0
    return stored


def wiener_gain(
    frequency: NDArray[np.floating],
    kernel_px: float,
    spectra: PowerSpectra,
    channel: int,
    settings: DeblurSettings,
) -> NDArray[np.floating]:
    """Factor by which to multiply each frequency (cycles per pixel, from 0): 1 at 0, real."""
    passed = np.sinc(frequency * kernel_px)
    noise = settings.noise_factor * np.interp(frequency, spectra.frequency, spectra.noise[channel])
    signal = spectra.signal[channel] / np.maximum(frequency, 1e-6) ** 2
    gain = passed * signal / (passed**2 * signal + noise)
    gain = np.clip(gain, -settings.most_gain, settings.most_gain)
    gain[frequency == 0] = 1.0
    return np.asarray(gain)


def measure_spectra(
    mosaic: Mosaic, white: tuple[float, float, float], kernel_px: float
) -> PowerSpectra:
    """Measure noise on empty glass and contrast on tissue, from patches all over the mosaic.

    The signal is 0 where no tissue is found, or the mosaic is too narrow for so long a blur.
    """
    glass, tissue = [], []
    segment_px = _segment_px(kernel_px)
    for patch in _patches(mosaic, segment_px):
        smooth = cv2.blur(patch, (15, 5)).astype(np.float32).reshape(-1, 3)
        low, high = np.quantile(smooth, (0.05, 0.95), axis=0)
        if (high - low).max() < _GLASS_SPREAD and (high > np.array(white) - _GLASS_LEVELS).all():
            glass.append(_power(patch))
        elif (high - low).max() > 3 * _GLASS_SPREAD:
            tissue.append(_power(patch))
    frequency = np.fft.rfftfreq(segment_px)
    noise = np.mean(glass, axis=0) if glass else np.full((3, len(frequency)), _USUAL_NOISE)
    blurred = np.mean(tissue, axis=0) if tissue else noise
    # Below the first zero of the box its own attenuation is known, and noise is small.
    low = (frequency > 2 / segment_px) & (frequency < 0.7 / kernel_px)
    sharp = np.maximum(blurred - noise, 0) / np.sinc(frequency * kernel_px) ** 2 * frequency**2
    red, green, blue = np.median(sharp[:, low], axis=1).tolist() if low.any() else (0.0, 0.0, 0.0)
    return PowerSpectra(frequency=frequency, noise=noise, signal=(red, green, blue))


def usual_speed(track: LaneTrack) -> float:
    """Speed of the stage along the lane, mosaic pixels per second."""
    speeds = _speeds(track)
    return float(np.median(speeds)) if len(speeds) else 0.0


def steadiness(track: LaneTrack, columns: int, tolerance: float) -> Floats:
    """(col,) 1 up to so much off the lane's usual speed, a part of it; 0 from twice as much on."""
    speeds = _speeds(track)
    if len(speeds) < 2:
        return np.zeros(columns, np.float32)
    off = np.abs(speeds / np.median(speeds) - 1)
    middle = (track.x_px[1:] + track.x_px[:-1]) / 2
    order = np.argsort(middle)
    off_at = np.interp(np.arange(columns), middle[order], off[order])
    return np.clip(2 - off_at / tolerance, 0, 1).astype(np.float32)


def _speeds(track: LaneTrack) -> NDArray[np.float64]:
    return np.asarray(np.abs(np.diff(track.x_px)) / np.maximum(np.diff(track.time_s), 1e-6))


_BAND_ROWS = 64
_SEGMENT_PX = 512
_LEAST_KERNELS = 10
"""Lengths of the blur in a piece."""
_PATCH_ROWS = 32
_PATCHES_EACH_WAY = 24
_GLASS_SPREAD, _GLASS_LEVELS = 3.0, 15.0
"""Grey levels: a patch that is as even as this, and as near to glass, is glass."""
_GLASS_PERCENTILE = 85
"""Of the brightness of all that was scanned, where glass lies."""
_USUAL_NOISE = 2.0
"""Grey levels squared; where a slide shows no glass to measure it on."""


def _recorded_exposure(slide_dir: Path) -> float:
    path = slide_dir / "recording.json"
    exposure_s = read_recording(path).exposure_s
    if exposure_s is None:
        raise unknown_exposure(path)
    return exposure_s


def unknown_exposure(where: Path) -> InputError:
    """What to raise where nothing tells how long the blur is."""
    return InputError(
        where,
        "nothing says how long a frame was exposed, so the blur is not known",
        "Give it with --exposure-s, such as 0.0078",
    )


def _bands(tracks: Sequence[LaneTrack], rows: int) -> Iterator[tuple[int, int, int]]:
    """First row, height and lane of bands that each lie nearest to one lane, top to bottom."""
    centres = [float(np.median(track.y_px)) for track in tracks]
    ends = [round((upper + lower) / 2) for upper, lower in pairwise(centres)] + [rows]
    top = 0
    for lane, end in enumerate(ends):
        while top < min(end, rows):
            height = min(_BAND_ROWS, end - top)
            yield top, height, lane
            top += height


def _segment_px(kernel_px: float) -> int:
    """Length of the pieces whose spectrum is taken: some frequencies below the box's first zero."""
    return max(_SEGMENT_PX, round(_LEAST_KERNELS * kernel_px))


def _patches(mosaic: Mosaic, segment_px: int) -> Iterator[Rgb]:
    rows, columns = mosaic.size_px
    if columns < segment_px or rows < _PATCH_ROWS:
        return
    for top in np.linspace(0, rows - _PATCH_ROWS, _PATCHES_EACH_WAY).astype(int).tolist():
        band = mosaic.read(top, 0, (_PATCH_ROWS, columns))
        for left in np.linspace(0, columns - segment_px, _PATCHES_EACH_WAY).astype(int).tolist():
            patch = band[:, left : left + segment_px]
            if not is_unscanned(patch).any():
                yield patch


def _power(patch: Rgb) -> NDArray[np.floating]:
    """(3, n) mean power of the rows, mean removed, Hann window."""
    values = patch.astype(np.float64) - patch.mean(axis=1, keepdims=True)
    window = np.hanning(patch.shape[1])
    spectrum = np.fft.rfft(values * window[None, :, None], axis=1)
    return np.asarray((np.abs(spectrum) ** 2).mean(axis=0).T / (window**2).sum())


def _bridged(values: Floats, unscanned: NDArray[np.bool_]) -> Floats:
    """Fill unscanned pixels from left to right with straight lines, so that no edge rings."""
    columns = np.arange(values.shape[1])
    for row in np.flatnonzero(unscanned.any(axis=1)).tolist():
        known = ~unscanned[row]
        if known.any():
            for channel in range(3):
                line = values[row, :, channel]
                values[row, :, channel] = np.interp(columns, columns[known], line[known])
    return values


def _tissue_weight(
    filled: Floats, white: tuple[float, float, float], kernel_px: float, glass_levels: float
) -> Floats:
    """0 on empty glass, 1 on tissue, (row, col); smooth, so that nothing shows where it ends."""
    side = max(round(kernel_px / 3), 3)
    darkness = (np.array(white, np.float32) - cv2.blur(filled, (side, 5))).max(axis=2)
    rising = np.clip(darkness / glass_levels - 1, 0, 1)
    return np.asarray(cv2.blur(rising, (side, 5)), np.float32)
