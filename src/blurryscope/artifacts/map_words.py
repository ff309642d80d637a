"""What was read from a map or a layout, in words and as a picture made of text."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations

from blurryscope.artifacts.array_layout import Layout, LayoutBlock, PlaceKind
from blurryscope.artifacts.core_labels import AxisLabels
from blurryscope.artifacts.lab_map import MapEntry, SlideMap
from blurryscope.artifacts.score_words import Presence, Word
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score

_SIGNS: Mapping[Presence, str] = {
    Presence.UNSCORED: "?",
    Presence.NOT_EVALUABLE: "NA",
    Presence.LOST: "x",
    Presence.EMPTY: "·",
}
_KEY = (
    "0 1+ 2+ 3+ score, ? core without a score, ?! readers undecided, NA not evaluable, x lost, "
    "· no core"
)
_KINDS: Mapping[PlaceKind | None, str] = {
    None: "#",
    PlaceKind.EMPTY: "·",
    PlaceKind.CONTROL: "C",
    PlaceKind.ORIENTATION: "o",
}
_LISTED = 12


def describe_map(slide_map: SlideMap) -> Iterator[str]:
    """Say what a map holds, line by line."""
    layout = slide_map.layout or even_layout(slide_map)
    yield f"It is {slide_map.form}." if slide_map.form else "It is a map."
    yield from slide_map.notes
    yield from _sizes(slide_map, layout)
    yield from _scores(slide_map)
    yield from _readers(slide_map)
    yield from _cases(slide_map)
    yield ""
    yield from picture_of(layout, lambda name: _sign(slide_map.entries.get(name)))
    yield f"({_KEY})"
    yield ""
    yield from _what_it_cannot_tell(slide_map, layout)


def describe_layout(layout: Layout) -> Iterator[str]:
    """Say what a layout holds, line by line."""
    kinds = {place.name: place.kind for place in layout.special}
    if layout.title is not None:
        yield f"{layout.title}:"
    yield f"{_counted(len(layout.blocks), 'block')}, {len(layout.names())} places."
    for block in layout.blocks:
        yield f"  rows {block.row_labels}, columns {block.column_labels}, at {list(block.at)}"
    if layout.core_diameter_um is not None:
        yield f"Cores of {layout.core_diameter_um:g} µm."
    if layout.pitch_um is not None:
        along, down = layout.pitch_um
        yield f"{along:g} µm from core to core along a row, {down:g} µm from row to row."
    yield ""
    yield from picture_of(layout, lambda name: _KINDS[kinds.get(name)])
    yield "(# core, C control, o mark of orientation, · no core)"


def even_layout(slide_map: SlideMap) -> Layout:
    """One even grid that holds all places of a map, counted from the top left."""
    block = LayoutBlock(
        row_labels=AxisLabels(numbers=tuple(range(slide_map.rows)), is_lettered=True),
        column_labels=AxisLabels(numbers=tuple(range(slide_map.columns)), is_lettered=False),
        at=(0, 0),
    )
    return Layout((block,))


def picture_of(layout: Layout, sign: Callable[[CoreName], str]) -> Iterator[str]:
    """The array as text, row by row as it was designed, blocks apart."""
    rows_of_blocks = sorted({block.at[0] for block in layout.blocks})
    for number, down in enumerate(rows_of_blocks):
        blocks = sorted((b for b in layout.blocks if b.at[0] == down), key=lambda b: b.at[1])
        if number:
            yield ""
        lines = [list(_lines(block, sign)) for block in blocks]
        widths = [len(block_lines[0]) for block_lines in lines]
        for at in range(max(map(len, lines))):
            cells = [
                block_lines[at] if at < len(block_lines) else " " * width
                for block_lines, width in zip(lines, widths, strict=True)
            ]
            yield "   ".join(cells).rstrip()


def _lines(block: LayoutBlock, sign: Callable[[CoreName], str]) -> Iterator[str]:
    """A block with its labels; all lines equally long."""
    columns = [block.column_labels.text(number) for number in block.columns]
    wide = max(2, *(len(text) for text in columns)) + 1
    rows = [block.row_labels.text(number) for number in block.rows]
    margin = max(len(text) for text in rows)
    yield " " * margin + "".join(text.rjust(wide) for text in columns)
    for at, text in enumerate(rows):
        signs = (sign(block.name_at(CoreName(at, column))) for column in range(len(columns)))
        yield text.rjust(margin) + "".join(each.rjust(wide) for each in signs)


def _sign(entry: MapEntry | None) -> str:
    if entry is None:
        return _SIGNS[Presence.EMPTY]
    if entry.is_undecided:
        return "?!"
    return _SIGNS[entry.presence] if entry.score is None else entry.score.label


def _sizes(slide_map: SlideMap, layout: Layout) -> Iterator[str]:
    listed = sum(entry.presence.expects_tissue for entry in slide_map.entries.values())
    if len(layout.blocks) == 1:
        block = layout.blocks[0]
        yield (
            f"Rows {block.row_labels} ({len(block.rows)}), columns {block.column_labels} "
            f"({len(block.columns)}); {_counted(listed, 'core')} on {len(layout.names())} places."
        )
    else:
        yield (
            f"{len(layout.blocks)} blocks with gaps between them; {_counted(listed, 'core')} on "
            f"{len(layout.names())} places."
        )
    names = set(layout.names())
    if stray := sorted(slide_map.entries.keys() - names):
        yield f"Outside the layout: {some_of(map(str, stray))}."


def _scores(slide_map: SlideMap) -> Iterator[str]:
    scores = Counter(e.score for e in slide_map.entries.values() if e.score is not None)
    told = ", ".join(f"{score.label}: {scores[score]}" for score in Score if scores[score])
    yield f"Scores {told}." if told else "No scores."
    for presence, words in (
        (Presence.UNSCORED, "without a score"),
        (Presence.NOT_EVALUABLE, "not evaluable"),
        (Presence.LOST, "lost"),
        (Presence.EMPTY, "stated to be empty"),
    ):
        names = [n for n, e in sorted(slide_map.entries.items()) if e.presence is presence]
        if names:
            yield f"{len(names)} {words}: {some_of(map(str, names))}."


def _readers(slide_map: SlideMap) -> Iterator[str]:
    if not slide_map.readers:
        return
    entries = sorted(slide_map.entries.items())
    disputed = [(name, entry) for name, entry in entries if entry.is_disputed]
    undecided = [str(name) for name, entry in entries if entry.is_undecided]
    yield f"Readers {', '.join(slide_map.readers)}; the score used is by {slide_map.rule}."
    yield f"They differ on {_counted(len(disputed), 'core')} of {len(entries)}."
    for one, other in combinations(slide_map.readers, 2):
        pairs = [
            (words[one], words[other])
            for words in ({r.reader: r.word for r in entry.readings} for _, entry in entries)
            if words[one].score is not None and words[other].score is not None
        ]
        same = sum(first == second for first, second in pairs)
        yield f"  {one} and {other} give the same score to {same} of {len(pairs)} that both scored."
    for name, entry in disputed:
        words = ", ".join(f"{r.reader} {r.word}" for r in entry.readings)
        used = "no score" if entry.is_undecided else Word(entry.score, entry.presence)
        yield f"  {name}: {words} → {used}"
    if undecided:
        yield f"The rule decides nothing for {some_of(undecided)}: they have no score."


def _cases(slide_map: SlideMap) -> Iterator[str]:
    cases = Counter(e.case for e in slide_map.entries.values() if e.case is not None)
    if not cases:
        yield "No case numbers."
        return
    without = [
        str(name)
        for name, entry in sorted(slide_map.entries.items())
        if entry.case is None and entry.presence.expects_tissue and entry.kind is None
    ]
    cores = Counter(cases.values())
    per = ", ".join(
        f"{_counted(count, 'case')} with {_counted(n, 'core')}"
        for n, count in sorted(cores.items())
    )
    yield f"{_counted(len(cases), 'case')}: {per}."
    if without:
        yield f"{len(without)} listed without a case: {some_of(without)}."


def _what_it_cannot_tell(slide_map: SlideMap, layout: Layout) -> Iterator[str]:
    if len(layout.blocks) > 1:
        return
    block = layout.blocks[0]
    filled = frozenset(
        (place.row, place.column)
        for place in block.places()
        if slide_map.expects_tissue(block.name_at(place))
    )
    alike = [word for word, turned in _turned(block) if turned(filled) == filled]
    if alike:
        yield (
            f"Filled and empty places look the same {' and '.join(alike)}: they cannot show that "
            "a slide was put in so. Mark it on the slide, or leave a corner empty."
        )
    else:
        yield "Its empty places tell a slide that was put in turned or mirrored, if they are seen."
    first = min(row for row, _ in filled), min(column for _, column in filled)
    if first[0] or first[1]:
        yield "Its first row or first column has no core: which one that is cannot be seen."


Places = frozenset[tuple[int, int]]


def _turned(block: LayoutBlock) -> Iterator[tuple[str, Callable[[Places], Places]]]:
    rows, columns = len(block.rows), len(block.columns)
    yield (
        "turned by 180°",
        lambda p: frozenset((rows - 1 - row, columns - 1 - column) for row, column in p),
    )
    if rows == columns:
        yield "turned by 90°", lambda p: frozenset((c, rows - 1 - r) for r, c in p)
    yield "mirrored", lambda p: frozenset((row, columns - 1 - column) for row, column in p)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def some_of(names: Iterable[str]) -> str:
    """The first dozen, and how many more."""
    every = list(names)
    first = ", ".join(every[:_LISTED])
    return first if len(every) <= _LISTED else f"{first} and {len(every) - _LISTED} more"
