"""The simulated controller keeps to the page that firmware and driver keep to."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from blurryscope.simulator.checked_lines import checksum
from blurryscope.simulator.grbl_controller import GrblController
from blurryscope.simulator.machine_parts import MachineSettings

SMALL = MachineSettings(
    travel_um=(12_000.0, 6_000.0, 2_000.0),
    start_um=(3_000.0, 2_000.0, -500.0),
    seek_um_per_s=10_000.0,
)


class Desk:
    """Types to a controller and reads what it says; its time passes by hand."""

    def __init__(self, *, has_checksums: bool = True) -> None:
        ids = itertools.count(1)
        self.now_s = 0.0
        machine = SMALL if has_checksums else replace(SMALL, watchdog_s=None)
        self.controller = GrblController(
            machine, has_checksums=has_checksums, boot_id=lambda: f"{next(ids):08X}"
        )
        self.controller.power_on(0.0)
        self.after("")

    def after(self, typed: str, wait_s: float = 0.0) -> list[str]:
        """What is said to it, within a time."""
        self.controller.feed(typed.encode("latin-1"), self.now_s)
        self.now_s += wait_s
        return [line for line in self.controller.advance(self.now_s).decode().split("\r\n") if line]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    desk.after("$H\n")
    for _ in range(200):
        if "ok" in desk.after("\x80", 0.1):
            break
    yield desk
    assert desk.controller.machine.path.end_s < desk.now_s + 60


def _sealed(text: str) -> str:
    return f"{text}*{checksum(text)}\n"


def test_nothing_moves_before_homing() -> None:
    desk = Desk()
    assert desk.after("G1 X5 F300\n") == ["error:9"]
    assert desk.controller.machine.ordered == []


def test_a_place_outside_the_limits_is_refused(desk: Desk) -> None:
    assert desk.after("G1 X12.1 F300\n") == ["error:15"]
    assert desk.after("G1 X12 F300\n") == ["ok"]


def test_homed_it_reports_where_it_is_and_who_it_is(desk: Desk) -> None:
    (report,) = desk.after("?")
    assert report.startswith("<Idle|MPos:0.000,0.000,0.000|Bf:15,127|FS:0,0|H:1|Up:")
    assert report.endswith("|Id:00000002>")


def test_checked_mode_asks_again_and_carries_out_once(desk: Desk) -> None:
    assert desk.after("M110 N0*35\n") == ["ok N0*90"]
    line = _sealed("N1 G1 X1 F300")
    assert desk.after(line.replace("X1", "X2")) == [_sealed("Resend: 1").strip()]
    assert desk.after(line) == [_sealed("ok N1").strip()]
    assert desk.after(line) == [_sealed("ok N1").strip()]
    assert len([move for move in desk.controller.machine.ordered if not move.is_homing]) == 1


def test_a_hold_keeps_the_move_and_its_position(desk: Desk) -> None:
    desk.after("G1 X10 F300\n", 0.5)
    desk.after("!", 0.2)
    (held,) = desk.after("?")
    assert held.startswith("<Hold:0|MPos:2.")
    desk.after("~", 1.0)
    assert desk.after("?")[0].startswith("<Run|")
    desk.after("\x80", 1.2)
    assert desk.after("?")[0].startswith("<Idle|MPos:10.000")


def test_a_silent_host_is_waited_for_five_seconds_and_no_longer(desk: Desk) -> None:
    desk.after("G1 X10 F60\n")
    heard_s = desk.now_s
    assert "[MSG:WATCHDOG]" in desk.after("", 8.0)
    machine = desk.controller.machine
    assert machine.path.end_s < heard_s + 5.1
    assert desk.after("?")[0].startswith("<Hold:2|MPos:5.")
    assert desk.after("G1 X1 F300\n") == ["error:9"]
    desk.after("\x18")
    assert desk.after("G1 X1 F300\n") == ["ok"]


def test_a_reset_in_motion_loses_the_position_and_one_at_rest_does_not(desk: Desk) -> None:
    desk.after("\x18")
    assert "|H:1|" in desk.after("?")[0]
    desk.after("G1 X10 F300\n", 0.5)
    assert "ALARM:3" in desk.after("\x18")
    assert "|H:0|" in desk.after("?")[0]


def test_replies_wait_while_the_queue_is_full(desk: Desk) -> None:
    lines = "".join(f"G1 X{1 + number % 2} F300\n" for number in range(8))
    assert desk.after(lines).count("ok") == 8
    assert desk.after(lines).count("ok") == 7
    assert desk.after("\x80", 0.5).count("ok") == 1


def test_power_that_fails_gives_another_boot_id_and_forgets_where_it_is(desk: Desk) -> None:
    before = desk.after("?")[0]
    desk.controller.power_on(desk.now_s)
    after = desk.after("?")[-1]
    assert "|H:0|" in after
    assert before[-9:] != after[-9:]


def test_marks_are_dark_for_as_long_as_asked(desk: Desk) -> None:
    desk.after("M3 S1000\n")
    told = desk.after("M100 P0.05\n", 0.2)
    machine = desk.controller.machine
    assert "ok" in told
    assert any(line.startswith("[MSG:MARK 1 ") for line in told)
    assert [machine.lamp_at(desk.now_s - ago_s) for ago_s in (0.18, 0.1)] == [0, 1000]


def test_plain_grbl_that_hit_a_limit_answers_nothing_until_it_is_reset() -> None:
    desk = Desk(has_checksums=False)
    with desk.controller.machine.lock:
        desk.controller.machine.close_switch(desk.now_s)
    assert desk.after("") == ["ALARM:1", "[MSG:Reset to continue]"]
    assert desk.after("?$I\n~!", 0.5) == []
    assert desk.after("\x18")[0].startswith("Grbl 1.1h")
    assert desk.after("?")[0].startswith("<Alarm|")


def test_plain_grbl_heeds_only_a_reset_while_it_homes() -> None:
    desk = Desk(has_checksums=False)
    assert desk.after("$H\n", 0.2) == []
    assert desk.after("!?", 0.1) == []
    assert desk.controller.machine.state.value == "Home"
    assert desk.after("\x18")[0] == "ALARM:6"


def test_plain_grbl_answers_a_question_when_it_has_homed() -> None:
    desk = Desk(has_checksums=False)
    desk.after("$H\n", 0.2)
    said = desk.after("?", 60.0)
    assert "ok" in said
    assert any(line.startswith("<Idle|") for line in said)


def test_after_a_limit_every_line_is_refused_until_a_reset(desk: Desk) -> None:
    with desk.controller.machine.lock:
        desk.controller.machine.close_switch(desk.now_s)
    assert desk.after("$H\n") == ["ALARM:1", "[MSG:RESET TO GO ON]", "error:9"]
    desk.after("\x18")
    assert desk.after("$X\n") == ["ok"]


def test_the_switch_of_an_axis_that_stands_ends_homing() -> None:
    desk = Desk()
    desk.after("$H\n", 0.05)  # z comes first
    with desk.controller.machine.lock:
        desk.controller.machine.close_switch(desk.now_s, axis=2)
        assert desk.controller.machine.state.value == "Home"
        desk.controller.machine.close_switch(desk.now_s, axis=0)
    assert desk.after("") == ["ALARM:1", "[MSG:RESET TO GO ON]", "error:9"]
