"""A thousand whole scans on the simulated microscope, one random fault each, and their ends.

    python -m benchmarks.thousand_faults OUT [--count N] [--seed S] [--minutes M]
        [--firmware] [--micropython FOLDER] [--apart]

Each scan homes, finds its landmark, films three lanes while frames are kept, looks at the landmark
again and joins its film, on a clock that runs as fast as the computer can. At a random moment one
thing goes wrong: in the cable, the controller, the stage, the camera, the disk, or the computer is
gone. Then the fault is mended and the same call is given again, until the scan is done. Three in
four have our protocol, one plain GRBL; with --firmware all have the firmware's own code, with
--micropython that code in MicroPython under Node.js, from the folder of its npm package.

With --apart the host is a process of its own, which is really killed, or whose disk is really full,
by turns, in real time; a third of them with our protocol, plain GRBL and the firmware each. Linux
only, for the disk.

Prints a table of faults and ends; ends with 1 if a promise was broken, and keeps the folders of
those scans in OUT. Not on Windows, where the size of files cannot be limited.
"""

import argparse
import faulthandler
import math
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.faulty_scans import OWN_CODE, ControllerKind, FaultyScan, ScanHere
from benchmarks.firmware_rig import MicroPythonBoard
from benchmarks.hosts_apart import ScanApart
from blurryscope.simulator.faults import Fault

PLAIN_GRBL_SHARE = 0.25
APART_FAULTS = (Fault.KILLED, Fault.FULL)
APART_CONTROLLERS: tuple[ControllerKind, ...] = ("protocol", "firmware", "grbl")
HANGS_S = 900
"""Of real time: one that hangs must not hang them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of one scan with one fault."""

    seed: int
    controller: ControllerKind
    fault: Fault
    is_apart: bool = False
    """Whether the host was a process of its own."""
    told: str
    """What the user was told: the error's name, `killed`, or nothing where the scan went on."""
    message: str
    end: str
    """How the same command ended once all was mended."""
    problems: tuple[str, ...]
    """Promises that were broken."""

    @property
    def kind(self) -> str:
        """What went wrong with what, as the table tells it."""
        stage = f", {self.controller}" if self.controller in OWN_CODE else ""
        real = {Fault.KILLED: ", SIGKILL", Fault.FULL: ", no room at all"}
        return f"{self.fault}{real[self.fault] if self.is_apart else ''}{stage}"


def main() -> int:
    """Run all trials, print the table, and give 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("out", type=Path, help="a new folder; keeps what broke a promise")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first scan; others follow")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no scan after that")
    parser.add_argument("--firmware", action="store_true", help="behind every port")
    parser.add_argument("--micropython", type=Path, help="the same, in that interpreter")
    parser.add_argument("--apart", action="store_true", help="hosts in processes of their own")
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    trials: list[Trial] = []
    until_s = time.monotonic() + 60 * given.minutes
    for seed in range(given.seed, given.seed + given.count):
        if time.monotonic() > until_s:
            break
        folder = given.out / f"scan-{seed}"
        if given.apart:
            trials.append(trial_apart(folder, seed))
        elif given.micropython:
            trials.append(trial_in_micropython(folder, seed, given.micropython))
        else:
            trials.append(trial_in(folder, seed, controller="firmware" if given.firmware else None))
        _tell_broken(trials[-1])
    print(table_of(trials))
    broken = sum(bool(trial.problems) for trial in trials)
    print(f"{len(trials)} scans, {broken} broke a promise")
    return 1 if broken else 0


def trial_in(
    folder: Path,
    seed: int,
    fault: Fault | None = None,
    controller: ControllerKind | None = None,
) -> Trial:
    """Scan into `folder` while one thing goes wrong, mend it, and scan on to the end.

    Fault and controller go by the seed unless they are given. The folder goes again if all was
    well.
    """
    rng = np.random.default_rng(seed)
    fault = fault or list(Fault)[seed % len(Fault)]
    is_plain = rng.random() < PLAIN_GRBL_SHARE
    controller = controller or ("grbl" if is_plain else "protocol")
    return _tried(ScanHere(folder, controller, fault, rng), folder, seed)


def trial_in_micropython(folder: Path, seed: int, package: Path) -> Trial:
    """As `trial_in`, with the firmware in MicroPython, of whose npm package it wants the folder."""
    fault = list(Fault)[seed % len(Fault)]
    board = MicroPythonBoard(shutil.which("node") or "node", package)
    scan = ScanHere(folder, "micropython", fault, np.random.default_rng(seed), board)
    return _tried(scan, folder, seed)


def trial_apart(folder: Path, seed: int) -> Trial:
    """As `trial_in`, with a host in a process of its own that is killed or has no room."""
    rng = np.random.default_rng(seed)
    fault = APART_FAULTS[seed % len(APART_FAULTS)]
    controller = APART_CONTROLLERS[seed // len(APART_FAULTS) % len(APART_CONTROLLERS)]
    return _tried(ScanApart(folder, controller, fault, rng), folder, seed)


def _tried(scan: FaultyScan, folder: Path, seed: int) -> Trial:
    """Do both attempts; the folder goes again if all was well."""
    faulthandler.dump_traceback_later(HANGS_S, exit=True)
    with scan:
        told = scan.scan_with_fault()
        end = scan.scan_to_the_end()
    faulthandler.cancel_dump_traceback_later()
    if not scan.problems:
        shutil.rmtree(folder)
    return Trial(
        seed=seed,
        controller=scan.controller,
        fault=scan.fault,
        is_apart=isinstance(scan, ScanApart),
        told=told.name,
        message=told.words,
        end=end,
        problems=tuple(scan.problems),
    )


def table_of(trials: Sequence[Trial]) -> str:
    """Markdown: one row a kind of fault, with what was told and how it ended, counted."""
    rows = [
        "| fault | scans | what was told | the same command, with all mended |",
        "|---|---|---|---|",
    ]
    faults = list(Fault)
    for kind in dict.fromkeys(t.kind for t in sorted(trials, key=lambda t: faults.index(t.fault))):
        some = [trial for trial in trials if trial.kind == kind]
        told = Counter(trial.told or "nothing, the scan went on" for trial in some)
        ends = Counter(trial.end for trial in some if trial.told)
        rows.append(f"| {kind} | {len(some)} | {_counted(told)} | {_counted(ends)} |")
    return "\n".join(rows)


def _counted(names: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in names.most_common()) or "–"


def _tell_broken(trial: Trial) -> None:
    for problem in trial.problems:
        print(
            f"seed {trial.seed}, {trial.controller}, {trial.kind}, {trial.told or 'went on'}, "
            f"{trial.end}: {problem}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
