"""The checklist of the first power-on can be passed as it is written, by hand at a terminal."""

from pathlib import Path

import pytest

from desk.transcript import Desk

PAGE = Path(__file__).parents[2] / "hardware/first-light.md"
MOTION = [
    # what the page says to type or do, how long a person then only watches, what has to be seen
    ("`$200=60`", "$200=60", 1.0, "ok"),
    ("`$H`", "$H", 15.0, "ok"),
    ("`$J=G91 X10 F300`", "$J=G91 X10 F300", 3.0, "ok"),
    ("`G1 X999 F300`: `error:15`", "G1 X999 F300", 1.0, "error:15"),
    ("`G1 X70 F300`, then `!`", "G1 X70 F300", 2.0, "ok"),
    ("it stops softly", "!", 1.0, ""),
    ("`~`: it goes on", "~", 15.0, ""),
    ("`?` shows `Idle` and `H:1`", "?", 0.0, "<Idle|MPos:70.000,"),
    ("`G1 X5 F300`, then press", "G1 X5 F300", 2.0, "ok"),
    ("press the Y switch by hand: `ALARM:1`", "=2", 0.1, "ALARM:1"),
    ("`0x18`", "=0", 0.1, ""),
    ("`0x18` (Ctrl-X)", "\x18", 0.5, "Grbl 1.1h"),
    ("`$H`, and press the emergency stop while Z moves", "$H", 0.3, ""),
    ("while Z moves: `ALARM:1`", "=1", 0.1, "ALARM:1"),
    ("Release it: **nothing moves**", "=0", 5.0, ""),
    ("`0x18`, `$H`", "\x18", 0.5, "Grbl 1.1h"),
    ("Ten times `$H`", "$H", 40.0, "ok"),
    ("`$200=5`, and `$$`", "$200=5", 1.0, "ok"),
    ("`$$` shows `$200=5.000`", "$$", 1.0, "$200=5.000"),
    ("`M3 S100`, `G1 X70 F300`, and touch no key", "M3 S100", 0.5, "ok"),
    ("`[MSG:WATCHDOG]`", "G1 X70 F300", 6.0, "[MSG:WATCHDOG]"),
    ("`?` shows `Hold:2`", "?", 0.0, "<Hold:2|"),
    ("`Hold:2`. `0x18`", "\x18", 0.5, "Grbl 1.1h"),
    ("`M3 S100`, `G1 X70 F300`, and close the terminal", "M3 S100", 0.5, "ok"),
    ("within 6 s", "G1 X70 F300", 6.0, "[MSG:WATCHDOG]"),
    ("close the terminal at once: the same", "?", 0.0, "<Hold:2|"),
]


def _heard_after(desk: Desk, typed: str, watched_s: float) -> list[str]:
    if typed.startswith("="):
        desk.board.broken_wires = int(typed[1:])
    else:
        desk.send(typed.encode() + (b"" if typed in {"!", "~", "?", "\x18"} else b"\n"))
    desk.wait_ms(5 + round(1000 * watched_s), beats=False)
    return desk.heard()


def test_the_checks_of_motion_are_passed_by_somebody_who_types_and_watches() -> None:
    page = PAGE.read_text(encoding="utf-8")
    desk = Desk()
    for words, typed, watched_s, wanted in MOTION:
        assert words in page
        heard = _heard_after(desk, typed, watched_s)
        assert any(line.startswith(wanted) for line in heard) or not wanted, (words, heard)
    assert desk.board.lamp == 0
    assert not desk.controller.is_busy


def test_nothing_moves_after_the_emergency_stop_was_released() -> None:
    desk = Desk()
    desk.board.place = [40 * 1600, 13 * 1600, -8 * 1600]
    _heard_after(desk, "$H", 1.0)
    desk.board.is_stuck = True  # its other contact takes the motors' power
    assert "ALARM:1" in _heard_after(desk, "=1", 1.0)
    place = list(desk.board.place)
    desk.board.is_stuck = False
    _heard_after(desk, "=0", 5.0)
    assert desk.board.place == place


@pytest.mark.parametrize("typed", ["G1 X999", "G1 X70"])
def test_a_move_without_a_feed_is_refused_as_such(typed: str) -> None:
    desk = Desk()
    desk.wait_ms(60)
    _heard_after(desk, "$200=60", 0.1)
    _heard_after(desk, "$H", 15.0)
    assert _heard_after(desk, typed, 0.5) == ["error:22"]
