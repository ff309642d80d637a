"""Whatever goes wrong, the stage is safe and the user is told."""

import site
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.devices.faults import WIRE_FAULTS, Fault, Trial, counted, run_trials

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


@pytest.mark.parametrize(("patient", "count"), [("protocol", 18), ("grbl", 9), ("firmware", 8)])
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
    trials = [trial for part in parts for trial in part]
    for patient in shares:
        ours = [t for job, part in zip(jobs, parts, strict=True) if job[0] == patient for t in part]
        print(patient, *(f"  {fault}: {dict(c)}" for fault, c in counted(ours).items()), sep="\n")  # noqa: T201 - shown by -rP
    assert len(trials) == 1_000
    assert not _broken_promises(trials)
    with_checksums = [
        t for job, part in zip(jobs, parts, strict=True) if job[0] != "grbl" for t in part
    ]
    noisy = [trial for trial in with_checksums if trial.fault in WIRE_FAULTS]
    # Checksums are there to get through: most noise must cost nothing but time.
    assert sum(trial.outcome == "done" for trial in noisy) > 0.85 * len(noisy)
