"""Whatever is in a file, it is read or refused in words; nothing else happens."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.artifacts.layout_file import read_layout
from blurryscope.artifacts.map_cells import MapReading
from blurryscope.artifacts.map_words import describe_map
from blurryscope.artifacts.qupath_grid import map_of_grid, read_qptma
from blurryscope.artifacts.slide_map import read_slide_map, slides_in_map
from blurryscope.basics.errors import InputError

CELLS = st.sampled_from(
    [
        "", "core", "row", "column", "her2", "HER2 A", "HER2 B", "slide", "case", "A", "B", "C",
        "AA", "1", "2", "3", "4", "12", "A1", "a-02", "1B", "2,3", "R1C2", "0", "1+", "2 +", "NA",
        "lost", "empty", "H1", "neg", "-", "٣", "²", "A0", "ZZ99", "=1", '"',
    ]
)  # fmt: skip
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=5), min_size=1, max_size=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@given(TABLES, st.sampled_from([None, "majority", "A"]), st.sampled_from(["csv", "qpmap"]))
def test_any_table_is_read_or_refused(
    folder: Path, table: list[list[str]], consensus: str | None, kind: str
) -> None:
    path = folder / f"map.{kind}"
    sign = "," if kind == "csv" else "\t"
    path.write_text("\n".join(sign.join(row) for row in table), encoding="utf-8")
    try:
        slides_in_map(path)
        read = read_slide_map(path, how=MapReading(consensus=consensus))
    except InputError:
        return
    assert list(describe_map(read))
    assert any(entry.presence.expects_tissue for entry in read.entries.values())


@given(st.binary(max_size=300), st.sampled_from(["csv", "xlsx", "qptma", "qpmap", "toml"]))
def test_any_bytes_are_read_or_refused(folder: Path, content: bytes, kind: str) -> None:
    path = folder / f"any.{kind}"
    path.write_bytes(content)
    try:
        assert read_layout(path).blocks if kind == "toml" else read_slide_map(path).entries
    except InputError:
        return


@given(st.lists(st.text("A1-\t0.5truefals\n", max_size=30), max_size=6))
def test_any_grid_is_read_or_refused(folder: Path, lines: list[str]) -> None:
    path = folder / "any.qptma"
    head = "TMA grid width: 1\nTMA grid height: 1\nCore name\tX\tY\tWidth\tHeight\tPresent\n"
    path.write_text(head + "\n".join(lines), encoding="utf-8")
    try:
        map_of_grid(read_qptma(path))
    except InputError:
        return


@given(st.text('[]blockrws="A-J1,\n =columnsat', max_size=120))
def test_any_layout_is_read_or_refused(folder: Path, text: str) -> None:
    path = folder / "layout.toml"
    path.write_text("[[block]]\nrows = 'A-B'\ncolumns = '1-3'\n" + text, encoding="utf-8")
    try:
        assert read_layout(path).blocks
    except InputError:
        return
