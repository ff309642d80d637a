"""Scans whose camera, disk, stage or host fails: what was promised holds, and they can go on."""

import sys
from pathlib import Path

import pytest

from blurryscope.simulator.faults import Fault

if sys.platform == "win32":
    pytest.skip("the size of files cannot be limited here", allow_module_level=True)
from benchmarks.thousand_faults import Trial, table_of, trial_apart, trial_in

TOLD = {
    Fault.FROZEN: "CameraFrozenError",
    Fault.GONE: "DeviceGoneError",
    Fault.FULL: "OutputError",
    Fault.STALLED: "StageStalledError",
    Fault.KILLED: "killed",
}


@pytest.mark.parametrize("fault", list(TOLD))
def test_a_scan_whose_camera_disk_stage_or_host_fails_is_kept_and_goes_on(
    tmp_path: Path, fault: Fault
) -> None:
    trial = trial_in(tmp_path / "scan", 174, fault)  # with two of three lanes done
    assert trial.problems == ()
    assert (trial.told, trial.end) == (TOLD[fault], "went on")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_so_does_one_with_any_fault_at_any_moment(tmp_path: Path) -> None:
    trials = [trial_in(tmp_path / f"scan-{seed}", seed) for seed in range(100, 148)]
    print(table_of(trials))  # noqa: T201 - shown by `pytest -rP`
    assert {trial.fault for trial in trials} == set(Fault)
    assert [trial for trial in trials if trial.problems] == []


@pytest.mark.slow
def test_so_does_one_whose_stage_runs_the_firmware(tmp_path: Path) -> None:
    trials = [
        trial_in(tmp_path / f"scan-{seed}", seed, controller="firmware") for seed in range(12)
    ]
    assert {trial.fault for trial in trials} == set(Fault)
    assert [trial for trial in trials if trial.problems] == []
    (stalled,) = (trial for trial in trials if trial.fault is Fault.STALLED)
    assert stalled.told == "StageLostError"  # pulses went on, and only the camera could tell


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a disk of its own needs Linux' namespaces")
def test_so_does_one_whose_host_is_really_killed_or_has_no_room(tmp_path: Path) -> None:
    trials = [trial_apart(tmp_path / f"scan-{seed}", seed) for seed in range(2, 8)]
    assert {trial.controller for trial in trials} == {"protocol", "grbl", "firmware"}
    assert [trial for trial in trials if trial.problems] == []


def test_the_table_counts_what_was_told_and_how_it_ended() -> None:
    def trial(told: str, end: str) -> Trial:
        return Trial(
            seed=0, controller="grbl", fault=Fault.RESET, told=told, message=told, end=end,
            problems=(),
        )  # fmt: skip

    trials = [trial("", "was done"), trial("LimitHitError", "went on"), trial("", "was done")]
    assert table_of(trials).splitlines()[-1] == (
        "| controller restarts | 3 | nothing, the scan went on 2, LimitHitError 1 | went on 1 |"
    )
