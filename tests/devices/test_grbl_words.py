"""Lines of GRBL and its relatives, as they write them."""

import pytest

from blurryscope.devices.grbl_words import is_banner, read_report, read_settings


@pytest.mark.parametrize(
    "line",
    [
        "Grbl 1.1h ['$' for help]",
        "GrblHAL 1.1f ['$' or '$HELP' for help]",
        "Grbl 3.7 [FluidNC v3.7.10 (wifi) '$' for help]",
        "Grbl 1.1h [BlurryScope 1.0.0 '$' for help]",
    ],
)
def test_each_of_them_is_known_by_its_greeting(line: str) -> None:
    assert is_banner(line)


@pytest.mark.parametrize(
    ("line", "state", "stage", "is_homed"),
    [
        ("<Idle|MPos:-1.000,-1.000,-1.000|FS:0,0|WCO:0.000,0.000,0.000>", "Idle", 0, None),
        ("<Alarm:11|MPos:0.000,0.000,0.000|Bf:35,1023|FS:0,0>", "Alarm", 11, None),
        ("<Idle|MPos:0.000,0.000,0.000|FS:0,0|H:1,7>", "Idle", 0, True),
        ("<Idle|MPos:0.000,0.000,0.000|FS:0,0|H:0,3>", "Idle", 0, False),
        ("<Door:0|MPos:0.000,0.000,0.000|FS:0,0>", "Door", 0, None),
        ("<Tool|MPos:0.000,0.000,0.000|FS:0,0>", "Tool", 0, None),
    ],
)
def test_a_report_is_read(line: str, state: str, stage: int, is_homed: bool | None) -> None:
    report = read_report(line)
    assert report is not None
    assert (report.state, report.stage, report.is_homed) == (state, stage, is_homed)


def test_axes_beyond_the_third_are_left_out() -> None:
    report = read_report("<Idle|MPos:-1.000,-2.000,-3.000,90.000,0.000|FS:0,0>")
    assert report is not None
    assert report.position_um == (-1000.0, -2000.0, -3000.0)


@pytest.mark.parametrize(
    "line",
    [
        "<Idle|MPos:-1,000,-2.000,-3.000|FS:0,0>",
        "<Idle|MPos:-1.000,-2.000-3.000|FS:0,0>",
        "<Idle|MPos:-1.000|FS:0,0>",
        "<Idle|WPos:-1.000,-2.000,-3.000|FS:0,0>",
        "<Ile|MPos:-1.000,-2.000,-3.000|FS:0,0>",
    ],
)
def test_a_report_with_a_place_that_was_damaged_is_none(line: str) -> None:
    assert read_report(line) is None


def test_a_setting_is_read_with_or_without_its_remark() -> None:
    lines = ["$22=5", "$100=80.000 (x, step/mm)", "[MSG:INFO: no setting]"]
    assert read_settings(lines) == {22: 5.0, 100: 80.0}
