"""The wiring as data, and its drawing: `python -m hardware.wiring` writes `wiring.svg`."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

DRAWING = Path(__file__).with_name("wiring.svg")
WIDTH, HEIGHT = 1120, 860
PIN_STEP = 24
SIGNAL, POWER, MOTOR = "#1565c0", "#c62828", "#2e7d32"

Point = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A box with pins on both sides, from top to bottom; an empty name leaves a place free."""

    title: str
    at: Point
    width: int
    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        return 40 + PIN_STEP * max(len(self.left), len(self.right), 1)

    def pin(self, name: str) -> Point:
        """Where a pin's wire begins."""
        x, y = self.at
        if name in self.left:
            return x, y + 44 + PIN_STEP * self.left.index(name)
        return x + self.width, y + 44 + PIN_STEP * self.right.index(name)


PICO_PINS = {
    "X step": 2,
    "X direction": 3,
    "Y step": 4,
    "Y direction": 5,
    "Z step": 6,
    "Z direction": 7,
    "enable": 8,
    "X switch": 10,
    "Y switch": 11,
    "Z switch": 12,
    "lamp": 15,
    "set-up": 22,
}
"""GP numbers; a test compares them with the firmware."""


def pin_name(use: str) -> str:
    return f"GP{PICO_PINS[use]} {use}"


PICO = Block(
    title="Raspberry Pi Pico",
    at=(240, 190),
    width=230,
    left=(
        "USB to the computer",
        "",
        *(pin_name(f"{axis} switch") for axis in "XYZ"),
        "",
        pin_name("set-up"),
    ),
    right=(
        "3V3",
        *(pin_name(f"{axis} {use}") for axis in "XYZ" for use in ("step", "direction")),
        pin_name("enable"),
        pin_name("lamp"),
        "GND",
    ),
)
SUPPLY = Block(title="12 V 3 A supply", at=(30, 40), width=130, right=("+12 V",))
FUSE = Block(title="fuse 3 A", at=(240, 40), width=100, left=("in",), right=("out",))
STOP = Block(
    title="emergency stop, contact 1", at=(420, 40), width=220, left=("in",), right=("out",)
)
DRIVERS = {
    axis: Block(
        title=f"TMC2209 {axis}",
        at=(660, 140 + 150 * index),
        width=150,
        left=("STEP", "DIR", "EN", "VIO MS1 MS2 = 3V3"),
        right=("VM", "motor", "GND"),
    )
    for index, axis in enumerate("XYZ")
}
MOTORS = {
    axis: Block(
        title=f"NEMA 17 {axis}",
        at=(950, 140 + 150 * index),
        width=130,
        left=("", "2 coils"),
    )
    for index, axis in enumerate("XYZ")
}
LAMP_DRIVER = Block(
    title="PT4115 350 mA", at=(660, 610), width=150, left=("DIM",), right=("VIN", "LED", "GND")
)
LAMP = Block(title="LED 3 W", at=(950, 610), width=130, left=("", "+ and -"))
SWITCHES = {
    axis: Block(
        title=f"limit switch {axis}",
        at=(10, 220 + 100 * index),
        width=170,
        left=("", "GND by stop, contact 2" if axis == "X" else "GND"),
        right=("normally closed",),
    )
    for index, axis in enumerate("XYZ")
}
BRIDGE = Block(title="set-up bridge", at=(10, 530), width=170, left=("", "GND"), right=("open",))
BLOCKS = (
    PICO,
    SUPPLY,
    FUSE,
    STOP,
    LAMP_DRIVER,
    LAMP,
    BRIDGE,
    *DRIVERS.values(),
    *MOTORS.values(),
    *SWITCHES.values(),
)
NOTES = (
    "Wires are joined only where a dot is drawn. All GND are one net: supply, Pico, drivers, "
    "lamp driver.",
    "Each limit switch lies between its GP and GND, normally closed, 100 nF across it: "
    "a broken wire reads as a closed switch.",
    "Contact 2 of the emergency stop lies in series with limit switch X: the controller then "
    "knows (ALARM:1, Pn:X).",
    "10 kOhm from EN to 3V3 (motors off) and from DIM to GND (lamp dark) while the Pico starts.",
    "100 uF close to VM of every driver. Set 0.6 A (RMS) on each driver before the motors turn. "
    "Never unplug a motor under power.",
)


