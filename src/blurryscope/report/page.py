"""One slide, one page: an HTML file that opens offline and holds all it shows."""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from blurryscope.artifacts.predictions import PALE
from blurryscope.artifacts.recording import Recording
from blurryscope.artifacts.small_pictures import SMALL_PX
from blurryscope.artifacts.whole import write_text_whole
from blurryscope.basics.core_name import CoreName, row_letters
from blurryscope.basics.her2 import RESEARCH_USE_ONLY, Score
from blurryscope.basics.side_by_side import side_by_side
from blurryscope.report.agreement import agreement_with_map
from blurryscope.report.cards import NO_SCORE, CoreCard, is_withheld, make_card
from blurryscope.report.pictures import EmbeddedPicture, embed_picture
from blurryscope.report.scale_bar import scale_bar
from blurryscope.report.scan_places import cores_wrong_in_all, scan_tasks
from blurryscope.report.slide_folder import RepeatScan, SlideFolder, read_slide_folder
from blurryscope.report.triage import (
    CoreCase,
    TriageSettings,
    Urgency,
    rescan_list,
    sort_cases,
)
from blurryscope.report.words import URGENCY_WORDS, Fact, facts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """How much the page holds. 300 cores in three repeats make about 20 MB."""

    triage: TriageSettings = field(default_factory=TriageSettings)
    overview_px: int = 1600
    core_px: int = SMALL_PX
    repeat_px: int = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Cards of one urgency."""

    urgency: Urgency
    title: str
    meaning: str
    cards: tuple[CoreCard, ...]

    @property
    def has_no_tissue(self) -> bool:
        return self.urgency is Urgency.NO_TISSUE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What a person is asked about the names."""

    reason: str
    repeats: str
    """The repeats that it is about, in words; empty where there is but one scan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScanFacts:
    """How one scan went."""

    title: str
    overview: EmbeddedPicture | None
    quality: EmbeddedPicture | None
    """The technician's page: confidence, focus, overlap and holes along the lanes."""
    problem_count: int
    """Places where the scan went wrong."""
    facts: tuple[Fact, ...]

    @property
    def problems_in_words(self) -> str:
        """For those who cannot see the picture of the scan's quality."""
        if not self.problem_count:
            return "no place where the scan went wrong"
        count = "one place" if self.problem_count == 1 else f"{self.problem_count} places"
        return f"{count} where the scan went wrong, named under To do"


def write_report(
    slide_dir: Path, *, out: Path | None = None, settings: ReportSettings | None = None
) -> Path:
    """Write the report of a slide's folder, whole or not at all.

    Parameters
    ----------
    slide_dir
        The slide's folder; with several repeats, the one that holds `repeat-1`, `repeat-2`, …
    out
        Where the page goes; `report.html` in the folder if not given.
    settings
        Sizes of pictures, and what counts as low confidence.

    Returns
    -------
    The path of the page. The same folder gives the same bytes.

    Raises
    ------
    InputError
        If `cores.csv` is not there, or a file of the folder cannot be used.
    """
    page = render_report(read_slide_folder(slide_dir), settings or ReportSettings())
    path = out or slide_dir / "report.html"
    write_text_whole(path, page)
    return path


