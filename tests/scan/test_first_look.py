from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.cli import app
from blurryscope.devices.contracts import (
    CameraSettings,
    StageLimits,
    StageMode,
    StagePoint,
    StageStatus,
)
from blurryscope.scan.first_look import FirstLook, advice, light_of

RIG = """
name = "toy"

[simulated]
preset = "plain"
shrink = 4
rows = 1
columns = 1
"""
NOWHERE = StagePoint(x_um=0, y_um=0, z_um=0)
FAR = StagePoint(x_um=1, y_um=1, z_um=1)


def looked_at(picture: NDArray[np.uint8], *, is_homed: bool = True) -> FirstLook:
    return FirstLook(
        stage="stage",
        status=StageStatus(mode=StageMode.RESTING, position=NOWHERE, is_homed=is_homed, time_s=0.0),
        limits=StageLimits(lowest=NOWHERE, highest=FAR, speed_um_per_s=1, acceleration_um_per_s2=1),
        camera="camera",
        settings=CameraSettings(columns=80, rows=60),
        light=light_of(picture),
        picture=picture,
    )


def even(value: int) -> NDArray[np.uint8]:
    return np.full((60, 80, 3), value, np.uint8)


def shaded() -> NDArray[np.uint8]:
    picture = even(220)
    picture[:20, :20] = 90
    return picture


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (looked_at(even(220)), []),
        (looked_at(even(20)), ["Raise lamp_fraction"]),
        (looked_at(even(20), is_homed=False), ["--home"]),
        (looked_at(even(255)), ["camera's top"]),
        (looked_at(shaded()), ["move the condenser"]),
    ],
)
def test_light_that_cannot_be_worked_with_is_told_with_its_remedy(
    look: FirstLook, words: list[str]
) -> None:
    told = list(advice(look))
    assert len(told) == len(words)
    for text, word in zip(told, words, strict=True):
        assert word in text


def test_the_command_says_who_answers_and_leaves_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig, picture = tmp_path / "rig.toml", tmp_path / "look.jpg"
    rig.write_text(RIG)
    words = ["look", "--rig", str(rig), "--out", str(picture)]
    app(words, standalone_mode=False)
    told = capsys.readouterr().out
    assert "not homed" in told
    assert "look again with --home" in told  # the lamp is not lit before
    app([*words, "--home"], standalone_mode=False)
    told = capsys.readouterr().out
    assert ", homed" in told
    assert "160 x 120, 30 Hz, exposed for 7.8 ms" in told
    assert "DOUBT" not in told
    seen = cv2.imread(str(picture))
    assert seen is not None
    assert seen.mean() > 150
