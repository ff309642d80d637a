"""What the controller tells of itself (`protocol.md`, sections 4 and 8)."""

from controller.gcode import AXES
from controller.integers import divide_rounded, show_decimal
from controller.lines import BUFFER_LIMIT
from controller.motion import QUEUE_LIMIT

TYPE_CHECKING = False  # MicroPython has no typing module
if TYPE_CHECKING:
    from controller.controller import Controller

FIRMWARE = "BlurryScope 1.0.0"
PROTOCOL = 1
BANNER = f"Grbl 1.1h [{FIRMWARE} '$' for help]"
UNLOCK_HINT = "[MSG:'$H' to unlock]"
TOLD_BUFFER = 127
"""A host that counts characters keeps this many in flight."""


def state_name(controller: "Controller") -> str:
    """The first field of the status."""
    name = ("Alarm", "", "Home", "Hold:1", "Hold:0", "Hold:2")[controller.state]
    if name:
        return name
    if controller.motion.is_jogging:
        return "Jog"
    return "Run" if controller.is_busy else "Idle"


def status(controller: "Controller") -> str:
    """`<Idle|MPos:…>`."""
    motion = controller.motion
    places = [
        show_decimal(divide_rounded(motion.position_nm(axis), 1000), 3) for axis in range(len(AXES))
    ]
    room = min(BUFFER_LIMIT - controller.buffer.waiting, TOLD_BUFFER)
    fields = [
        state_name(controller),
        "MPos:" + ",".join(places),
        f"Bf:{QUEUE_LIMIT - len(motion.queue)},{room}",
        f"FS:{motion.feed_now},{controller.lamp_now}",
    ]
    if controller.guard.last_number is not None:
        fields.append(f"Ln:{controller.guard.last_number}")
    closed = "".join(AXES[axis] for axis in range(len(AXES)) if motion.is_closed(axis))
    if closed:
        fields.append(f"Pn:{closed}")
    fields.append(f"H:{int(controller.is_homed)}")
    fields.append(f"Up:{controller.board.now_us() // 1000}")
    fields.append(f"Id:{boot_id(controller)}")
    return "<" + "|".join(fields) + ">"


def identity(controller: "Controller") -> list[str]:
    """The lines of `$I`."""
    return [
        "[VER:1.1h.20261122:BlurryScope]",
        f"[OPT:VNL,{QUEUE_LIMIT},128]",
        "[NEWOPT:LINENUM,CHECKSUM,WATCHDOG,MARK,BOOTID]",
        f"[FIRMWARE:{FIRMWARE}]",
        f"[PROTOCOL:{PROTOCOL}]",
        f"[AXS:{len(AXES)}:{AXES}]",
        f"[BOARD:{controller.board.name}]",
        f"[BOOT:{boot_id(controller)}]",
    ]


def boot_id(controller: "Controller") -> str:
    return f"{controller.board.boot_id:08X}"
