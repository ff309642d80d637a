"""White balance on the shared scans: cast left on glass, halo, and what is left of the stain.

    python benchmarks/bench_white_balance.py

The slides of the shared scans, blurred by the motion and lit by lamps of three colours, are
balanced by division, and, side by side, by the folded subtraction of the authors of the paper:
255 - |frame - background|, where the background is one frame of the same film, tissue and all.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.tma.white_balance import find_white_balance

SCANS = Path(__file__).parents[2] / "shared" / "data" / "scans"
LAMPS = {"neutral": (1.0, 1.0, 1.0), "warm": (1.0, 0.9, 0.72), "bluish": (0.85, 0.93, 1.0)}
SHRINK = 4
BLUR_UM = 39.0
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slide:
    """A slide as the camera would see it, and where its glass is."""

    rgb: Rgb
    true_density: Floats
    """(row, col) of the slide at rest under white light, mean of the channels."""
    from_core_um: Floats
    """(row, col) distance from the rim of the nearest core; negative inside."""
    field_px: tuple[int, int]
    backgrounds_px: tuple[tuple[int, int], tuple[int, int]]
    """(row, col) of the middle of two frames: number 200 of the film, which the authors take for
    background, and one that shows tissue, as number 200 does where the film starts elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a balanced slide shows."""

    cast_percent: float
    """Largest difference between channels on glass far from tissue."""
    halo_percent: float
    """Glass near cores against glass far from them."""
    fidelity: float
    """Correlation of the density that is left with the true one, within cores."""


def shared_slides() -> Iterator[tuple[str, Slide]]:
    for folder in sorted(SCANS.iterdir()):
        truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        px_um = SHRINK * truth["px_um"]
        bgr = cv2.imread(str(folder / "slide.jpg"), cv2.IMREAD_REDUCED_COLOR_4)
        if bgr is None:
            raise SystemExit(f"{folder / 'slide.jpg'} cannot be read")
        still = np.asarray(bgr[..., ::-1], np.float64)
        rows, columns = np.indices(still.shape[:2])
        radius_um = truth["geometry"]["core_um"] / 2
        rims = [
            np.hypot(columns * px_um - core["x_um"], rows * px_um - core["y_um"]) - radius_um
            for core in truth["cores"]
            if not core["missing"]
        ]
        glass = np.quantile(still.reshape(-1, 3), 0.95, axis=0)
        field_px = tuple(round(side / SHRINK) for side in truth["field_px"])
        x_um, y_um, _ = truth["frames"][200]
        some = next(core for core in truth["cores"] if not core["missing"])
        for lamp, colour in LAMPS.items():
            lit = cv2.blur(still * np.array(colour), (round(BLUR_UM / px_um), 1))
            noisy = lit + np.random.default_rng(0).normal(0, 1.5, lit.shape)
            yield (
                f"{folder.name}, {lamp} lamp",
                Slide(
                    rgb=to_uint8(np.maximum(noisy, 1)),
                    true_density=-np.log10(np.maximum(still, 1) / glass).mean(axis=-1),
                    from_core_um=np.min(rims, axis=0),
                    field_px=(field_px[0], field_px[1]),
                    backgrounds_px=(
                        (round(y_um / px_um), round(x_um / px_um)),
                        (round(some["y_um"] / px_um), round(some["x_um"] / px_um)),
                    ),
                ),
            )


def folded(slide: Slide, middle_px: tuple[int, int]) -> Rgb:
    """One frame taken from every frame, sign lost; the mosaic is made of such frames."""
    height, width = slide.field_px
    top, left = (
        min(max(middle - side // 2, 0), size - side)
        for middle, size, side in zip(middle_px, slide.rgb.shape[:2], slide.field_px, strict=True)
    )
    frame = slide.rgb[top : top + height, left : left + width].astype(np.int64)
    rows, columns = slide.rgb.shape[:2]
    tiled = np.tile(frame, (-(-rows // height), -(-columns // width), 1))[:rows, :columns]
    return np.asarray(255 - np.abs(slide.rgb.astype(np.int64) - tiled), np.uint8)


def measure(slide: Slide, balanced: Rgb) -> Measured:
    values = balanced.astype(np.float64)
    far = values[slide.from_core_um > 250].mean(axis=0)
    near_glass = (slide.from_core_um > BLUR_UM + 15) & (slide.from_core_um < BLUR_UM + 75)
    near = values[near_glass].mean(axis=0)
    inside = slide.from_core_um < -BLUR_UM
    density = -np.log10(np.maximum(values, 1) / far).mean(axis=-1)
    return Measured(
        cast_percent=float(100 * np.ptp(far) / far.mean()),
        halo_percent=float(100 * np.abs(near / far - 1).max()),
        fidelity=float(np.corrcoef(density[inside], slide.true_density[inside])[0, 1]),
    )


def main() -> None:
    if not SCANS.is_dir():
        raise SystemExit(f"{SCANS} is not there")
    titles = ("by division", "folded, frame 200", "folded, frame with tissue")
    print(f"{'':24}" + "".join(f"{title:>29}" for title in titles))
    print(f"{'':24}" + 3 * f"{'cast %':>9}{'halo %':>9}{'fidelity':>11}")
    for name, slide in shared_slides():
        ours = measure(slide, find_white_balance(slide.rgb).apply(slide.rgb))
        theirs = [measure(slide, folded(slide, middle)) for middle in slide.backgrounds_px]
        print(
            f"{name:24}"
            + "".join(
                f"{each.cast_percent:9.2f}{each.halo_percent:9.2f}{each.fidelity:11.3f}"
                for each in (ours, *theirs)
            )
        )


if __name__ == "__main__":
    main()
