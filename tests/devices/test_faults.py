"""Whatever goes wrong, the stage is safe and the user is told."""

import site
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from blurryscope.simulator.faults import WIRE_FAULTS, Fault
from tests.devices.faults import Trial, counted, run_trials

NOISE = {
    "done",  # asked again until it was understood
    "GarbledLinkError",
    "DeviceSilentError",
    "StageHeldError",  # a byte became a feed hold
    "HomingFailedError",  # a byte became a feed hold or a reset while homing
    "StageStalledError",  # a speed lost its digits
    "StageAstrayError",
    "StageError",  # plain GRBL: a number became a place outside its limits, or a byte a reset
    "StageRestartedError",
    "LimitHitError",  # plain GRBL: a number became the place of a switch
    "NotHomedError",
}
ENDS = {
    Fault.RESET: {"StageRestartedError", "done"},  # done: it struck before homing
    Fault.UNPLUGGED: {"DeviceGoneError"},
    Fault.LIMIT: {"LimitHitError", "HomingFailedError", "done"},
    Fault.STALLED: {"StageStalledError", "done"},
    Fault.KILLED: {"killed"},
    **dict.fromkeys(WIRE_FAULTS, NOISE),
}


def _broken_promises(trials: list[Trial]) -> list[str]:
    return [
        f"{trial.fault}, seed {trial.seed}, {trial.outcome}: {problem}"
        for trial in trials
        for problem in trial.problems
    ] + [
        f"{trial.fault}, seed {trial.seed}: ended with {trial.outcome}, {trial.message}"
        for trial in trials
        if trial.outcome not in ENDS[trial.fault]
    ]


def _table(trials: dict[str, list[Trial]]) -> str:
    rows = ["| controller | fault | what became of it |", "|---|---|---|"]
    for patient, some in trials.items():
        for fault, counts in counted(some).items():
            ends = ", ".join(f"{name} {count}" for name, count in counts.most_common())
            rows.append(f"| {patient} | {fault} | {ends} |")
    return "\n".join(rows)


@pytest.mark.parametrize(("patient", "count"), [("protocol", 9), ("grbl", 9), ("firmware", 8)])
def test_no_fault_makes_the_stage_unsafe_or_the_driver_silent(patient: str, count: int) -> None:
    trials = run_trials(patient, range(count))
    assert not _broken_promises(trials)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_random_faults_leave_the_stage_safe_and_the_user_informed() -> None:
    shares = {"protocol": 640, "grbl": 200, "firmware": 160}
    jobs = [
        (patient, range(first, first + 40))
        for patient, count in shares.items()
        for first in range(1_000, 1_000 + count, 40)
    ]
    root = str(Path(__file__).parents[2])
    with ProcessPoolExecutor(4, get_context("spawn"), site.addsitedir, (root,)) as workers:
        parts = list(workers.map(run_trials, *zip(*jobs, strict=True)))
    trials: dict[str, list[Trial]] = {patient: [] for patient in shares}
    for (patient, _), part in zip(jobs, parts, strict=True):
        trials[patient] += part
    print(_table(trials))  # noqa: T201 - shown by `pytest -rP`; the page of reference has it
    assert sum(map(len, trials.values())) == 1_000
    assert not [problem for some in trials.values() for problem in _broken_promises(some)]
    checked = trials["protocol"] + trials["firmware"]
    noisy = [trial for trial in checked if trial.fault in WIRE_FAULTS]
    # Checksums are there to get through: most noise must cost nothing but time.
    assert sum(trial.outcome == "done" for trial in noisy) > 0.85 * len(noisy)
