"""The firmware behind a pseudo-terminal, as a host sees it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).parents[2] / "firmware"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are of Unix")


@pytest.fixture
def port() -> Iterator[int]:
    command = [sys.executable, "-m", "desk.serve", "--speed", "20", "--boot-id", "C0FFEE"]
    with subprocess.Popen(
        command, cwd=FIRMWARE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        descriptor = os.open(server.stdout.readline().strip(), os.O_RDWR | os.O_NOCTTY)
        yield descriptor
        os.close(descriptor)
        server.communicate()
        assert server.returncode == 0


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
