from pathlib import Path

from blurryscope.artifacts.repeat_folders import repeat_folder, repeats_in


def test_repeats_come_in_the_order_of_their_numbers_and_copies_are_none(tmp_path: Path) -> None:
    for name in ("repeat-10", "repeat-2", "repeat-1 copy", "repeat-01", "repeat-", "repeats"):
        (tmp_path / name).mkdir()
    (tmp_path / "repeat-3").touch()
    assert repeats_in(tmp_path) == {n: repeat_folder(tmp_path, n) for n in (2, 10)}
    assert list(repeats_in(tmp_path)) == [2, 10]
