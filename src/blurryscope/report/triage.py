"""What to look at first, and what to scan again."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from blurryscope.artifacts.predictions import PALE, CoreResult, Decision, Prediction
from blurryscope.artifacts.scan_quality import RescanReason
from blurryscope.artifacts.tissue_cores import CoreStatus, TissueCore
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.report.scan_places import reasons_at_cores
from blurryscope.report.slide_folder import RepeatScan, SlideFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageSettings:
    """When a core is put in front."""

    low_confidence: float = 0.7
    """Positives below it come first; the paper's own thresholds lie between 0.56 and 0.74."""
    likely_positive: float = 0.5
    """A core whose P(2+ or 3+) reaches this comes first too, whatever its score."""

    def __post_init__(self) -> None:
        for name in ("low_confidence", "likely_positive"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be 0 to 1, got {getattr(self, name)}")


class Urgency(IntEnum):
    """The order in which a pathologist should look; the smallest first."""

    UNSURE_POSITIVE = 1
    DISAGREEMENT = 2
    NO_SCORE = 3
    DAMAGED = 4
    OTHERS = 5
    NO_TISSUE = 6

    @property
    def is_first(self) -> bool:
        """Whether a person should read such cores before all others."""
        return self < Urgency.OTHERS


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreCase:
    """One place of the layout, with all that is known of it."""

    name: CoreName
    found: Mapping[int, TissueCore]
    """By repeat."""
    predictions: Mapping[int, Prediction]
    """By repeat."""
    result: CoreResult | None
    urgency: Urgency
    wrong: Mapping[int, tuple[RescanReason, ...]]
    """What went wrong with the scan where the core lies, by repeat; no more than those."""

    @property
    def best_repeat(self) -> int | None:
        """The repeat whose picture is shown large: whole before damaged, then the sharpest."""
        seen = {n: core for n, core in self.found.items() if core.status.has_tissue}
        if not seen:
            return None
        return max(seen, key=lambda n: (seen[n].status is CoreStatus.OK, seen[n].focus, -n))

    @property
    def status(self) -> CoreStatus | None:
        """What was found in the best repeat."""
        if not self.found:
            return None
        best = self.best_repeat
        if best is not None:
            return self.found[best].status
        is_known = any(core.status is CoreStatus.MISSING for core in self.found.values())
        return CoreStatus.MISSING if is_known else CoreStatus.NOT_SCANNED

    @property
    def label(self) -> Score | None:
        """The score of the lab's map."""
        return next((core.label for core in self.found.values() if core.label is not None), None)

    @property
    def score(self) -> Score | None:
        return None if self.result is None else self.result.score

    @property
    def repeat_scores(self) -> frozenset[Score]:
        """The scores that single repeats gave; one that gave none contradicts nobody."""
        return _scores_given(self.predictions)


def sort_cases(folder: SlideFolder, settings: TriageSettings) -> list[CoreCase]:
    """All places, the most urgent first; within a group the least sure first, then by name."""
    places = {repeat.number: reasons_at_cores(repeat) for repeat in folder.repeats}
    cases = []
    for name in folder.names:
        wrong = {number: at[name] for number, at in places.items() if name in at}
        cases.append(_case(folder, name, wrong, settings))
    return sorted(cases, key=_order)


def _case(
    folder: SlideFolder,
    name: CoreName,
    wrong: Mapping[int, tuple[RescanReason, ...]],
    settings: TriageSettings,
) -> CoreCase:
    found = {
        repeat.number: repeat.cores[name]
        for repeat in folder.repeats
        if name in repeat.cores and not repeat.disagrees_with_first
    }
    predictions = {row.repeat: row for row in folder.predictions if row.core == name}
    result = folder.results.get(name)
    return CoreCase(
        name=name,
        found=found,
        predictions=predictions,
        result=result,
        urgency=_urgency(found, wrong, predictions, result, settings),
        wrong=wrong,
    )


def _urgency(
    found: Mapping[int, TissueCore],
    wrong: Mapping[int, tuple[RescanReason, ...]],
    predictions: Mapping[int, Prediction],
    result: CoreResult | None,
    settings: TriageSettings,
) -> Urgency:
    statuses = {core.status for core in found.values()}
    if CoreStatus.MISSING in statuses and not any(status.has_tissue for status in statuses):
        return Urgency.NO_TISSUE
    if result is not None and _is_unsure_positive(result, settings):
        return Urgency.UNSURE_POSITIVE
    if _is_disputed(predictions, result):
        return Urgency.DISAGREEMENT
    if result is None or result.decision is not Decision.SCORED:
        return Urgency.NO_SCORE
    # A fold stains twice, a part may lack the tumour, and what the scan tore may be two places'
    # tissue in one picture: the score may be sure and wrong.
    is_damaged = [
        core.status.is_damaged or RescanReason.TORN in wrong.get(number, ())
        for number, core in found.items()
        if core.status.has_tissue
    ]
    return Urgency.DAMAGED if is_damaged and all(is_damaged) else Urgency.OTHERS


def _scores_given(predictions: Mapping[int, Prediction]) -> frozenset[Score]:
    return frozenset(row.score for row in predictions.values() if row.score is not None)


def _is_disputed(predictions: Mapping[int, Prediction], result: CoreResult | None) -> bool:
    """Whether repeats gave other scores, than each other or than all together, or few count.

    Which repeats are referred can hang on a hair: one of three that was not is no agreement.
    """
    score = None if result is None else result.score
    if score is None:
        return len(_scores_given(predictions)) > 1
    referred = sum(row.decision is Decision.REFER for row in predictions.values())
    used = 0 if result is None else result.repeats_used
    return bool(_scores_given(predictions) - {score}) or referred > used


def _is_unsure_positive(result: CoreResult, settings: TriageSettings) -> bool:
    if result.score is not None and result.score.is_positive:
        return result.confidence is not None and result.confidence < settings.low_confidence
    # Also for a score of 1+: 0.4 for it and 0.3 each for 2+ and 3+ is likely positive.
    return result.p_positive is not None and result.p_positive >= settings.likely_positive


def _order(case: CoreCase) -> tuple[int, bool, float, CoreName]:
    confidence = case.result.confidence if case.result is not None else None
    if case.urgency is Urgency.DISAGREEMENT:  # negative against positive weighs most
        told = (*case.repeat_scores, case.score)
        crosses = len({score.is_positive for score in told if score is not None}) > 1
        return case.urgency, not crosses, confidence or 0.0, case.name
    by_confidence = case.urgency in {Urgency.UNSURE_POSITIVE, Urgency.NO_SCORE}
    return case.urgency, False, (confidence or 0.0) if by_confidence else 0.0, case.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One thing for the technician to do, and for which cores, by reason."""

    action: str
    cores: Mapping[str, tuple[CoreName, ...]]


_ACTIONS: Mapping[CoreStatus, tuple[str, str]] = {
    CoreStatus.HOLED: (
        "Scan again: the camera lost frames. If it happens again, use another USB port or cable.",
        "part of the core was never filmed",
    ),
    CoreStatus.UNSURE: (
        "Clean the slide and scan again.",
        "hardly any tissue was seen there: a faint core, or dirt",
    ),
    CoreStatus.PARTIAL: (
        "Do not rescan: read by eye, or use another section.",
        "only part of the core is on the slide",
    ),
    CoreStatus.FRAGMENTED: (
        "Do not rescan: read by eye, or use another section.",
        "the core lies in pieces",
    ),
    CoreStatus.FOLDED: (
        "Do not rescan: read by eye, or use another section.",
        "the tissue is folded",
    ),
    CoreStatus.MISSING: (
        "Look at the slide. If the core is there, check the map and its orientation, then "
        "scan again; if not, note it as lost.",
        "the map lists a core, and no tissue was found",
    ),
    CoreStatus.EXTRA: (
        "Check the map: tissue lies where it lists no core.",
        "tissue without an entry in the map",
    ),
}


_WITHOUT_SCAN = frozenset(
    _ACTIONS[status][0]
    for status in _ACTIONS
    if status not in {CoreStatus.UNSURE, CoreStatus.HOLED}
)


def rescan_list(folder: SlideFolder, cases: list[CoreCase]) -> list[Task]:
    """What a technician should do, scans before the rest; each core stands in one task."""
    repeats = {repeat.number: repeat for repeat in folder.repeats}
    tasks: dict[str, dict[str, list[CoreName]]] = {}
    for case in sorted(cases, key=lambda case: case.name):
        task = _task_of(case, repeats)
        if task is not None:
            action, why = task
            tasks.setdefault(action, {}).setdefault(why, []).append(case.name)
    listed = [
        Task(action=action, cores={why: tuple(names) for why, names in reasons.items()})
        for action, reasons in tasks.items()
    ]
    return sorted(listed, key=lambda task: task.action in _WITHOUT_SCAN)


def _task_of(case: CoreCase, repeats: Mapping[int, RepeatScan]) -> tuple[str, str] | None:
    best = case.best_repeat
    if case.status is CoreStatus.EDGE_CUT and best is not None:
        side = _nearest_side(case.found[best], repeats[best].size_px)
        return (
            _enlarge(side),
            "the core lies partly outside what was scanned",
        )
    if case.status is CoreStatus.NOT_SCANNED:
        number, core = min(case.found.items())
        return (
            _enlarge(_nearest_side(core, repeats[number].size_px)),
            "the core lies outside what was scanned",
        )
    if case.status is not None and case.status in _ACTIONS:
        return _ACTIONS[case.status]
    if case.result is not None and case.result.decision is Decision.WITHHELD:
        return (
            "Check focus and light, and scan again; if it is withheld again, read by eye.",
            case.result.reason,
        )
    if case.urgency is Urgency.DISAGREEMENT:
        return (
            "Scan once more, or read by eye.",
            "the repeats do not agree on a score",
        )
    if case.result is not None and case.result.reason.startswith(PALE):
        return (
            "Look for glare: lamp, exposure, a clean lens and slide; then scan again. If the "
            "section itself is pale, read by eye.",
            "pale: the score hangs on whether the picture has lost contrast",
        )
    return None


def _enlarge(side: str) -> str:
    return f"Move or enlarge the scan area at the {side} of the overview picture, and scan again."


def _nearest_side(core: TissueCore, size_px: tuple[int, int] | None) -> str:
    if size_px is None:
        return "edge"
    rows, columns = size_px
    distances_px = {
        "left": core.x_px,
        "right": columns - 1 - core.x_px,
        "top": core.y_px,
        "bottom": rows - 1 - core.y_px,
    }
    return min(distances_px, key=lambda side: distances_px[side])
