"""What went wrong with the scan itself, on the page and on the technician's picture."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from blurryscope.artifacts.mosaic import MosaicWriter
from blurryscope.artifacts.scan_quality import Rescan, RescanReason, write_rescans
from blurryscope.basics.errors import InputError
from blurryscope.report import write_report
from blurryscope.report.scan_quality_picture import advice, draw_scan_quality, fitted_advice
from blurryscope.stitch.scan_quality import judge_scan
from tests.stitch.slide_by_hand import good_slide

MakeSlide = Callable[..., Path]

BUBBLE = Rescan(
    reason=RescanReason.REGISTRATION,
    first_lane=14,
    last_lane=16,
    x_from_mm=3.1,
    x_to_mm=4.0,
    y_from_mm=5.0,
    y_to_mm=6.0,
    problem="lanes 14–16 lost registration between x 3.1 and 4.0 mm: a bubble <or> a loose slide",
    action="Wipe the slide, and scan these lanes again.",
)


def test_the_page_names_the_places_to_scan_again_and_what_to_do(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["0"]})
    assert "Places where the scan went wrong" not in write_report(root).read_text("utf-8")
    write_rescans(root / "rescan.csv", [BUBBLE])
    page = write_report(root).read_text("utf-8")
    assert "Lanes 14–16 lost registration between x 3.1 and 4.0 mm" in page
    assert "A bubble &lt;or&gt; a loose slide:" in page
    assert BUBBLE.action in page


def test_cores_are_named_where_the_scan_went_wrong_at_them(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["0"]})  # its disc reaches 150 px around x 100, y 500
    with MosaicWriter(root / "mosaic.ome.zarr", (800, 600), pixel_size_um=10.0) as mosaic:
        mosaic.write_rows(np.full((800, 600, 3), 240, np.uint8))
    at_core = replace(BUBBLE, x_from_mm=2.4, x_to_mm=3.0, y_from_mm=4.9, y_to_mm=5.1)
    beside = replace(at_core, x_from_mm=2.6)
    write_rescans(root / "rescan.csv", [at_core])
    page = write_report(root).read_text("utf-8")
    assert "No core is marked for itself; the places below say where" in page
    assert '<dt>Scan here</dt><dd class="status quality">lost registration</dd>' in page
    assert re.search(r'and 4.0 mm .*<a href="#core-A1">A1</a></span></li>', page)
    write_rescans(root / "rescan.csv", [at_core, beside, beside])
    assert "2 more places between the cores" in write_report(root).read_text("utf-8")


def _torn_at_a1(folder: Path) -> None:
    with MosaicWriter(folder / "mosaic.ome.zarr", (800, 600), pixel_size_um=10.0) as mosaic:
        mosaic.write_rows(np.full((800, 600, 3), 240, np.uint8))
    torn = replace(BUBBLE, x_from_mm=1.0, x_to_mm=2.0, y_from_mm=4.9, y_to_mm=5.1)
    lost = replace(torn, reason=RescanReason.FRAMES)
    write_rescans(folder / "rescan.csv", [replace(torn, reason=RescanReason.TORN), lost, lost])


def test_a_core_that_the_scan_tore_is_to_be_read_first_however_sure_its_score(
    make_slide: MakeSlide,
) -> None:
    root = make_slide({"A1": ["0"]})
    _torn_at_a1(root)
    page = write_report(root).read_text("utf-8")
    assert "Damaged, with a score" in page
    assert '<b>1</b><a href="#group-4">to read first</a>' in page
    assert "torn, lost frames</dd>" in page
    assert "<td>scan: torn, lost frames</td>" in page


def test_a_core_that_one_of_two_scans_tore_has_a_whole_one(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["0", "0"]})
    _torn_at_a1(root / "repeat-2")
    page = write_report(root).read_text("utf-8")
    assert "Damaged, with a score" not in page
    assert "repeat 2: torn, lost frames</dd>" in page


def test_what_was_scanned_twice_does_no_core_harm(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["0"]})
    _torn_at_a1(root)
    place = replace(BUBBLE, x_from_mm=1.0, x_to_mm=2.0, reason=RescanReason.SECOND)
    write_rescans(root / "rescan.csv", [place])
    assert "Scan here" not in write_report(root).read_text("utf-8")


def test_places_of_several_repeats_say_which_repeat(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["0", "0"]})
    write_rescans(root / "repeat-2" / "rescan.csv", [BUBBLE])
    page = write_report(root).read_text("utf-8")
    assert f"Repeat 2: {BUBBLE.action}" in page
    assert "Every core has at least one repeat" not in page  # without a mosaic nothing tells


def test_cores_that_went_wrong_in_every_repeat_are_named(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["0", "0"]})
    at_core = replace(BUBBLE, x_from_mm=0.9, x_to_mm=1.1, y_from_mm=4.9, y_to_mm=5.1)
    for number in (1, 2):
        folder = root / f"repeat-{number}"
        with MosaicWriter(folder / "mosaic.ome.zarr", (800, 600), pixel_size_um=10.0) as mosaic:
            mosaic.write_rows(np.full((800, 600, 3), 240, np.uint8))
        write_rescans(folder / "rescan.csv", [at_core])
        page = write_report(root).read_text("utf-8")
        is_everywhere = "something went wrong in every repeat" in page
        assert is_everywhere == (number == 2)


def test_places_with_the_same_fault_share_one_entry_of_the_picture() -> None:
    lost = [
        replace(BUBBLE, problem=f"lane {n} lost 1 frame: a slow cable", action="Use another cable.")
        for n in range(5)
    ]
    first, second = advice([lost[0], BUBBLE, *lost[1:]], most_places=3)
    assert first.splitlines() == [
        "1  Lane 0 lost 1 frame",
        "3  Lane 1 lost 1 frame",
        "4  Lane 2 lost 1 frame",
        "… and 2 more such places, in rescan.csv",
        "     A slow cable.",
        "     Use another cable.",
    ]
    assert second.startswith("2  Lanes 14–16 lost registration between x 3.1 and 4.0 mm\n")
    assert advice([], most_places=3) == [
        "Nothing. All tissue is in focus, placed, and fully scanned."
    ]


def test_few_places_are_told_in_large_print_and_many_in_small() -> None:
    def sizes(count: int) -> tuple[float, list[int]]:
        places = [replace(BUBBLE, action=f"Wipe the slide {n % 4} times.") for n in range(count)]
        columns, size_pt = fitted_advice(places)
        return size_pt, [len("\n\n".join(column).splitlines()) for column in columns]

    one, many = sizes(1), sizes(60)
    assert one[0] > 1.3 * many[0]
    assert max(one[1]) <= 8
    assert 8 < max(many[1]) <= 12


def test_the_picture_is_one_page_and_marks_what_is_wrong(tmp_path: Path) -> None:
    good, bad = good_slide(), good_slide()
    bad.picture[:400, :2000] = 254
    colours = []
    for name, slide in (("good", good), ("bad", bad)):
        folder = slide.write(tmp_path / name)
        judge_scan(folder)
        stored = np.frombuffer(draw_scan_quality(folder).read_bytes(), np.uint8)
        picture = cv2.imdecode(stored, cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape[1] > picture.shape[0] > 1000
        # The warning's red, as blue, green, red.
        colours.append(int((np.abs(picture.astype(int) - (30, 38, 179)).max(axis=2) < 3).sum()))
    assert colours[0] == 0
    assert colours[1] > 500


def test_the_page_holds_the_picture_where_there_is_one(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["0"]})
    assert "scan-quality" not in write_report(root).read_text("utf-8").split("</style>")[1]
    cv2.imwrite(str(root / "stitch-quality.png"), np.zeros((40, 60, 3), np.uint8))
    assert "scan-quality" in write_report(root).read_text("utf-8").split("</style>")[1]


def test_a_scan_that_was_not_judged_cannot_be_drawn(tmp_path: Path) -> None:
    folder = good_slide().write(tmp_path)
    with pytest.raises(InputError, match=r"regions\.csv"):
        draw_scan_quality(folder)
