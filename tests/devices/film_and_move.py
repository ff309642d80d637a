"""A host to be killed: homes a stage, films and moves until the end of its days.

python film_and_move.py PORT FILM
"""

import sys
import time
from pathlib import Path

import numpy as np

from blurryscope.devices.contracts import CameraFrame, StagePoint
from blurryscope.devices.grbl_stage import GrblStage
from blurryscope.devices.jpeg import JpegFilm, JpegPicture, to_jpeg


def main(port: str, film_path: Path) -> None:
    """Film a frame 50 times a second while lanes go forth and back."""
    jpeg = to_jpeg(np.random.default_rng(0).integers(1, 255, (96, 128, 3), np.uint8))
    with GrblStage(port) as stage, JpegFilm(film_path, (96, 128), 50.0) as film:
        stage.home()
        index = 0
        while True:
            x_um = 2_000.0 if index % 100 < 50 else 8_000.0
            if index % 50 == 0:
                stage.move_to(StagePoint(x_um=x_um, y_um=1_000.0, z_um=-500.0), 3_000.0)
            time_s = time.monotonic()
            picture = JpegPicture(index, time_s, jpeg)
            film.write(CameraFrame(index=index, time_s=time_s, picture=picture, jpeg=jpeg))
            index += 1
            print(index, flush=True)  # noqa: T201 - how the test knows what was filmed
            time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
