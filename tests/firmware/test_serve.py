"""The firmware behind a pseudo-terminal, as a host sees it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from blurryscope.devices.contracts import StageMode, StagePoint
from blurryscope.devices.grbl_stage import GrblStage

FIRMWARE = Path(__file__).parents[2] / "firmware"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are of Unix")


@contextmanager
def served(speed: int) -> Iterator[str]:
    """The path of a port behind which the firmware runs."""
    command = [sys.executable, "-m", "desk.serve", "--speed", str(speed), "--boot-id", "C0FFEE"]
    with subprocess.Popen(
        command, cwd=FIRMWARE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.communicate()
        assert server.returncode == 0


@pytest.fixture
def port() -> Iterator[int]:
    with served(speed=20) as path:
        descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
        yield descriptor
        os.close(descriptor)


def ask(port: int, line: bytes, until: bytes) -> bytes:
    os.write(port, line)
    heard = b""
    while until not in heard:
        heard += os.read(port, 4096)
    return heard


def test_a_host_homes_moves_and_asks(port: int) -> None:
    assert b"|H:0|" in ask(port, b"?", b"Id:00C0FFEE>")
    assert ask(port, b"M110 N0*35\n", b"ok N0*90\r\n")
    assert ask(port, b"$200=60\n", b"Resend: 1*0\r\n")
    os.write(port, b"\x18")
    assert ask(port, b"$200=60\n", b"ok\r\n")
    assert ask(port, b"$H\n", b"ok\r\n")
    assert ask(port, b"G1 X1 F300\nG4 P0\n", b"ok\r\nok\r\n")
    assert b"<Idle|MPos:1.000,0.000,0.000" in ask(port, b"?", b">")


def test_the_host_driver_drives_the_firmware() -> None:
    target = StagePoint(x_um=4_000.0, y_um=500.0, z_um=-20.0)
    with served(speed=3) as path, GrblStage(path) as stage:
        assert not stage.status().is_homed
        assert "$H" in stage.status().note
        assert stage.home().is_homed
        assert not stage.status().note  # that it had to be homed is over
        stage.light(0.8)
        stage.move_to(target, 5_000.0)
        rest = stage.wait_until_rest()
        assert rest.position == target
        assert rest.mode is StageMode.RESTING
        assert rest.boot_id == "00C0FFEE"
        stage.mark(0.067)
        assert "MARK 1" in (stage.status().note or "")
