"""What is to be bought and wired is what the documents and the firmware say."""

import ast
import re
from itertools import combinations
from pathlib import Path

from controller import refusal
from controller.settings import Settings
from hardware.costs import LIMIT_USD, RESERVE_FRACTION, bill_table, read_bill, total_usd
from hardware.dimensions import Dimensions
from hardware.wiring import BLOCKS, DRAWING, PICO, PICO_PINS, draw, pin_name, wires

ROOT = Path(__file__).parents[2]


def firmware_pins() -> dict[str, object]:
    """The pin numbers in the firmware's hardware module, which cannot be imported here."""
    source = (ROOT / "firmware/controller/pico.py").read_text(encoding="utf-8")
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and re.search("_PINS?$", node.targets[0].id)
    }


def test_all_parts_with_the_reserve_cost_less_than_500_dollars() -> None:
    assert total_usd(read_bill()) * (1 + RESERVE_FRACTION) < LIMIT_USD


def test_what_the_lamp_needs_is_in_the_bill() -> None:
    parts = " ".join(item.part for item in read_bill())
    assembly = (ROOT / "hardware/assembly.md").read_text(encoding="utf-8")
    for part in ("star", "heat sink", "diffuser", "lens", "driver"):
        assert part in assembly.lower()
        assert part in parts or part == "diffuser"


def test_the_bill_in_the_readme_is_the_bill() -> None:
    assert bill_table(read_bill()) in (ROOT / "hardware/README.md").read_text(encoding="utf-8")


def test_the_drawing_of_the_wiring_is_the_wiring() -> None:
    assert DRAWING.read_text(encoding="utf-8") == draw()


def test_the_wiring_uses_the_pins_of_the_firmware() -> None:
    assert firmware_pins() == {
        "STEP_PINS": tuple(PICO_PINS[f"{axis} step"] for axis in "XYZ"),
        "DIRECTION_PINS": tuple(PICO_PINS[f"{axis} direction"] for axis in "XYZ"),
        "ENABLE_PIN": PICO_PINS["enable"],
        "SWITCH_PINS": tuple(PICO_PINS[f"{axis} switch"] for axis in "XYZ"),
        "LAMP_PIN": PICO_PINS["lamp"],
        "SETUP_PIN": PICO_PINS["set-up"],
    }


def test_every_pin_that_the_firmware_uses_has_a_wire() -> None:
    begun = {points[0] for points, _ in wires()} | {points[-1] for points, _ in wires()}
    assert all(PICO.pin(pin_name(use)) in begun for use in PICO_PINS)


def test_no_two_boxes_of_the_drawing_overlap() -> None:
    for one, other in combinations(BLOCKS, 2):
        apart_x = one.at[0] + one.width < other.at[0] or other.at[0] + other.width < one.at[0]
        apart_y = one.at[1] + one.height < other.at[1] or other.at[1] + other.height < one.at[1]
        assert apart_x or apart_y, (one.title, other.title)


def test_the_firmware_is_set_to_the_microscope_that_is_built() -> None:
    value, sizes = Settings().value, Dimensions()
    assert value[130] == 1000 * sizes.travel_x
    assert value[131] == 1000 * sizes.travel_y
    steps_a_turn, microsteps, lead_mm = 200, 16, 2
    assert value[100] == value[101] == value[102] == 1000 * steps_a_turn * microsteps / lead_mm
    first_light = (ROOT / "hardware/first-light.md").read_text(encoding="utf-8")
    assert "(T8x2 and 16 microsteps: 1600)" in first_light


def test_the_agreement_names_the_defaults_of_the_firmware() -> None:
    page = (ROOT / "firmware/protocol.md").read_text(encoding="utf-8")
    section = page.partition("## 10. Settings")[2]
    told: dict[int, str] = {}
    for row in re.findall(r"^\| (\d[^|]*)\|[^|]*\|[^|]*\| ([^|]+) \|", section, re.MULTILINE):
        numbers = [int(number) for number in re.findall(r"\d+", row[0])]
        defaults = row[1].split(", ")
        told |= dict(zip(numbers, defaults * (len(numbers) // len(defaults)), strict=True))
    shown = dict(line[1:].split("=") for line in Settings().show())
    assert {number: float(text) for number, text in told.items()} == {
        int(number): float(text) for number, text in shown.items()
    }


def test_the_agreement_names_every_refusal_and_alarm() -> None:
    page = (ROOT / "firmware/protocol.md").read_text(encoding="utf-8")
    section = page.partition("## 6. States")[2].partition("## 7.")[0]
    errors = {
        int(number)
        for row in re.findall(r"^\| (\d[\d, ]*)(?: \*\*\(\+\)\*\*)? \|", section, re.MULTILINE)
        for number in row.split(", ")
    }
    alarms = {int(number) for number in re.findall(r"^\| `ALARM:(\d+)`", section, re.MULTILINE)}
    numbers = {value for name, value in vars(refusal).items() if name.isupper()}
    assert numbers == errors | alarms
