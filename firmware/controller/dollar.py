"""The `$` commands: homing, unlocking, jogging, settings, identity."""

from controller.gcode import read_jog
from controller.refusal import (
    DOLLAR_UNKNOWN,
    JOG_MALFORMED,
    LOCKED,
    NOT_AT_REST,
    SETTING_NOT_STORED,
    Refused,
)
from controller.report import identity
from controller.settings import UNHOMES

TYPE_CHECKING = False  # MicroPython has no typing module
if TYPE_CHECKING:
    from controller.controller import Controller


def obey_dollar(controller: "Controller", text: str) -> bool:
    """Obey what follows a `$`; True when the reply is due at once. Raises Refused."""
    if text[:1] == "J":
        return _jog(controller, text[1:])
    name, equals, value = text.partition("=")
    is_number = equals == "=" and name.isdigit()
    if not (is_number or text in _COMMANDS):
        raise Refused(DOLLAR_UNKNOWN)
    if not controller.is_at_rest:
        raise Refused(NOT_AT_REST)
    if is_number:
        _change(controller, int(name), value)
        return True
    return _COMMANDS[text](controller)


def _jog(controller: "Controller", text: str) -> bool:
    if text[:1] != "=":
        raise Refused(JOG_MALFORMED)
    if not controller.is_homed:
        raise Refused(LOCKED)
    if not (controller.is_at_rest or controller.is_jogging):
        raise Refused(NOT_AT_REST)
    return controller.begin(read_jog(text[1:]))


def _change(controller: "Controller", number: int, value: str) -> None:
    controller.settings.set(number, value)
    if number in UNHOMES:
        controller.unhome()
    _keep(controller)


def _keep(controller: "Controller") -> None:
    controller.board.power(bool(controller.settings.value[4]))
    if not controller.board.store(controller.settings.pack()):
        raise Refused(SETTING_NOT_STORED)


def _home(controller: "Controller") -> bool:
    controller.start_homing()
    return False


def _unlock(controller: "Controller") -> bool:
    controller.unlock()
    return True


def _show_settings(controller: "Controller") -> bool:
    for line in controller.settings.show():
        controller.say(line)
    return True


def _reset_settings(controller: "Controller") -> bool:
    controller.settings.reset()
    controller.unhome()
    _keep(controller)
    return True


def _show_identity(controller: "Controller") -> bool:
    for line in identity(controller):
        controller.say(line)
    return True


def _show_modes(controller: "Controller") -> bool:
    controller.say(controller.modes.show(controller.lamp))
    return True


_COMMANDS = {
    "H": _home,
    "X": _unlock,
    "$": _show_settings,
    "RST=$": _reset_settings,
    "I": _show_identity,
    "G": _show_modes,
}
