"""The hardware module on a Pico in memory, its pulses made by the emulated PIO."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.controller import Controller
from tests.firmware.fake_pico import STEPS_PER_MM, FakePico, pico_module


class Bench:
    """A Pico with the controller running, and somebody at the other end of the line."""

    def __init__(self, pico: FakePico, controller: Controller) -> None:
        self.pico = pico
        self.controller = controller

    def wait_ms(self, time_ms: int) -> str:
        for elapsed_ms in range(time_ms):
            if elapsed_ms % 250 == 0:
                self.pico.received.append(0x80)
            self.pico.advance_us(1000)
            self.controller.poll()
        heard = self.pico.sent.decode()
        self.pico.sent.clear()
        return heard

    def say(self, line: str, time_ms: int = 20) -> str:
        self.pico.received += line.encode()
        return self.wait_ms(time_ms)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.chdir(tmp_path)
    pico = FakePico()
    with pico_module(pico) as module:
        controller = Controller(module.PicoBoard())
        controller.start()
        yield Bench(pico, controller)


def home(bench: Bench) -> None:
    assert bench.say("$H\n", 14_000).endswith("ok\r\n")


def test_homing_and_a_lane_end_at_the_step(bench: Bench) -> None:
    home(bench)
    zero = list(bench.pico.place)
    bench.say("G1 X3 Y0.25 Z-0.01 F300\n", 900)
    assert "Idle|MPos:3.000,0.250,-0.010" in bench.say("?")
    moved = [here - there for here, there in zip(bench.pico.place, zero, strict=True)]
    assert moved == [3 * STEPS_PER_MM, STEPS_PER_MM // 4, -16]


def test_a_hold_keeps_the_count_and_resuming_reaches_the_target(bench: Bench) -> None:
    home(bench)
    zero = bench.pico.place[0]
    bench.say("G1 X3 F300\n", 300)
    bench.say("!", 200)
    status = bench.say("?")
    assert "<Hold:0|" in status
    told_mm = float(status.split("MPos:")[1].split(",")[0])
    assert abs(told_mm - (bench.pico.place[0] - zero) / STEPS_PER_MM) < 0.001
    bench.say("~", 900)
    assert bench.pico.place[0] - zero == 3 * STEPS_PER_MM


def test_a_broken_switch_wire_ends_the_pulses_within_twelve_ms(bench: Bench) -> None:
    home(bench)
    bench.say("G1 X5 F300\n", 300)
    bench.pico.place[1] = -1  # as if Y were at its switch
    before = bench.pico.place[0]
    assert "ALARM:1" in bench.wait_ms(12)
    halted = bench.pico.place[0]
    assert 0 < halted - before < 12 * 8 + 1
    bench.wait_ms(200)
    assert bench.pico.place[0] == halted


def test_a_silent_host_darkens_the_lamp_and_stops_the_stage(bench: Bench) -> None:
    home(bench)
    bench.say("M3 S1000\n")
    assert bench.pico.lamp_duty == 65535
    bench.say("G1 X70 F300\n")
    places = []
    for _ in range(5300):
        bench.pico.advance_us(1000)
        bench.controller.poll()
        places.append(bench.pico.place[0])
    assert bench.pico.lamp_duty == 0
    assert places[5150] == places[-1] < 70 * STEPS_PER_MM
    assert "<Hold:2|" in bench.say("?")


def test_a_late_loop_is_noticed_as_pulses_that_ran_dry(bench: Bench) -> None:
    home(bench)
    bench.say("G1 X5 F300\n", 300)
    bench.pico.advance_us(100_000)
    assert "ALARM:20" in bench.wait_ms(3)


def test_output_nobody_reads_does_not_stop_the_stage(bench: Bench) -> None:
    home(bench)
    bench.say("G1 X3 F300\n")
    bench.pico.is_listening = False
    for _ in range(100):
        bench.say("?", 8)
    bench.pico.is_listening = True
    bench.wait_ms(200)
    assert "Idle|MPos:3.000" in bench.say("?")


def test_settings_survive_in_flash(bench: Bench) -> None:
    assert bench.say("$120=80\n").endswith("ok\r\n")
    with pico_module(FakePico()) as module:
        again = Controller(module.PicoBoard())
        again.start()
    assert again.settings.value[120] == 80_000


def test_the_set_up_bridge_is_seen(bench: Bench) -> None:
    with pico_module(bench.pico) as module:
        assert not module.is_setup_wanted()
        bench.pico.pins[22] = 0
        assert module.is_setup_wanted()
