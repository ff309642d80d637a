import pytest

from blurryscope.stitch.stage_so_far import StageSettings, StageSoFar
from blurryscope.stitch.told_starts import ToldStarts

RATE_HZ = 10.0


def _filmed(told: ToldStarts, frames: range) -> None:
    for frame in frames:
        told.note_frame(frame / RATE_HZ, frame + 1)


def test_a_lane_is_over_by_the_first_frame_after_the_next_was_set_off_on() -> None:
    told = ToldStarts([1.05, 3.05])
    _filmed(told, range(30))
    assert told.over == 12
    _filmed(told, range(30, 40))
    assert told.over == 32


def test_a_lane_is_over_soon_after_the_stage_came_to_its_end() -> None:
    told = ToldStarts([])
    _filmed(told, range(20))
    told.set_off(0.4)
    _filmed(told, range(20, 21))
    assert told.over == 0
    _filmed(told, range(21, 30))
    assert told.over == 22


def test_every_start_is_handed_on_once() -> None:
    told, stage = ToldStarts([0.5]), StageSoFar(StageSettings(rest_s=0.5, ramp_s=0.1))
    told.hand_on(stage)
    told.set_off(2.5)
    told.hand_on(stage)
    told.hand_on(stage)
    assert stage._starts_s == pytest.approx((0.5, 2.5))
