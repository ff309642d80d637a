from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.artifacts.array_layout import Layout, LayoutBlock, PlaceKind, SpecialPlace
from blurryscope.artifacts.core_labels import AxisLabels, parse_label, read_axis
from blurryscope.artifacts.layout_file import layout_text, read_layout, write_layout
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """One to three blocks side by side or stacked, labelled in any way there is."""
    is_across = draw(st.booleans())
    has_letters = draw(st.booleans())
    count = draw(st.integers(1, 3))
    is_stacked = draw(st.booleans())
    other = _axis(draw, draw(st.integers(1, 6)), 0, is_lettered=has_letters)
    blocks = []
    for number in range(count):
        own = _axis(draw, draw(st.integers(1, 5)), 6 * number, is_lettered=False)
        along, across = (own, other) if is_stacked else (other, own)
        rows, columns = (along, across)
        if has_letters and columns.is_lettered != is_across:
            rows, columns = columns, rows
        blocks.append(
            LayoutBlock(
                row_labels=rows,
                column_labels=columns,
                at=(number, 0) if is_stacked else (0, number),
                is_lettered_across=has_letters and is_across,
            )
        )
    layout = Layout(tuple(blocks))
    return Layout(
        layout.blocks,
        special=_special(draw, layout.names()),
        title=draw(st.none() | st.text(max_size=12)),
        is_column_first=draw(st.booleans()),
        separator=draw(st.sampled_from(["", "-"])),
        core_diameter_um=draw(st.none() | st.floats(1, 5000)),
        pitch_um=draw(st.none() | st.tuples(st.floats(1, 5000), st.floats(1, 5000))),
    )


def _axis(draw: st.DrawFn, size: int, start: int, *, is_lettered: bool) -> AxisLabels:
    numbers = tuple(range(start, start + size))
    return AxisLabels(
        numbers=numbers[::-1] if draw(st.booleans()) else numbers, is_lettered=is_lettered
    )


def _special(draw: st.DrawFn, names: list[CoreName]) -> tuple[SpecialPlace, ...]:
    """In the order in which the file groups them."""
    chosen = draw(st.lists(st.sampled_from(names), max_size=4, unique=True))
    kinds = [draw(st.sampled_from(PlaceKind)) for _ in chosen]
    places = [
        SpecialPlace(
            name=name,
            kind=kind,
            score=draw(st.none() | st.sampled_from(Score)) if kind is PlaceKind.CONTROL else None,
        )
        for name, kind in zip(chosen, kinds, strict=True)
    ]
    order = (PlaceKind.EMPTY, PlaceKind.ORIENTATION, PlaceKind.CONTROL)
    return tuple(sorted(places, key=lambda place: order.index(place.kind)))


@given(layouts())
def test_a_layout_reads_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, layout: Layout
) -> None:
    path = tmp_path_factory.mktemp("layout") / "layout.toml"
    write_layout(path, layout)
    assert read_layout(path) == layout


@given(layouts(), st.integers(0, 3), st.booleans())
def test_turning_an_array_moves_every_name_once(
    layout: Layout, turns: int, is_mirrored: bool
) -> None:
    turned = layout.turned(turns, is_mirrored=is_mirrored)
    assert sorted(turned.names()) == sorted(layout.names())
    back = turned.turned(-turns)
    assert (back.turned(0, is_mirrored=True) if is_mirrored else back) == layout


@given(layouts())
def test_a_quarter_turn_puts_the_first_row_into_the_last_column(layout: Layout) -> None:
    turned = layout.turned(1)
    for block in layout.blocks:
        own = set(block.names())
        other = next(b for b in turned.blocks if set(b.names()) == own)
        last = CoreName(0, len(block.rows) - 1)
        assert other.name_at(last) == block.name_at(CoreName(0, 0))


@given(layouts())
def test_every_label_names_its_place(layout: Layout) -> None:
    labels = [layout.label(name) for name in layout.names()]
    is_numbered = not any(
        labels.is_lettered
        for block in layout.blocks
        for labels in (block.row_labels, block.column_labels)
    )
    if is_numbered and not layout.separator:
        return  # "111" may be row 1 or row 11
    for name, label in zip(layout.names(), labels, strict=True):
        assert parse_label(label, is_column_first=layout.is_column_first)[0] == name


@pytest.mark.parametrize(
    ("text", "numbers", "written"),
    [
        ("A-D", (0, 1, 2, 3), "A-D"),
        ("D-A", (3, 2, 1, 0), "D-A"),
        ("01-03", (0, 1, 2), "01-03"),
        ("A-C, E, G-F", (0, 1, 2, 4, 6, 5), "A-C, E, G-F"),
        ("Z-AB", (25, 26, 27), "Z-AB"),
    ],
)
def test_ranges_may_run_backwards_and_leave_out_lines(
    text: str, numbers: tuple[int, ...], written: str
) -> None:
    axis = read_axis(text)
    assert axis.numbers == numbers
    assert str(axis) == written


def test_a_zero_padded_label_keeps_its_zeros() -> None:
    block = LayoutBlock(row_labels=read_axis("A-H"), column_labels=read_axis("01-12"), at=(0, 0))
    layout = Layout((block,), separator="-")
    assert layout.label(CoreName(1, 2)) == "B-03"


@pytest.mark.parametrize(
    "text",
    [
        'empty = ["C9"]\n[[block]]\nrows = "A-B"\ncolumns = "1-2"\n',
        'empty = ["A1"]\ncontrol = ["A1"]\n[[block]]\nrows = "A-B"\ncolumns = "1-2"\n',
        'control = { A1 = "strong" }\n[[block]]\nrows = "A-B"\ncolumns = "1-2"\n',
        "core_diameter_um = -3\n[[block]]\nrows = 'A-B'\ncolumns = '1-2'\n",
        "[[block]]\nrows = 'A-B'\ncolumns = 'C-D'\n",
        "[[block]]\nrows = 'A-B, A'\ncolumns = '1'\n",
        "[[block]]\nrows = 'A-3'\ncolumns = '1'\n",
    ],
)
def test_a_layout_that_contradicts_itself_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "layout.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="is not a layout"):
        read_layout(path)


def test_a_layout_with_a_wrong_entry_is_refused_in_one_line_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "layout.toml"
    path.write_text("[[block]]\nrows = 'A-B'\nat = [0, -1]\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"layout \(block 1, columns: is missing\)") as told:
        read_layout(path)
    assert "\n" not in str(told.value)
    assert "pydantic" not in str(told.value)


def test_the_text_of_a_layout_is_what_a_person_would_write() -> None:
    block = LayoutBlock(row_labels=read_axis("A-C"), column_labels=read_axis("1-4"), at=(0, 0))
    special = (
        SpecialPlace(name=CoreName(0, 0), kind=PlaceKind.EMPTY),
        SpecialPlace(name=CoreName(1, 0), kind=PlaceKind.CONTROL, score=Score.THREE),
    )
    assert layout_text(Layout((block,), special=special, core_diameter_um=600.0)) == (
        'core_diameter_um = 600\nempty = ["A1"]\ncontrol = { "B1" = "3+" }\n\n'
        '[[block]]\nrows = "A-C"\ncolumns = "1-4"\nat = [0, 0]\n'
    )


def test_the_layout_in_the_reference_is_one(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "maps.md"
    example = page.read_text(encoding="utf-8").split("```toml")[1].split("```")[0]
    path = tmp_path / "layout.toml"
    path.write_text(example, encoding="utf-8")
    layout = read_layout(path)
    assert len(layout.blocks) == 2
    assert layout.label(CoreName(0, 8)) == "A-9"
