"""Whether the confidence of a frame's place means something: error against the truth by confidence.

    python benchmarks/confidence.py OUT DIR TRUTH.json [DIR TRUTH.json …]

DIR is a stitched slide's folder, TRUTH.json lies beside the film of its simulated scan. Writes
OUT.png, a reliability curve, and OUT.csv, its bins. Two errors are looked at: within a core (the
core's own shift removed), for frames whose centre lies in one, and over the slide (one rigid fit),
for all frames in lanes. A confidence that is calibrated is the share of frames that lie right.
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurryscope.artifacts.frame_places import read_frame_places
from blurryscope.evaluate.placement import (
    RigidFit,
    Truth,
    measure_placement,
    read_truth,
    slide_fit,
)

_BIN_EDGES = np.array([0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 1.0])
_RIGHT_PX = {"within a core": 2.0, "over the slide": 12.0}
"""Errors up to these count as right: what a core's picture and a slide's map can bear."""
_LEAST_FRAMES = 10
_COLOURS = {"within a core": "#0b5a8a", "over the slide": "#dc8a3a"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Frames of one kind: how sure they were said to be, and how far off they lie; (n,) each."""

    confidence: NDArray[np.float64]
    error_px: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Frames of about the same confidence."""

    kind: str
    confidence: float
    """Mean."""
    count: int
    right_fraction: float
    median_px: float
    ninety_five_px: float


def main() -> None:
    """Gather all slides, write the table and the curve."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("out", type=Path, help="name of the results, without a suffix")
    parser.add_argument("slides", type=Path, nargs="+", metavar="DIR TRUTH.json")
    given = parser.parse_args()
    if len(given.slides) % 2:
        parser.error("give a folder and a truth.json for every slide")
    pairs = list(zip(given.slides[::2], given.slides[1::2], strict=True))
    judged = gathered([judged_frames(folder, read_truth(truth)) for folder, truth in pairs])
    bins = [entry for kind, frames in judged.items() for entry in binned(kind, frames)]
    _write(given.out.with_suffix(".csv"), bins)
    _draw(given.out.with_suffix(".png"), judged, bins)
    for kind, frames in judged.items():
        own = [entry for entry in bins if entry.kind == kind]
        gap = sum(abs(e.right_fraction - e.confidence) * e.count for e in own)
        print(
            f"{kind}: {len(frames.error_px)} frames, right within {_RIGHT_PX[kind]:g} px "
            f"{(frames.error_px <= _RIGHT_PX[kind]).mean():.1%}, "
            f"mean distance of confidence from that share {gap / len(frames.error_px):.3f}"
        )


def judged_frames(folder: Path, truth: Truth) -> dict[str, Judged]:
    """Errors of the placed frames that truly lie in a lane."""
    places = read_frame_places(folder / "frames.csv")
    fit = slide_fit(places, truth)
    centres = np.array([(p.x_px, p.y_px) for p in places], np.float64)  # None becomes NaN
    confidence = np.array([place.confidence for place in places])
    apart = centres - fit.apply(truth.centres_px)
    known = np.isfinite(apart[:, 0]) & (truth.lanes >= 0)
    # Within cores the rotation that all cores share, which drift over the slide does not bend.
    turn = RigidFit(
        angle_rad=float(np.deg2rad(measure_placement(places, truth).turn_deg)),
        shift_px=np.zeros(2),
    )
    turned = centres - turn.apply(truth.centres_px)
    in_cores = [_in_core(turned, known, truth, core.centre_px) for core in truth.cores]
    rows = np.concatenate([rows for rows, _ in in_cores])
    errors = np.concatenate([errors for _, errors in in_cores])
    return {
        "within a core": Judged(confidence=confidence[rows], error_px=errors),
        "over the slide": Judged(confidence=confidence[known], error_px=np.hypot(*apart[known].T)),
    }


def _in_core(
    apart: NDArray[np.float64],
    known: NDArray[np.bool_],
    truth: Truth,
    centre_px: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Frames over one core, and their errors with the core's own shift removed."""
    away = np.hypot(*(truth.centres_px - centre_px).T)
    rows = np.flatnonzero(known & (away < truth.core_diameter_px / 2))
    own = apart[rows] - np.median(apart[rows], axis=0) if len(rows) else apart[rows]
    return rows, np.hypot(*own.T)


def gathered(slides: Sequence[dict[str, Judged]]) -> dict[str, Judged]:
    """Put the frames of all slides together."""
    return {
        kind: Judged(
            confidence=np.concatenate([slide[kind].confidence for slide in slides]),
            error_px=np.concatenate([slide[kind].error_px for slide in slides]),
        )
        for kind in slides[0]
    }


def binned(kind: str, frames: Judged) -> list[Bin]:
    """Errors by confidence; bins of too few frames to give a share are left out."""
    number = np.clip(np.digitize(frames.confidence, _BIN_EDGES) - 1, 0, len(_BIN_EDGES) - 2)
    result = []
    for here in (number == value for value in np.unique(number)):
        if here.sum() < _LEAST_FRAMES:
            continue
        errors = frames.error_px[here]
        median, most = np.quantile(errors, (0.5, 0.95)).tolist()
        result.append(
            Bin(
                kind=kind,
                confidence=float(frames.confidence[here].mean()),
                count=int(here.sum()),
                right_fraction=float((errors <= _RIGHT_PX[kind]).mean()),
                median_px=median,
                ninety_five_px=most,
            )
        )
    return result


def _write(path: Path, bins: Sequence[Bin]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["kind", "confidence", "frames", "right_fraction", "median_px", "p95_px"])
        for entry in bins:
            table.writerow(
                [entry.kind, f"{entry.confidence:.4f}", entry.count,
                 f"{entry.right_fraction:.4f}", f"{entry.median_px:.3f}",
                 f"{entry.ninety_five_px:.3f}"]
            )  # fmt: skip


def _draw(path: Path, judged: dict[str, Judged], bins: Sequence[Bin]) -> None:
    figure = Figure(figsize=(10, 4.4), dpi=130, layout="constrained")
    left, right = figure.subplots(1, 2)
    right.plot([0, 1], [0, 1], color="#b0b7bd", linewidth=1)
    for kind, frames in judged.items():
        _draw_kind(left, right, kind, frames, [entry for entry in bins if entry.kind == kind])
    left.set(xlabel="confidence in frames.csv", ylabel="distance to the truth, px", yscale="log")
    left.set_title("Each frame, and the median by confidence", loc="left", size=10)
    right.set(xlabel="confidence in frames.csv", ylabel="share of frames that lie right")
    right.set_title("Reliability: on the grey line it is calibrated", loc="left", size=10)
    right.legend(frameon=False, fontsize=8, loc="center")
    figure.savefig(path)


def _draw_kind(left: Axes, right: Axes, kind: str, frames: Judged, bins: Sequence[Bin]) -> None:
    at = [entry.confidence for entry in bins]
    colour = _COLOURS[kind]
    left.scatter(frames.confidence, np.maximum(frames.error_px, 0.01), s=5, alpha=0.35, c=colour)
    left.plot(at, [entry.median_px for entry in bins], "o-", color=colour, markersize=4)
    label = f"{kind}, within {_RIGHT_PX[kind]:g} px"
    right.plot(at, [e.right_fraction for e in bins], "o-", color=colour, markersize=4, label=label)
    for entry in bins:
        right.annotate(
            f"{entry.count}", (entry.confidence, entry.right_fraction), size=6, color=colour,
            xytext=(3, 3), textcoords="offset points",
        )  # fmt: skip


if __name__ == "__main__":
    main()
