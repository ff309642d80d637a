"""How long a move takes, axis by axis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.devices.contracts import StagePoint
from blurryscope.devices.travel_time import AxisPaces
from blurryscope.simulator.machine import Machine
from blurryscope.simulator.machine_parts import Job, MachineSettings

PACES = AxisPaces(
    speed_um_per_s=(10_000.0, 10_000.0, 250.0),
    acceleration_um_per_s2=(100_000.0, 100_000.0, 50_000.0),
)
HOME = StagePoint(x_um=0.0, y_um=0.0)


def test_a_slow_axis_paces_its_own_moves() -> None:
    assert PACES.lasts_s(HOME, StagePoint(x_um=0.0, y_um=0.0, z_um=-4_000.0)) == pytest.approx(
        16.005
    )


def test_a_slow_axis_paces_a_slanted_move() -> None:
    assert PACES.lasts_s(HOME, StagePoint(x_um=500.0, y_um=0.0, z_um=-1_000.0)) > 4.0


def test_a_move_that_goes_nowhere_takes_no_time() -> None:
    assert PACES.lasts_s(HOME, HOME) == 0


def test_a_short_move_never_comes_to_its_speed() -> None:
    lasts_s = PACES.lasts_s(HOME, StagePoint(x_um=100.0, y_um=0.0))
    assert lasts_s == pytest.approx(2 * (100 / 100_000) ** 0.5)


places = st.builds(
    StagePoint, x_um=st.floats(0, 12_000), y_um=st.floats(0, 6_000), z_um=st.floats(-2_000, 0)
)


@given(target=places, speed=st.floats(50, 20_000))
def test_the_simulated_machine_takes_as_long(target: StagePoint, speed: float) -> None:
    settings = MachineSettings(speed_um_per_s=(10_000.0, 8_000.0, 250.0), start_um=(0, 0, 0))
    machine = Machine(settings, lambda _: None)
    goal = settings.to_steps_um(settings.lowest_um * 0 + (target.x_um, target.y_um, target.z_um))
    machine.is_homed = True
    machine.unlock()
    machine.add(Job(target=goal, speed_um_per_s=speed), 0.0)
    x, y, z = map(float, goal)
    paces = AxisPaces(
        speed_um_per_s=settings.speed_um_per_s,
        acceleration_um_per_s2=settings.acceleration_um_per_s2,
    )
    lasts_s = paces.lasts_s(HOME, StagePoint(x_um=x, y_um=y, z_um=z), speed)
    assert machine.path.end_s == pytest.approx(lasts_s, rel=1e-6, abs=1e-3)
