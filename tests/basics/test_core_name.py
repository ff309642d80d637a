import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.basics.core_name import CoreName, row_index, row_letters

rows = st.integers(0, 26 + 26 * 26 - 1)
names = st.builds(CoreName, rows, st.integers(0, 9_998))


@given(names)
def test_a_name_is_read_as_it_was_written(name: CoreName) -> None:
    assert CoreName.parse(str(name)) == name


@given(rows)
def test_row_letters_and_row_index_are_inverse(row: int) -> None:
    assert row_index(row_letters(row)) == row


@pytest.mark.parametrize(
    ("row", "letters"), [(0, "A"), (25, "Z"), (26, "AA"), (27, "AB"), (51, "AZ"), (52, "BA")]
)
def test_rows_beyond_z_go_on_as_aa(row: int, letters: str) -> None:
    assert row_letters(row) == letters


@pytest.mark.parametrize("text", ["A1", "a1", " A01 ", "a-1", "A_001", "A 1"])
def test_the_spellings_of_a_lab_name_one_core(text: str) -> None:
    assert CoreName.parse(text) == CoreName(0, 0)


@pytest.mark.parametrize("text", ["", "A", "7", "A0", "A-0", "1A", "AAA1", "A1B", "A1.5", "Ä1"])
def test_what_names_no_core_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a core name"):
        CoreName.parse(text)


@given(names, names)
def test_names_sort_by_row_and_then_by_column(one: CoreName, other: CoreName) -> None:
    assert (one < other) == ((one.row, one.column) < (other.row, other.column))


@pytest.mark.parametrize("place", [(-1, 0), (0, -1), (702, 0)])
def test_a_place_that_has_no_name_is_refused(place: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        CoreName(*place)
