"""A scan that never happened: the film, the map, and beside them the truth."""

import json
import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from blurryscope.artifacts.provenance import current_versions
from blurryscope.artifacts.recording import Recording, write_recording
from blurryscope.artifacts.repeat_folders import repeat_folder
from blurryscope.artifacts.video import VideoWriter
from blurryscope.artifacts.whole import whole_file, write_text_whole
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb
from blurryscope.basics.progress import Progress, silent
from blurryscope.simulator.camera import Camera, Exposures, plan_exposures
from blurryscope.simulator.presets import AUTHENTIC, ScanSettings
from blurryscope.simulator.slide import Slide, SlideDesign
from blurryscope.simulator.stage import StagePath, Zigzag
from blurryscope.simulator.truth import TrueWay, map_of, truth_of

_WORKERS = 2
_LARGEST_PICTURE_PX = 100_000_000
"""Of the slide at rest; a full slide is written smaller, so that memory stays bounded."""
_BAND_ROWS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedScan:
    """The files of one simulated scan."""

    video: Path
    map: Path
    truth: Path
    recording: Path
    slide_picture: Path
    frame_count: int


def simulate_scan(  # noqa: PLR0913 - all by name, all but two with a default
    out: Path,
    *,
    design: SlideDesign,
    settings: ScanSettings = AUTHENTIC,
    seed: int = 0,
    repeat: int = 1,
    turned: bool = False,
    progress: Progress = silent,
) -> SimulatedScan:
    """Scan a slide that does not exist and write film, map, truth and the slide at rest into `out`.

    All of them or, where it is interrupted, none. The same arguments give the same bytes. Another
    `seed` is another scan of the same slide, with its own faults; `turned` lays the slide on the
    stage the other way round.
    """
    streams = np.random.default_rng((seed, repeat)).spawn(4)
    slide = Slide(design, settings.camera.pixel_size_um, turned=turned)
    path = StagePath(plan_zigzag(slide, settings), settings.stage, streams[0])
    camera = Camera(settings.camera, slide, path, streams[1])
    exposures = plan_exposures(settings.camera, path.duration_s, streams[2])
    scan = SimulatedScan(
        video=out / "scan.mp4",
        map=out / "map.csv",
        truth=out / "truth.json",
        recording=out / "recording.json",
        slide_picture=out / "slide.jpg",
        frame_count=len(exposures.camera_frame),
    )
    truth, lab_map = _truth(slide, path, exposures, settings), map_of(slide)
    _refuse_other_film(scan, truth)
    _refuse_edited_map(scan, truth, lab_map)
    noise_seed = int(streams[3].integers(2**62))
    with whole_file(scan.video) as film, whole_file(scan.slide_picture) as picture:
        _write_slide_picture(picture, slide)
        _film(film, camera, exposures, settings, noise_seed, progress)
        # Only now: whoever interrupts the filming is left with no map of a film that is not there.
        write_text_whole(scan.truth, truth)
        write_text_whole(scan.map, lab_map)
        write_recording(scan.recording, _recording(design, settings, path, repeat))
    return scan


def simulate_repeats(
    out: Path,
    *,
    design: SlideDesign,
    settings: ScanSettings = AUTHENTIC,
    seed: int = 0,
    turned: tuple[bool, ...] = (False, False, True),
    progress: Progress = silent,
) -> list[SimulatedScan]:
    """Scan one slide several times, into `repeat-1`, `repeat-2` and so on; see `simulate_scan`."""
    scans = []
    for number, is_turned in enumerate(turned, start=1):

        def shared(stage: str, fraction: float, done: int = number - 1) -> None:
            progress(stage, (done + fraction) / len(turned))

        scans.append(
            simulate_scan(
                repeat_folder(out, number),
                design=design,
                settings=settings,
                seed=seed,
                repeat=number,
                turned=is_turned,
                progress=shared,
            )
        )
    return scans


def plan_zigzag(slide: Slide, settings: ScanSettings) -> Zigzag:
    """Lanes over the whole slide: the first and last fields touch its edges."""
    along_um, across_um = settings.camera.field_um
    height_um, width_um = (size * slide.pixel_size_um for size in slide.size_px)
    pitch_um = across_um * (1 - settings.lane_overlap_fraction)
    return Zigzag(
        start_x_um=along_um / 2,
        start_y_um=across_um / 2,
        lane_length_um=max(width_um - along_um, along_um),
        lane_pitch_um=pitch_um,
        lane_count=max(math.ceil((height_um - across_um) / pitch_um), 0) + 1,
    )