def wires() -> list[tuple[list[Point], str]]:
    """Every wire as a polyline with its colour."""
    drawn = [
        (_straight(SUPPLY.pin("+12 V"), FUSE.pin("in")), POWER),
        (_straight(FUSE.pin("out"), STOP.pin("in")), POWER),
    ]
    rail = 870
    drawn.append(
        ([STOP.pin("out"), (rail, STOP.pin("out")[1]), (rail, LAMP_DRIVER.pin("VIN")[1])], POWER)
    )
    drawn += [
        (_straight((rail, block.pin("VM")[1]), block.pin("VM")), POWER)
        for block in DRIVERS.values()
    ]
    drawn.append((_straight((rail, LAMP_DRIVER.pin("VIN")[1]), LAMP_DRIVER.pin("VIN")), POWER))
    for index, (axis, driver) in enumerate(DRIVERS.items()):
        lane = 480 + 36 * index
        drawn.append((_bent(PICO.pin(pin_name(f"{axis} step")), driver.pin("STEP"), lane), SIGNAL))
        drawn.append(
            (_bent(PICO.pin(pin_name(f"{axis} direction")), driver.pin("DIR"), lane + 16), SIGNAL)
        )
        drawn.append((_bent(PICO.pin(pin_name("enable")), driver.pin("EN"), 600), SIGNAL))
        drawn.append((_straight(driver.pin("motor"), MOTORS[axis].pin("2 coils")), MOTOR))
    drawn.append((_bent(PICO.pin(pin_name("lamp")), LAMP_DRIVER.pin("DIM"), 580), SIGNAL))
    drawn.append((_straight(LAMP_DRIVER.pin("LED"), LAMP.pin("+ and -")), MOTOR))
    for index, (axis, switch) in enumerate(SWITCHES.items()):
        lane = 190 + 12 * index
        drawn.append(
            (
                _bent(switch.pin("normally closed"), PICO.pin(pin_name(f"{axis} switch")), lane),
                SIGNAL,
            )
        )
    drawn.append((_bent(BRIDGE.pin("open"), PICO.pin(pin_name("set-up")), 226), SIGNAL))
    return drawn


def joints() -> list[Point]:
    """Where wires are joined."""
    rail = [(870, block.pin("VM")[1]) for block in DRIVERS.values()]
    enable = [(600, DRIVERS[axis].pin("EN")[1]) for axis in "XY"]
    return [*rail, *enable, (600, PICO.pin(pin_name("enable"))[1])]


def draw() -> str:
    """The drawing as SVG."""
    body = [_block(block) for block in BLOCKS]
    body += [_wire(points, colour) for points, colour in wires()]
    body += [f'<circle cx="{x}" cy="{y}" r="4" fill="#222"/>' for x, y in joints()]
    body += [
        f'<text x="30" y="{HEIGHT - 22 * (len(NOTES) - index) + 8}">{note}</text>'
        for index, note in enumerate(NOTES)
    ]
    style = (
        "text{font:13px sans-serif;fill:#222}.title{font-weight:bold;text-anchor:middle}"
        ".end{text-anchor:end}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
    ground = '<rect width="100%" height="100%" fill="#fff"/>'
    return "\n".join([head, f"<style>{style}</style>", ground, *body, "</svg>", ""])


def _straight(start: Point, end: Point) -> list[Point]:
    return [start, end]


def _bent(start: Point, end: Point, lane: int) -> list[Point]:
    """Across to a lane, along it, across again."""
    return [start, (lane, start[1]), (lane, end[1]), end]


def _wire(points: Iterable[Point], colour: str) -> str:
    line = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _block(block: Block) -> str:
    x, y = block.at
    middle = x + block.width // 2
    parts = [
        f'<rect x="{x}" y="{y}" width="{block.width}" height="{block.height}" rx="6" '
        'fill="#f5f5f5" stroke="#222"/>',
        f'<text x="{middle}" y="{y + 20}" class="title">{block.title}</text>',
    ]
    for names, offset, kind in ((block.left, 8, ""), (block.right, block.width - 8, "end")):
        parts += [
            f'<text x="{x + offset}" y="{block.pin(name)[1] + 4}" class="{kind}">{name}</text>'
            for name in names
            if name
        ]
    return "\n".join(parts)


if __name__ == "__main__":
    DRAWING.write_text(draw(), encoding="utf-8")
