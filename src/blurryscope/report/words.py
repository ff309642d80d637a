"""Words for people: what statuses, decisions and stored figures are called in the report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from blurryscope.artifacts.tissue_cores import CoreStatus
from blurryscope.report.triage import Urgency

STATUS_WORDS: Mapping[CoreStatus, str] = {
    CoreStatus.OK: "Whole core",
    CoreStatus.PARTIAL: "Partial",
    CoreStatus.FRAGMENTED: "In pieces",
    CoreStatus.FOLDED: "Folded",
    CoreStatus.MISSING: "No tissue",
    CoreStatus.EXTRA: "Not in the map",
    CoreStatus.HOLED: "Partly not filmed",
    CoreStatus.EDGE_CUT: "Cut by the scan's edge",
    CoreStatus.NOT_SCANNED: "Not scanned",
    CoreStatus.UNSURE: "Hardly any tissue",
}

URGENCY_WORDS: Mapping[Urgency, tuple[str, str]] = {
    Urgency.UNSURE_POSITIVE: (
        "Positive or likely positive, and unsure",
        "Low confidence or no score. A wrong call here matters most. Read these by eye first.",
    ),
    Urgency.DISAGREEMENT: (
        "Repeats disagree",
        "The same core was scored differently in different scans, or more of its scans were "
        "referred than count. Negative against positive stands first.",
    ),
    Urgency.NO_SCORE: (
        "No score given",
        "Withheld, with the reason. The program did not score these; read them by eye.",
    ),
    Urgency.DAMAGED: (
        "Damaged, with a score",
        "Folded, in pieces, torn by the scan, or only partly there or filmed. What is missing or "
        "lies double may change the score, however sure it is; read these by eye.",
    ),
    Urgency.OTHERS: ("All other cores", "In order of their names."),
    Urgency.NO_TISSUE: (
        "No tissue found",
        "The layout has a core here; none was found on the slide.",
    ),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a table of facts."""

    name: str
    value: str


_UNITS = {
    "_um_per_px": "µm per px",
    "_um_per_s": "µm/s",
    "_px_per_s": "px/s",
    "_um": "µm",
    "_px": "px",
    "_hz": "Hz",
    "_deg": "°",
    "_ms": "ms",
    "_s": "s",
}
_LONGEST_LIST = 6


def facts_of(stored: Mapping[str, object], path: str = "") -> Iterator[Fact]:
    """Flatten stored figures to lines; the unit at the end of a name goes behind the value."""
    for key, value in stored.items():
        name, unit = _name_and_unit(str(key))
        full = f"{path} · {name}" if path else name
        if isinstance(value, Mapping):
            yield from facts_of(value, full)
        else:
            yield Fact(full[:1].upper() + full[1:], _value_in_words(value, unit))


def _name_and_unit(key: str) -> tuple[str, str]:
    if key.endswith("_fraction"):
        return key.removesuffix("_fraction").replace("_", " "), "%"
    for suffix, unit in _UNITS.items():
        if key.endswith(suffix) and key != suffix:
            return key.removesuffix(suffix).replace("_", " "), unit
    return key.replace("_", " "), ""


def _value_in_words(value: object, unit: str) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number_in_words(value, unit)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _list_in_words(value, unit)
    return f"{value} {unit}".strip()


def _number_in_words(value: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.3g} %"
    text = str(value) if isinstance(value, int) else f"{value:.4g}"
    return f"{text}{'' if unit == '°' else ' '}{unit}".strip()


def _list_in_words(values: Sequence[object], unit: str) -> str:
    if not values:
        return "none"
    if len(values) <= _LONGEST_LIST and not any(isinstance(v, Mapping) for v in values):
        return ", ".join(_value_in_words(value, unit) for value in values)
    numbers = [v for v in values if isinstance(v, int | float)]
    if len(numbers) < len(values):
        return "one entry" if len(values) == 1 else f"{len(values)} entries"
    low, middle, high = (_number_in_words(v, unit) for v in _spread(numbers))
    return f"{len(values)} values, {low} to {high}, median {middle}"


def _spread(numbers: Sequence[float]) -> tuple[float, float, float]:
    return min(numbers), median(numbers), max(numbers)
