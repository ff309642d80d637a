"""A serial port, by pyserial: bytes in and out without waiting, and one error when it is gone."""

import contextlib
import errno
import sys
from collections.abc import Iterable

import serial
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from blurryscope.devices.errors import DeviceGoneError, DeviceMissingError

_WRITE_PATIENCE_S = 5.0
"""Of real time, the watchdog's; a busy computer may come back to a write only after a second."""
_REPLUG = "Plug the USB cable in again and reconnect; the stage stops by itself"


_BY_SERIAL_NUMBER = "usb:"


def device_of(url: str, plugged_in: Iterable[ListPortInfo]) -> str:
    """The device behind `usb:SERIALNUMBER`; anything else is a device already.

    A board that was plugged in again may get another name; its serial number stays.
    """
    if not url.startswith(_BY_SERIAL_NUMBER):
        return url
    wanted = url.removeprefix(_BY_SERIAL_NUMBER)
    present = {port.serial_number: port.device for port in plugged_in if port.serial_number}
    if wanted not in present:
        told = ", ".join(sorted(present)) or "none"
        raise DeviceMissingError(
            url, f"is not plugged in; serial numbers that are: {told}", "Check the USB cable"
        )
    return present[wanted]


class SerialPort:
    """Bytes to and from a controller.

    `url` is a device such as `/dev/ttyACM0` or `COM3`, `usb:` and a serial number, or what pyserial
    else opens.
    """

    def __init__(self, url: str, baud_rate: int = 115_200) -> None:
        self.url = url
        self._baud_rate = baud_rate
        self._port: serial.SerialBase | None = None

    def open(self) -> None:
        """Open it with DTR low, so that an Arduino does not restart."""
        present = list_ports.comports()
        device = device_of(self.url, present)
        try:
            port = serial.serial_for_url(device, do_not_open=True, baudrate=self._baud_rate)
            port.timeout, port.write_timeout = 0, _WRITE_PATIENCE_S
            port.dtr = port.rts = False
            if sys.platform != "win32" and "://" not in self.url:
                port.exclusive = True  # a second program would steal every other reply
            port.open()
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise self._cannot_be_opened(error, present) from error
        self._port = port

    def _cannot_be_opened(
        self, error: OSError | ValueError, present: Iterable[ListPortInfo]
    ) -> DeviceMissingError:
        number = getattr(error, "errno", None)
        if number in {errno.EAGAIN, errno.EBUSY}:
            return DeviceMissingError(
                self.url,
                "is in use by another program",
                "Close that program, such as a terminal or another scan, and try again",
            )
        if number == errno.EACCES and sys.platform != "win32":
            return DeviceMissingError(
                self.url,
                "must not be opened by this user",
                "Linux: sudo usermod -a -G dialout $USER, then log in anew",
            )
        ports = ", ".join(sorted(port.device for port in present)) or "none"
        if number == errno.ENOENT:
            return DeviceMissingError(
                self.url,
                f"is not there; ports that are: {ports}",
                "Check the cable and the name of the port",
            )
        return DeviceMissingError(
            self.url,
            f"cannot be opened ({error}); ports that are there: {ports}",
            "Check the cable and the name of the port, and close other programs that use it",
        )

    def raise_dtr(self) -> None:
        """Say that somebody listens: boards with USB of their own are silent before."""
        if self._port is not None:
            with contextlib.suppress(OSError):  # not every port has the line
                self._port.dtr = True

    def read(self) -> bytes:
        """What has come since; may be nothing."""
        try:
            return b"" if self._port is None else bytes(self._port.read(4096))
        except (OSError, TypeError) as error:  # TypeError: pyserial, when closed meanwhile
            raise DeviceGoneError(self.url, f"is gone ({error})", _REPLUG) from error

    def write(self, sent: bytes) -> None:
        """Send all of it; a port that takes nothing for seconds is gone."""
        if self._port is None:
            raise DeviceGoneError(self.url, "is not open", "Open the stage in `with`")
        try:
            self._port.write(sent)
        except (OSError, TypeError) as error:
            raise DeviceGoneError(self.url, f"is gone ({error})", _REPLUG) from error

    def close(self) -> None:
        """Close it; never fails."""
        port, self._port = self._port, None
        if port is not None:
            with contextlib.suppress(OSError, TypeError):
                port.close()
