import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurryscope.stitch.evidence import Evidence
from blurryscope.stitch.lane_search import LaneSearch
from blurryscope.stitch.rhythm import Rhythm
from tests.stitch.zigzag_film import ALL, MOVING, RESTING, SEEN, zigzag_film


@pytest.mark.parametrize("last_direction", [None, 1, -1])
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 300))
def test_looking_at_many_frames_at_once_finds_the_same_lanes(
    last_direction: int | None, seed: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    film = zigzag_film([SEEN, ALL, None, ALL], rng, jitter=6)
    told = film.evidence(rng)
    still = np.where(rng.random(film.count) < 0.1, 0.9, 0.0)
    evidence = Evidence(
        forward=told.forward[:count], backward=told.backward[:count], still=still[:count]
    )
    rhythm = Rhythm(moving=MOVING * rng.uniform(0.8, 1.2), resting=RESTING * rng.uniform(0.5, 1.2))
    search = LaneSearch(evidence, rhythm, last_direction=last_direction)
    assert search.run() == search.run(at_once=1)
