"""What a person sees while slides are scanned."""

import io
import sys
from dataclasses import replace

import pytest

from blurryscope.cli.progress import Screen
from blurryscope.cli.scanning import _read_keys, _reporter
from blurryscope.scan.states import Controls, ScanState, ScanStatus

BEGUN = ScanStatus(
    slide="left", repeat=1, state=ScanState.SCANNING, lane=0, lane_count=8, frame_count=0,
    lost_count=0,
)  # fmt: skip


class Watched:
    """Remembers what was told, each once, as a log does."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.report = _reporter(Screen(self.tell, self.say))

    def tell(self, stage: str, fraction: float) -> None:
        assert 0 <= fraction <= 1
        self.say(stage)

    def say(self, words: str) -> None:
        if words not in self.lines:
            self.lines.append(words)


def test_slide_and_repeat_are_told_with_every_state() -> None:
    screen = Watched()
    screen.report(BEGUN)
    screen.report(replace(BEGUN, repeat=2))
    screen.report(replace(BEGUN, slide="right"))
    assert screen.lines == [
        "scan left, repeat 1",
        "left, repeat 1: scanning",
        "scan left, repeat 2",
        "left, repeat 2: scanning",
        "scan right, repeat 1",
        "right, repeat 1: scanning",
    ]


def test_every_pause_is_told_in_spite_of_a_warning() -> None:
    screen = Watched()
    for lane in (3, 5):
        noted = replace(BEGUN, lane=lane, note="lane 2: out of focus: 40 % of the usual fineness")
        for state in (ScanState.SCANNING, ScanState.PAUSED, ScanState.SCANNING):
            screen.report(replace(noted, state=state))
    told = [line for line in screen.lines if "paused" in line]
    assert told == [
        f"left, repeat 1: paused, {lane} of 8 lanes done; r and Enter go on" for lane in (3, 5)
    ]


def test_a_warning_is_told_once_for_its_slide_repeat_and_lane() -> None:
    screen = Watched()
    words = "3 frames lost, 3 % of the lane"
    for repeat in (1, 2):
        for lane in (1, 1, 2):
            status = replace(BEGUN, repeat=repeat, lane=lane, note=f"lane {lane}: {words}")
            screen.report(status)
            screen.report(status)
    assert [line for line in screen.lines if words in line] == [
        f"left, repeat {repeat}: lane {lane}: {words}" for repeat in (1, 2) for lane in (1, 2)
    ]


def test_why_a_scan_ended_is_left_to_the_error() -> None:
    screen = Watched()
    screen.report(replace(BEGUN, state=ScanState.INTERRUPTED, lane=4, note="the cable is out"))
    assert screen.lines[1:] == ["left, repeat 1: interrupted, 4 of 8 lanes done"]


def test_every_key_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    controls, said = Controls(), list[str]()
    monkeypatch.setattr(sys, "stdin", io.StringIO("p\n\nr\n"))
    _read_keys(controls, said.append)
    assert said[0].startswith("will pause at the end of this lane")
    assert "a stops at once" in said[1]
    assert said[2] == "goes on"
    assert not controls.wants_pause()
