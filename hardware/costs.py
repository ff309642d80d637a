"""What the microscope costs: the bill of materials, summed and shown."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BILL = Path(__file__).with_name("bill_of_materials.csv")
LIMIT_USD = 500.0
RESERVE_FRACTION = 0.1
"""For shipping, and for what breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A line of the bill."""

    group: str
    part: str
    quantity: int
    price_usd: float
    what_matters: str

    @property
    def sum_usd(self) -> float:
        return self.quantity * self.price_usd


def read_bill(path: Path = BILL) -> list[Item]:
    """Read the bill of materials."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Item(
                group=row["group"],
                part=row["part"],
                quantity=int(row["quantity"]),
                price_usd=float(row["price_usd"]),
                what_matters=row["what matters"],
            )
            for row in csv.DictReader(file)
        ]


def total_usd(items: Sequence[Item]) -> float:
    """Sum of all parts, without the reserve."""
    return sum(item.sum_usd for item in items)


def bill_table(items: Sequence[Item]) -> str:
    """The bill as a table in Markdown, with sums."""
    rows = ["| part | number | each | sum | what matters |", "|---|---|---|---|---|"]
    for group in dict.fromkeys(item.group for item in items):
        members = [item for item in items if item.group == group]
        rows.append(f"| **{group}** | | | **${total_usd(members):.2f}** | |")
        rows += [
            f"| {item.part} | {item.quantity} | ${item.price_usd:.2f} | ${item.sum_usd:.2f} "
            f"| {item.what_matters} |"
            for item in members
        ]
    total = total_usd(items)
    rows.append(f"| **all parts** | | | **${total:.2f}** | |")
    rows.append(
        f"| **with {RESERVE_FRACTION:.0%} in reserve** | | "
        f"| **${total * (1 + RESERVE_FRACTION):.2f}** | |"
    )
    return "\n".join(rows)
