import pytest

from blurryscope.stitch.seen_lanes import SeenLane, common_speed


def _seen(lasted_s: float, px_per_s: float) -> SeenLane:
    return SeenLane(
        first_s=3.0,
        first_px=0.0,
        last_s=3.0 + lasted_s,
        last_px=-lasted_s * px_per_s,
        direction=-1,
        speed_px_per_s=px_per_s,
        middle_s=3.0 + lasted_s / 2,
        middle_px=-lasted_s * px_per_s / 2,
    )


def test_the_speed_of_all_lanes_is_that_of_those_seen_for_long() -> None:
    seen = [_seen(0.9, 4000.0), None, _seen(0.2, 4300.0), _seen(1.1, 4000.0), _seen(0.2, 4300.0)]
    assert common_speed(seen, usual_px_per_s=3900.0) == pytest.approx(4000.0)


def test_lanes_seen_for_a_moment_only_leave_the_usual_speed() -> None:
    assert common_speed([_seen(0.2, 4300.0), None], usual_px_per_s=3900.0) == 3900.0
