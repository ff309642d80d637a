"""Finding and losing a serial port."""

import errno
import sys

import pytest
from serial.tools.list_ports_common import ListPortInfo

from blurryscope.devices.errors import DeviceGoneError, DeviceMissingError
from blurryscope.devices.serial_port import SerialPort, device_of


def _plugged_in(device: str, serial_number: str | None) -> ListPortInfo:
    port = ListPortInfo(device, skip_link_detection=True)
    port.serial_number = serial_number
    return port


PORTS = [_plugged_in("/dev/ttyS0", None), _plugged_in("/dev/ttyACM1", "E66118C4E3")]


def test_a_board_is_found_by_its_serial_number_whatever_its_name() -> None:
    assert device_of("usb:E66118C4E3", PORTS) == "/dev/ttyACM1"
    assert device_of("/dev/ttyACM0", PORTS) == "/dev/ttyACM0"


def test_a_board_that_is_not_there_is_missed_by_name() -> None:
    with pytest.raises(DeviceMissingError, match="serial numbers that are: E66118C4E3"):
        device_of("usb:0000", PORTS)


def test_a_port_that_is_not_there_says_what_to_check() -> None:
    with pytest.raises(
        DeviceMissingError, match=r"(is not there|cannot be opened).*; ports .*Check the cable"
    ):
        SerialPort("/dev/nothing-of-this-name").open()


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")
def test_a_port_that_another_program_has_is_told_so() -> None:
    import os
    import pty

    ours, theirs = pty.openpty()
    first, second = SerialPort(os.ttyname(theirs)), SerialPort(os.ttyname(theirs))
    first.open()
    try:
        with pytest.raises(DeviceMissingError, match=r"in use by another program.*Close that"):
            second.open()
    finally:
        first.close()
        os.close(ours)
        os.close(theirs)


@pytest.mark.skipif(sys.platform == "win32", reason="ports have no owners there")
def test_a_port_without_the_right_to_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("serial.serialposix.os.open", refused)
    with pytest.raises(DeviceMissingError, match="-G dialout"):
        SerialPort("/dev/ttyACM0").open()


def test_a_port_that_is_not_open_takes_nothing() -> None:
    with pytest.raises(DeviceGoneError, match="is not open"):
        SerialPort("/dev/ttyACM0").write(b"?")
