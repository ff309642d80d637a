"""Lines of a session that goes on for weeks."""

from blurryscope.devices.contracts import StagePoint
from blurryscope.devices.grbl_words import LAST_NUMBER
from blurryscope.simulator.rig import SimulatedRig

PLACES = [StagePoint(x_um=x_um, y_um=2_000.0, z_um=-500.0) for x_um in (4_000.0, 4_500.0, 5_000.0)]


def test_after_the_last_line_number_counting_begins_anew(rig: SimulatedRig) -> None:
    with rig.stage() as stage:
        stage.home()
        link = stage._link
        link._number = rig.controller._checked.last_number = LAST_NUMBER - 2
        for place in PLACES:
            stage.move_to(place)
            assert stage.wait_until_rest().position == place
        assert link.is_checked
        assert 0 < link._number < 100
