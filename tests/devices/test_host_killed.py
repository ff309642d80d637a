"""A host that is killed in the middle of a lane, for real: another process, real time, SIGKILL."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from blurryscope.artifacts.video import Video
from blurryscope.basics.clock import SystemClock
from blurryscope.simulator.grbl_controller import GrblController
from blurryscope.simulator.port import SimulatedPort
from tests.devices.faults import MACHINE

WATCHDOG_S = 1.0
HOST = Path(__file__).with_name("film_and_move.py")


@pytest.mark.parametrize("frames", [70])
def test_a_killed_host_leaves_a_stage_at_rest_and_a_film_that_can_be_read(
    tmp_path: Path, frames: int
) -> None:
    clock, film = SystemClock(), tmp_path / "lane.mkv"
    controller = GrblController(replace(MACHINE, watchdog_s=WATCHDOG_S), boot_id=lambda: "0000ABCD")
    controller.power_on(clock.monotonic_s())
    machine = controller.machine
    with SimulatedPort(controller, clock) as port:
        command = [sys.executable, str(HOST), port.url, str(film)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
            assert host.stdout is not None
            filmed = next(int(line) for line in host.stdout if int(line) >= frames)
            host.kill()
        time.sleep(WATCHDOG_S + 0.3)
        with machine.lock:
            machine.advance(clock.monotonic_s())
            rests_s, is_homed = machine.path.end_s, machine.is_homed
    assert rests_s <= machine.heard_s + WATCHDOG_S + 0.1
    assert is_homed
    with Video(film) as video:
        assert len(list(video)) >= filmed - 50  # a second of it at most