def _film(
    target: Path,
    camera: Camera,
    exposures: Exposures,
    settings: ScanSettings,
    noise_seed: int,
    progress: Progress,
) -> None:
    rate_hz = settings.camera.frame_rate_hz
    size_px = (settings.camera.rows, settings.camera.columns)
    count = len(exposures.camera_frame)
    with VideoWriter(target, size_px, rate_hz, settings.codec, _encoder_options(settings)) as film:
        for index, frame in enumerate(_frames(camera, exposures, noise_seed)):
            film.write(frame, index / rate_hz)
            progress("filming the slide", (index + 1) / count)


def _frames(camera: Camera, exposures: Exposures, noise_seed: int) -> Iterator[Rgb]:
    """All frames of the file in order, rendered a few ahead by several threads."""

    def render(number: int, start_s: float) -> Rgb:
        # A generator of its own: noise does not depend on which thread comes first.
        return camera.frame(start_s, np.random.default_rng((noise_seed, number)))

    ahead: deque[tuple[int, Future[Rgb]]] = deque()
    with ThreadPoolExecutor(_WORKERS) as workers:
        for number, start_s in zip(exposures.camera_frame, exposures.start_s, strict=True):
            if ahead and ahead[-1][0] == number:
                ahead.append(ahead[-1])
            else:
                ahead.append((number, workers.submit(render, int(number), float(start_s))))
            if len(ahead) > 3 * _WORKERS:
                yield ahead.popleft()[1].result()
        while ahead:
            yield ahead.popleft()[1].result()


def _encoder_options(settings: ScanSettings) -> dict[str, str]:
    if settings.codec != "libx264":
        return {}
    # One thread: the encoder's choices, and so the bytes, would depend on how many there are.
    return {"crf": str(settings.quality), "preset": "ultrafast", "threads": "1"}


def _refuse_other_film(scan: SimulatedScan, truth: str) -> None:
    """The same film may be made again; another one, or a map from elsewhere, stays."""
    if scan.truth.is_file():
        is_other = scan.video.is_file() and scan.truth.read_bytes() != truth.encode()
    else:
        is_other = scan.video.is_file() or scan.map.is_file()
    if is_other:
        raise InputError(
            scan.video.parent,
            "already holds another film or map",
            "Choose another --out, or move the old one away",
        )


def _refuse_edited_map(scan: SimulatedScan, truth: str, lab_map: str) -> None:
    """Beside the truth of this very scan another map is somebody's work."""
    is_same_scan = scan.truth.is_file() and scan.truth.read_bytes() == truth.encode()
    if is_same_scan and scan.map.is_file() and scan.map.read_bytes() != lab_map.encode():
        raise InputError(
            scan.map, "was changed since it was simulated", "Choose another --out, or move it away"
        )


def _truth(slide: Slide, path: StagePath, exposures: Exposures, settings: ScanSettings) -> str:
    middle_s = exposures.start_s + settings.camera.middle_s
    x_um, y_um = path.position_um(middle_s)
    way = TrueWay(middle_s=middle_s, x_um=x_um, y_um=y_um, lanes=path.lane_at(middle_s))
    facts = truth_of(slide, settings.camera, way) | {
        "speed_um_s": settings.stage.speed_um_per_s,
        "line_step_um": path.zigzag.lane_pitch_um,
        "dropped_camera_frames": exposures.dropped.tolist(),
        "repeated_frames": exposures.repeated.tolist(),
    }
    return json.dumps(facts) + "\n"


def _recording(
    design: SlideDesign, settings: ScanSettings, path: StagePath, repeat: int
) -> Recording:
    return Recording(
        slide=design.name,
        repeat=repeat,
        pixel_size_um=settings.camera.pixel_size_um,
        speed_um_per_s=settings.stage.speed_um_per_s,
        exposure_s=settings.camera.exposure_s,
        frame_rate_hz=settings.camera.frame_rate_hz,
        lane_pitch_um=path.zigzag.lane_pitch_um,
        rig="simulated",
        versions=current_versions(),
    )


def _write_slide_picture(target: Path, slide: Slide) -> None:
    """The slide at rest, upright, read in bands."""
    rows, columns = slide.size_px
    shrink = math.ceil(math.sqrt(rows * columns / _LARGEST_PICTURE_PX))
    band_rows = max(_BAND_ROWS // shrink, 1) * shrink
    bands = []
    for top in range(0, rows, band_rows):
        height = min(band_rows, rows - top)
        band = slide.read(top, 0, height, columns)
        size = (max(columns // shrink, 1), max(height // shrink, 1))
        bands.append(cv2.resize(band, size, interpolation=cv2.INTER_AREA) if shrink > 1 else band)
    picture = cv2.cvtColor(np.concatenate(bands), cv2.COLOR_RGB2BGR)
    written, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not written:
        raise ValueError(f"a picture of {picture.shape} cannot be written as JPEG")
    target.write_bytes(encoded.tobytes())
