"""What the page shows of one core: words, numbers and pictures, ready for the template."""

from collections.abc import Mapping
from dataclasses import dataclass

from blurryscope.artifacts.decision_rule import PROMISE
from blurryscope.artifacts.predictions import Decision, Prediction, Probabilities
from blurryscope.artifacts.tissue_cores import CoreStatus, TissueCore
from blurryscope.basics.her2 import Score
from blurryscope.report.pictures import EmbeddedPicture, embed_core, embed_picture
from blurryscope.report.scale_bar import ScaleBar, scale_bar
from blurryscope.report.slide_folder import RepeatScan
from blurryscope.report.triage import CoreCase, Urgency
from blurryscope.report.words import STATUS_WORDS

NO_SCORE = "no score"
_WHY_JPEG_QUALITY = 70
"""Maps are smooth; the tissue below them is there for the place alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbabilitySegment:
    """A piece of the bar of probabilities; positions in percent of its length."""

    label: str
    css_class: str
    start: float
    length: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatLine:
    """One repeat of a core."""

    number: int
    score: str
    css_class: str
    confidence: float | None
    status: str
    is_whole: bool
    picture: EmbeddedPicture | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreCard:
    """One core as the page shows it."""

    name: str
    urgency: Urgency
    score: str
    css_class: str
    confidence: float | None
    p_positive: float | None
    segments: tuple[ProbabilitySegment, ...]
    reason: str
    status: str
    is_whole: bool
    wrong: str
    """What went wrong with the scan where the core lies; empty where nothing did."""
    tissue_fraction: float | None
    focus: float | None
    lab_label: str
    """Empty where the lab's map gives no score."""
    agreement: float | None
    """Share of the repeats used that gave this score by themselves."""
    repeat_count_used: int
    picture: EmbeddedPicture | None
    picture_repeat: int | None
    scale: ScaleBar | None
    """Of the picture and its map; None where the pixel size is not known."""
    why: EmbeddedPicture | None
    """Where the score comes from, in the repeat that is shown."""
    view_weights: tuple[float, ...]
    """Of the views, the overview last; empty where nothing was explained."""
    repeats: tuple[RepeatLine, ...]

    @property
    def probabilities_in_words(self) -> str:
        return ", ".join(f"{piece.label}: {piece.length / 100:.2f}" for piece in self.segments)

    @property
    def picture_in_words(self) -> str:
        """What matters of the picture, for those who cannot see it."""
        return f"Core {self.name}{self._of_repeat}, {self._verdict}; research use only"

    @property
    def why_in_words(self) -> str:
        """What matters of the map, for those who cannot see it."""
        return (
            f"Core {self.name}{self._of_repeat} in grey, in orange where brown speaks for a higher "
            f"score and in hatched blue where it speaks for a lower one; {self._verdict}; research "
            "use only"
        )

    @property
    def _of_repeat(self) -> str:
        return f" in repeat {self.picture_repeat}" if self.repeats else ""

    @property
    def _verdict(self) -> str:
        if self.css_class == "none":
            return f"{NO_SCORE}: {self.reason}" if self.reason else NO_SCORE
        sure = "" if self.confidence is None else f" with a confidence of {self.confidence:.2f}"
        return f"score {self.score}{sure}"

    @property
    def has_no_tissue(self) -> bool:
        return self.urgency is Urgency.NO_TISSUE

    @property
    def sort_key(self) -> int:
        """Place in a column sorted by score; no score stands before 0."""
        return -1 if self.css_class == "none" else int(self.css_class.removeprefix("s"))


def make_card(
    case: CoreCase, repeats: Mapping[int, RepeatScan], picture_px: int, repeat_picture_px: int
) -> CoreCard:
    """Gather one core. Pictures of single repeats are added only where there are several."""
    best = case.best_repeat
    shown = None if best is None else case.found[best]
    result = case.result
    picture = None if best is None else embed_core(repeats[best].picture(case.name), picture_px)
    return CoreCard(
        name=str(case.name),
        urgency=case.urgency,
        score=_label(case.score),
        css_class=_css_class(case.score),
        confidence=None if result is None else result.confidence,
        p_positive=None if result is None else result.p_positive,
        segments=_segments(None if result is None else result.probabilities),
        reason=_reason(case),
        status=STATUS_WORDS[case.status] if case.status is not None else "Not looked for",
        is_whole=case.status is CoreStatus.OK,
        wrong=_wrong(case, len(repeats)),
        tissue_fraction=None if shown is None else shown.tissue_fraction,
        focus=None if shown is None else shown.focus,
        lab_label="" if case.label is None else case.label.label,
        agreement=None if result is None else result.agreement,
        repeat_count_used=0 if result is None else result.repeats_used,
        picture=picture,
        picture_repeat=best,
        scale=None if best is None else scale_bar(_width_um(picture, repeats[best])),
        why=None
        if best is None
        else embed_picture(repeats[best].why_picture(case.name), picture_px, _WHY_JPEG_QUALITY),
        view_weights=()
        if best is None
        else tuple(view.weight for view in repeats[best].views.get(case.name, ())),
        repeats=tuple(
            _repeat_line(
                number,
                case.predictions.get(number),
                case.found.get(number),
                embed_core(repeat.picture(case.name), repeat_picture_px)
                if number in case.found
                else None,
            )
            for number, repeat in sorted(repeats.items())
        )
        if len(repeats) > 1
        else (),
    )


def _width_um(picture: EmbeddedPicture | None, repeat: RepeatScan) -> float | None:
    if picture is None or repeat.pixel_size_um is None:
        return None
    return picture.stored_width_px * repeat.pixel_size_um


def _reason(case: CoreCase) -> str:
    """Why there is no score; what is so of all such cores stands once, above the cards."""
    if case.result is not None:
        return case.result.reason.partition(f" {PROMISE}")[0]
    return "" if case.urgency is Urgency.NO_TISSUE else "not scored yet"


def _wrong(case: CoreCase, repeat_count: int) -> str:
    told = {number: ", ".join(reasons) for number, reasons in sorted(case.wrong.items())}
    if repeat_count == 1:
        return "; ".join(told.values())
    return "; ".join(f"repeat {number}: {reasons}" for number, reasons in told.items())


def _repeat_line(
    number: int,
    prediction: Prediction | None,
    core: TissueCore | None,
    picture: EmbeddedPicture | None,
) -> RepeatLine:
    score = None if prediction is None else prediction.score
    return RepeatLine(
        number=number,
        score=_label(score),
        css_class=_css_class(score),
        confidence=None if prediction is None else prediction.confidence,
        status="Not looked for" if core is None else STATUS_WORDS[core.status],
        is_whole=core is not None and core.status is CoreStatus.OK,
        picture=picture,
    )


def _label(score: Score | None) -> str:
    return NO_SCORE if score is None else score.label


def _css_class(score: Score | None) -> str:
    return "none" if score is None else f"s{score.value}"


def _segments(probabilities: Probabilities | None) -> tuple[ProbabilitySegment, ...]:
    if probabilities is None:
        return ()
    return tuple(
        ProbabilitySegment(
            label=score.label,
            css_class=_css_class(score),
            start=100 * sum(probabilities[: score.value]),
            length=100 * probabilities[score.value],
        )
        for score in Score
    )


def is_withheld(case: CoreCase) -> bool:
    """Whether there is tissue and no score."""
    if case.urgency is Urgency.NO_TISSUE:
        return False
    return case.result is None or case.result.decision is not Decision.SCORED
