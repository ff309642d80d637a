"""Whoever judges the stage must see what it may not do."""

import numpy as np
import pytest

from blurryscope.simulator.machine import Machine
from blurryscope.simulator.machine_parts import Job, MachineSettings
from blurryscope.simulator.misdeeds import MisdeedsWatch

SETTINGS = MachineSettings(start_um=(500.0, 500.0, -500.0), seek_um_per_s=20_000.0)
HOMED_S = 20.0


@pytest.fixture
def machine() -> Machine:
    """Homed, and its watchdog content."""
    machine = Machine(SETTINGS, lambda _: None)
    machine.restart(0.0)
    machine.home(0.0, lambda: None)
    for second in range(int(HOMED_S)):
        machine.heard(float(second))
        machine.advance(float(second))
    machine.heard(HOMED_S)
    assert machine.is_homed
    return machine


def test_a_stage_that_homes_and_moves_within_its_limits_does_no_wrong(machine: Machine) -> None:
    machine.add(Job(target=np.array([5_000.0, 5_000.0, -500.0])), HOMED_S)
    watch = MisdeedsWatch(machine)
    assert watch.misdeeds(HOMED_S + 2.0) == []
    assert watch.true_position(HOMED_S + 2.0).x_um == 5_000.0


def test_a_move_that_was_never_homed_for_is_seen() -> None:
    machine = Machine(SETTINGS, lambda _: None)
    machine.restart(0.0)
    machine.unlock()
    machine.add(Job(target=np.array([100.0, 0.0, 0.0])), 0.0)
    assert MisdeedsWatch(machine).misdeeds(1.0) == ["it moved without being homed"]


def test_a_stage_beyond_its_limits_is_seen_once(machine: Machine) -> None:
    watch = MisdeedsWatch(machine)
    beyond = np.array([SETTINGS.travel_um[0] + 10.0, 0.0, 0.0])
    machine.path.displace(HOMED_S, beyond)
    (problem,) = watch.misdeeds(HOMED_S)
    assert problem.startswith("it left its limits")
    machine.path.displace(HOMED_S + 1.0, -beyond)
    assert watch.misdeeds(HOMED_S + 1.0) == []


def test_a_stage_that_its_watchdog_does_not_stop_is_seen(machine: Machine) -> None:
    watch = MisdeedsWatch(machine)
    machine.path.move(HOMED_S, np.array([70_000.0, 0.0, 0.0]), 5_000.0, 100_000.0)
    assert watch.misdeeds(HOMED_S + 1.0) != []  # nothing will stop it: no job of the controller's