def render_report(folder: SlideFolder, settings: ReportSettings) -> str:
    """The page as text."""
    cases = sort_cases(folder, settings.triage)
    repeats = {repeat.number: repeat for repeat in folder.repeats}

    def card_of(case: CoreCase) -> CoreCard:
        return make_card(case, repeats, settings.core_px, settings.repeat_px)

    cards = list(side_by_side(card_of, cases))
    strange = [repeat.number for repeat in folder.repeats if repeat.disagrees_with_first]
    style, script = _asset("report.css"), _asset("report.js")
    # Package templates only; autoescape is on for every name, so no value can become markup.
    environment = Environment(
        loader=PackageLoader("blurryscope.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        slide=folder.slide,
        research_use_only=RESEARCH_USE_ONLY,
        style=Markup(style),
        script=Markup(script),
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        scores=list(Score),
        no_score=NO_SCORE,
        counts=Counter(card.css_class for card in cards if card.urgency is not Urgency.NO_TISSUE),
        cards=sorted(cards, key=lambda card: CoreName.parse(card.name)),
        groups=_groups(cards),
        plate=_plate(cards),
        column_count=1 + max((name.column for name in folder.names), default=-1),
        overview=(shown := embed_picture(folder.repeats[0].overview, settings.overview_px)),
        overview_scale=None if shown is None else scale_bar(folder.repeats[0].width_um),
        names_from_grid=any(
            r.grid is not None and r.grid.names_from == "grid" for r in repeats.values()
        ),
        questions=_questions(folder.repeats),
        choices=_choices(folder.repeats),
        strangers=_repeats_in_words(strange, len(folder.repeats)) if strange else "",
        used_count=len(folder.repeats) - len(strange),
        tasks=rescan_list(folder, cases),
        scan_tasks=(wrong := scan_tasks(folder)),
        wrong_in_all=cores_wrong_in_all(folder, wrong),
        withheld=_withheld(cases),
        agreement=agreement_with_map(cases),
        scans=[_scan_facts(repeat, settings) for repeat in folder.repeats],
        provenance=folder.provenance,
        provenance_settings=_settings_facts(folder),
        low_confidence=settings.triage.low_confidence,
    )


def _asset(name: str) -> str:
    text = (files("blurryscope.report") / "templates" / name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")  # the checksum below is of what the browser reads


def _csp_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _groups(cards: Sequence[CoreCard]) -> list[_Group]:
    return [
        _Group(
            urgency=urgency,
            title=title,
            meaning=meaning,
            cards=tuple(card for card in cards if card.urgency is urgency),
        )
        for urgency, (title, meaning) in URGENCY_WORDS.items()
        if any(card.urgency is urgency for card in cards)
    ]


def _plate(cards: Sequence[CoreCard]) -> list[tuple[str, list[CoreCard | None]]]:
    """The layout as a table: the letter of each row, and a card or nothing for each column."""
    by_name = {CoreName.parse(card.name): card for card in cards}
    if not by_name:
        return []
    rows = range(1 + max(name.row for name in by_name))
    columns = range(1 + max(name.column for name in by_name))
    return [
        (row_letters(row), [by_name.get(CoreName(row, column)) for column in columns])
        for row in rows
    ]


def _questions(repeats: Sequence[RepeatScan]) -> list[_Question]:
    """Why a person has to confirm the names, each reason once."""
    asked: dict[str, list[int]] = {}
    for repeat in repeats:
        if repeat.grid is not None and repeat.grid.needs_confirmation:
            for reason in repeat.grid.reasons or ("no reason was stored",):
                asked.setdefault(reason, []).append(repeat.number)
    return [
        _Question(reason=reason, repeats=_repeats_in_words(numbers, len(repeats)))
        for reason, numbers in asked.items()
    ]


def _repeats_in_words(numbers: Sequence[int], repeat_count: int) -> str:
    if repeat_count == 1:
        return ""
    if len(numbers) == 1:
        return f"Repeat {numbers[0]}"
    if len(numbers) == repeat_count:
        return "All repeats"
    *some, last = map(str, numbers)
    return f"Repeats {', '.join(some)} and {last}"


def _choices(repeats: Sequence[RepeatScan]) -> str | None:
    """The picture of the placements to choose from, as its path from the slide's folder.

    Answers are about the first scan; the others are named after it.
    """
    first = repeats[0]
    if not first.candidates.is_file():
        return None
    slide_dir = first.folder if len(repeats) == 1 else first.folder.parent
    return first.candidates.relative_to(slide_dir).as_posix()


_MEASURED = re.compile(r" \(distance [^)]*\)|(?<=confidence) \d\.\d+(?= is below)")
_PALE_ANSWERS = re.compile(rf"(?<={PALE}).*(?= the picture has lost contrast)")


def _withheld(cases: Sequence[CoreCase]) -> list[tuple[str, list[CoreName]]]:
    """Why scores were withheld, the commonest reason first, and of which cores.

    What was measured or answered stands with each core; here cores with one reason stand in one
    line.
    """
    reasons: dict[str, list[CoreName]] = {}
    for case in sorted(cases, key=lambda case: case.name):
        if is_withheld(case):
            told = "not scored yet" if case.result is None else case.result.reason
            reason = _PALE_ANSWERS.sub("the score hangs on whether", _MEASURED.sub("", told))
            reasons.setdefault(reason, []).append(case.name)
    return sorted(reasons.items(), key=lambda entry: -len(entry[1]))


_SHOWN_ELSEWHERE = ("lane_quality", "lanes", "rescan")
"""Parts of `stitch.json` that the picture, the list of places and the frames' facts show."""


def _scan_facts(repeat: RepeatScan, settings: ReportSettings) -> _ScanFacts:
    facts = [
        *_frame_facts(repeat),
        *facts_of({k: v for k, v in repeat.stitch.items() if k not in _SHOWN_ELSEWHERE}),
        *_grid_facts(repeat),
        *_recording_facts(repeat.recording),
    ]
    return _ScanFacts(
        title=f"Repeat {repeat.number}",
        overview=embed_picture(repeat.overview, settings.overview_px // 2),
        quality=embed_picture(repeat.quality_picture, settings.overview_px),
        problem_count=len(repeat.rescans),
        facts=tuple(facts),
    )


def _frame_facts(repeat: RepeatScan) -> list[Fact]:
    frames = repeat.frames
    if frames is None:
        return []
    confidence = frames.median_confidence
    return [
        Fact("Frames", f"{frames.frame_count}, of them {frames.moving_count} along lanes"),
        Fact("Frames with a known place", str(frames.placed_count)),
        Fact("Lanes", str(frames.lane_count)),
        Fact(
            "Confidence of places, median", "unknown" if confidence is None else f"{confidence:.2f}"
        ),
    ]


def _grid_facts(repeat: RepeatScan) -> list[Fact]:
    grid = repeat.grid
    if grid is None:
        return []
    return [
        Fact("Layout", f"{grid.rows} rows, {grid.columns} columns, {grid.orientation}"),
        Fact(
            "Names from", "the lab's map" if grid.names_from == "map" else "rows and columns seen"
        ),
        Fact("Best placement ahead of the second best by", f"{grid.placement_margin:.3g} nats"),
        Fact("Usual diameter of a core", f"{grid.diameter_px:.0f} px"),
        Fact("Tilt of the rows", f"{grid.tilt_deg:.2f}°"),
        *(Fact("Remark", reason) for reason in grid.reasons if not grid.needs_confirmation),
    ]


def _recording_facts(recording: Recording | None) -> list[Fact]:
    if recording is None:
        return []
    told = {name: v for name, v in asdict(recording).items() if v is not None and v != {}}
    told.pop("slide", None)
    told.pop("repeat", None)
    return list(facts_of(told, "as recorded"))


def _settings_facts(folder: SlideFolder) -> list[Fact]:
    stored: Mapping[str, object] = folder.provenance.settings if folder.provenance else {}
    return list(facts_of(stored))
