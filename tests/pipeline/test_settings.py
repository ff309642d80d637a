import pytest

from blurryscope.artifacts.recording import Recording
from blurryscope.pipeline.settings import RunSettings


def test_what_the_rig_tells_of_a_film_reaches_the_stitcher() -> None:
    told = Recording(
        rest_s=0.7,
        exposure_s=0.004,
        lane_starts_s=(1.0, 4.2),
        skew_deg=-0.25,
        speed_um_per_s=5000.0,
        pixel_size_um=1.25,
    )
    settings = RunSettings().for_film(told)
    assert settings.stitch.rest_s == 0.7
    assert settings.stitch.exposure_s == 0.004
    assert settings.stitch.lane_starts_s == (1.0, 4.2)
    assert settings.stitch.skew_deg == -0.25
    assert settings.stitch.told_speed_px_per_s == pytest.approx(4000.0)
    assert settings.pixel_size_um is None  # the film tells it better


def test_a_film_of_which_nothing_is_told_is_stitched_by_the_settings_alone() -> None:
    assert RunSettings().for_film(Recording()) == RunSettings()


def test_rests_that_a_person_tells_count_more_than_those_of_the_rig() -> None:
    assert RunSettings(rest_s=0.2).for_film(Recording(rest_s=0.7)).stitch.rest_s == 0.2
    assert RunSettings(rest_s=0.2).for_film(Recording()).stitch.rest_s == 0.2


@pytest.mark.parametrize("rest_s", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rest_that_no_stage_takes_is_refused(rest_s: float) -> None:
    with pytest.raises(ValueError, match="rest_s"):
        RunSettings(rest_s=rest_s)
