import base64
import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from blurryscope.artifacts.mosaic import MosaicWriter
from blurryscope.artifacts.predictions import Decision, read_results, write_results
from blurryscope.artifacts.small_pictures import small_jpeg, small_picture_path
from blurryscope.artifacts.tissue_cores import CoreStatus
from blurryscope.artifacts.view_places import ViewPlace, WeighedView, write_view_places
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.her2 import RESEARCH_USE_ONLY, Score
from blurryscope.report import write_report
from blurryscope.report.why_picture import why_picture
from blurryscope.report.words import Fact, facts_of

MakeSlide = Callable[..., Path]


class _Page(HTMLParser):
    """Collects what the tests ask for."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def page(make_slide: MakeSlide) -> _Page:
    root = make_slide(
        {
            "A1": ["3+", "3+", "3+ unsure"],
            "A2": ["3+ unsure"] * 3,
            "B1": ["withheld"] * 3,
            "B2": ["withheld"] * 3,
        },
        statuses={"B2": CoreStatus.MISSING},
        labels={"A1": Score.THREE, "B2": Score.ONE},
    )
    return _Page(write_report(root))


def test_nothing_is_fetched_from_outside(page: _Page) -> None:
    sources = [a["src"] for _, a in page.tags if "src" in a]
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert all(a["href"].startswith("#") for a in page.all("a"))
    assert not page.all("link")
    assert not re.search(r"@import|url\(|https?://", page.html)


def test_the_policy_admits_only_the_pages_own_style_and_script(page: _Page) -> None:
    policy = next(
        a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    for tag in ("style", "script"):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", page.html, re.DOTALL)
        checksum = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{checksum}'" in policy
    assert not [a for _, a in page.tags if "style" in a or any(name.startswith("on") for name in a)]


def test_research_use_only_is_the_first_thing_on_the_page_and_on_every_sheet(page: _Page) -> None:
    body = page.html[page.html.index("<body>") :]
    first = re.search(r"<p[^>]*>(.*?)</p>", body)
    assert first is not None
    assert first[1] == RESEARCH_USE_ONLY
    assert f'@bottom-left {{ content: "{RESEARCH_USE_ONLY}"' in page.html


def test_every_link_leads_somewhere_and_every_name_is_used_once(page: _Page) -> None:
    names = [a["id"] for _, a in page.tags if "id" in a]
    assert len(names) == len(set(names))
    assert {a["href"].removeprefix("#") for a in page.all("a")} <= set(names)


def test_cores_stand_in_the_order_of_triage(page: _Page) -> None:
    cards = [a["id"] for a in page.all("li") if a.get("class") == "card"]
    assert cards == ["core-A2", "core-B1", "core-A1"]
    assert "B2 (lab's map: 1+)" in page.text


def test_what_is_to_be_read_first_is_one_step_away(page: _Page) -> None:
    assert '<li class="first"><b>2</b><a href="#group-1">to read first</a></li>' in page.html
    groups = page.html.split('aria-label="Groups of cores"')[1].split("</ul>")[0]
    assert re.findall(r"#group-(\d)", groups) == ["1", "3", "5", "6"]
    assert re.findall(r"\((\d+)\)", groups) == ["1", "1", "1", "1"]


def test_a_slide_with_nothing_to_read_first_leads_nowhere(make_slide: MakeSlide) -> None:
    page = _Page(write_report(make_slide({"A1": ["0"], "A2": ["1+"]})))
    assert "<li><b>0</b>to read first</li>" in page.html
    assert "Every core that was found has a score." in page.text


def test_what_is_so_of_all_unsure_cores_is_told_once(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["undecided"], "A2": ["undecided"]})
    told, whole = (
        "may be 1+ or 2+",
        "may be 1+ or 2+ (such sets hold the true score in 85 % of all)",
    )
    results = [
        replace(result, decision=Decision.INDETERMINATE, score=None, reason=whole)
        for result in read_results(root / "results.csv")
    ]
    write_results(root / "results.csv", results)
    page = _Page(write_report(root))
    assert page.text.count("such sets hold the true score in 85 %") == 1
    assert page.html.count(f'<p class="reason">{told}</p>') == 2


def test_repeats_reasons_and_provenance_are_shown(page: _Page) -> None:
    for sentence in ("Repeat 3", "out of focus", "ab" * 32, "SHA-256 " + "cd" * 32, "Pixel size"):
        assert sentence in page.text
    assert "Same score in 1 of 1 cores" in page.text


def test_the_same_folder_gives_the_same_bytes(make_slide: MakeSlide, tmp_path: Path) -> None:
    root = make_slide({"A1": ["3+"], "A2": ["0"]})
    one, two = (write_report(root, out=tmp_path / name) for name in ("one.html", "two.html"))
    assert one.read_bytes() == two.read_bytes()


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def test_what_looks_like_markup_is_shown_as_text(make_slide: MakeSlide) -> None:
    root = make_slide(
        {"A1": ["3+"], "A2": ["withheld"]},
        slide=EVIL,
        grid={"needs_confirmation": True, "reasons": (EVIL,)},
        stitch={EVIL: EVIL, "nested": {EVIL: [EVIL]}},
    )
    page = _Page(write_report(root))
    assert len(page.all("script")) == 1
    assert not [a for _, a in page.tags if a.get("src") == "x" or "onerror" in a]
    assert EVIL in "".join(page.texts)


def test_names_that_are_no_labs_are_told_at_the_top(make_slide: MakeSlide) -> None:
    page = _Page(write_report(make_slide({"A1": ["3+"]}, grid={"names_from": "grid"})))
    assert "The names of the cores are not a lab's." in page.text


def test_names_that_need_confirmation_are_told_with_the_reason(make_slide: MakeSlide) -> None:
    reason = "a turn by 180° fits as well"
    grid = {"needs_confirmation": True, "reasons": (reason,)}
    page = _Page(write_report(make_slide({"A1": ["3+"]}, grid=grid)))
    assert "The names need confirmation." in page.text
    assert reason in page.text
    assert "What to do" not in page.text


def test_where_somebody_is_asked_the_page_says_how_to_answer(make_slide: MakeSlide) -> None:
    grid = {"needs_confirmation": True, "reasons": ("Is it the map of this slide?", "Or turned?")}
    root = make_slide({"A1": ["3+", "3+"]}, grid=grid)
    for repeat in ("repeat-1", "repeat-2"):  # named after the first, so that answers are about it
        (root / repeat / "cores" / "candidates.png").touch()
    page = _Page(write_report(root))
    assert "<li>All repeats: Is it the map of this slide?</li>" in page.html
    assert "<li>All repeats: Or turned?</li>" in page.html
    assert "What to do: repeat-1/cores/candidates.png in the slide's folder" in page.text
    assert "repeat-2/cores/candidates.png" not in page.text


def test_a_repeat_of_another_slide_is_told_to_take_no_part(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["3+", "3+"]})
    grid = root / "repeat-2" / "cores.json"
    told = json.loads(grid.read_text("utf-8"))
    told |= {"agrees_with_first": False, "needs_confirmation": True, "reasons": ["Another slide?"]}
    grid.write_text(json.dumps(told), "utf-8")
    (root / "repeat-2" / "cores" / "candidates.png").touch()
    page = _Page(write_report(root))
    assert "computed from one scan of the slide; repeat 2 took no part." in page.text
    assert "Repeat 2: Another slide?" in page.text
    assert "see whether repeat 2 shows this slide" in page.text
    assert "candidates.png" not in page.text


def test_sure_names_carry_no_warning(page: _Page) -> None:
    assert 'class="notice"' not in page.html


def test_a_slide_that_is_not_scored_yet_still_has_a_page(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["3+"]})
    for name in ("scores.csv", "results.csv", "provenance.json", "stitch.json", "cores.json"):
        (root / name).unlink()
    (root / "cores" / "A1.png").unlink()
    page = _Page(write_report(root))
    assert "not scored yet" in page.text
    assert "no picture" in page.text


def test_a_folder_without_cores_is_refused_and_an_older_page_stays(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old", encoding="utf-8")
    with pytest.raises(MissingInputError, match=r"cores\.csv"):
        write_report(tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_stitch_json_that_is_none_is_refused(make_slide: MakeSlide, content: str) -> None:
    root = make_slide({"A1": ["3+"]})
    (root / "stitch.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"stitch\.json"):
        write_report(root)


def test_stored_figures_are_told_with_their_units() -> None:
    stored = {
        "pixel_size_um": 1.12,
        "overlap_fraction": 0.14,
        "camera": {"rotation_deg": 90.5, "is_turned": True},
        "residuals_px": [3, 1, 2, 5, 4, 6, 7],
        "lanes": [],
        "rig": None,
    }
    assert list(facts_of(stored)) == [
        Fact("Pixel size", "1.12 µm"),
        Fact("Overlap", "14 %"),
        Fact("Camera · rotation", "90.5°"),
        Fact("Camera · is turned", "yes"),
        Fact("Residuals", "7 values, 1 px to 7 px, median 4 px"),
        Fact("Lanes", "none"),
        Fact("Rig", "unknown"),
    ]


def test_a_core_with_a_map_can_be_shown_with_it_and_says_how_its_views_weigh(
    make_slide: MakeSlide,
) -> None:
    root = make_slide({"A1": ["3+"], "A2": ["0"]})
    before = _Page(write_report(root)).html
    assert 'class="show-why"' not in before
    _explain(root, "A1")
    page = _Page(write_report(root))
    switches = [a["id"] for a in page.all("input") if a.get("class") == "show-why"]
    assert switches == ["why-A1"]
    assert [a["for"] for a in page.all("label") if "for" in a] == switches
    assert len([a for a in page.all("img") if a.get("class") == "why"]) == 1
    assert "0.40 0.30" in page.text
    assert page.text.count(RESEARCH_USE_ONLY) > before.count(RESEARCH_USE_ONLY)
    assert "says nothing about whether the score is right" in page.text


def test_a_map_of_a_core_adds_less_than_forty_kilobytes(make_slide: MakeSlide) -> None:
    root = make_slide({"A1": ["3+"]})
    before = write_report(root).stat().st_size
    _explain(root, "A1")
    assert write_report(root).stat().st_size - before < 40_000


def _explain(root: Path, core: str) -> None:
    place = ViewPlace(top_px=100.0, left_px=100.0, side_px=300.0)
    views = [WeighedView(place=place, weight=weight) for weight in (0.4, 0.3, 0.3)]
    picture = np.random.default_rng(0).normal(150, 25, (105, 105, 3)).astype(np.uint8)
    small = cv2.resize(picture, (420, 420), interpolation=cv2.INTER_LINEAR)
    ramp = np.linspace(-8, 8, 128 * 128, dtype=np.float32).reshape(128, 128)
    tissue = np.ones((420, 420), np.bool_)
    shown = why_picture(np.asarray(small, np.uint8), tissue, ramp, views, 2.0)
    (root / "why").mkdir()
    cv2.imwrite(str(root / "why" / f"{core}.jpg"), shown[..., ::-1])
    write_view_places(root / "why" / "views.csv", {CoreName.parse(core): views})


def test_what_speaks_for_a_higher_score_is_orange_and_what_speaks_against_it_blue() -> None:
    grey = np.full((60, 60, 3), 200, np.uint8)
    evidence = np.zeros((60, 60), np.float32)
    evidence[:20], evidence[40:] = 6.0, -6.0
    shown = why_picture(grey, np.ones((60, 60), np.bool_), evidence, [], 1.0).astype(int)
    assert shown[5, 30, 0] > shown[5, 30, 2] + 60
    assert shown[55, 30, 2] > shown[55, 30, 0] + 60
    assert np.ptp(shown[30, 30]) == 0


def test_clear_glass_has_no_colour_whatever_spills_over_it() -> None:
    grey = np.full((60, 60, 3), 200, np.uint8)
    tissue = np.zeros((60, 60), np.bool_)
    tissue[:, :30] = True
    shown = why_picture(grey, tissue, np.full((60, 60), 6.0, np.float32), [], 1.0).astype(int)
    assert shown[30, 10, 0] > shown[30, 10, 2] + 60
    assert np.ptp(shown[:, 40:], axis=2).max() == 0


def test_a_bar_tells_the_scale_of_a_picture_by_the_pixels_of_the_mosaic(
    make_slide: MakeSlide,
) -> None:
    root = make_slide({"A1": ["3+"]})
    (root / "cores").mkdir(exist_ok=True)
    cv2.imwrite(str(root / "cores" / "A1.png"), np.full((1000, 1000, 3), 200, np.uint8))
    assert 'class="scale"' not in _Page(write_report(root)).html
    with MosaicWriter(root / "mosaic.ome.zarr", (64, 64), 1.25) as writer:
        writer.write_rows(np.full((64, 64, 3), 200, np.uint8))
    page = _Page(write_report(root))
    assert "200 µm" in page.text
    assert 'width="16.00"' in page.html  # percent of 1,250 µm


def test_a_bar_tells_the_scale_of_the_overview_by_the_width_of_the_mosaic(
    make_slide: MakeSlide,
) -> None:
    root = make_slide({"A1": ["3+"]})
    with MosaicWriter(root / "mosaic.ome.zarr", (64, 64), 200.0) as writer:
        writer.write_rows(np.full((64, 64, 3), 200, np.uint8))
    page = _Page(write_report(root))
    assert "2 mm" in page.text
    assert 'width="15.62"' in page.html  # percent of 12.8 mm


def test_the_page_is_the_same_by_way_of_small_pictures_and_without_old_ones(
    make_slide: MakeSlide,
) -> None:
    root = make_slide({"A1": ["3+"]})
    full = root / "cores" / "A1.png"
    rgb = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    tissue = cv2.resize(rgb, (1000, 1000), interpolation=cv2.INTER_LINEAR)
    cv2.imwrite(str(full), tissue)
    by_full = write_report(root).read_bytes()
    small = small_picture_path(full)
    small.parent.mkdir()
    small.write_bytes(small_jpeg(np.ascontiguousarray(tissue[..., ::-1])))
    assert write_report(root).read_bytes() == by_full
    small.write_bytes(small_jpeg(np.zeros((1000, 1000, 3), np.uint8)))
    assert write_report(root).read_bytes() != by_full
    os.utime(small, ns=(0, full.stat().st_mtime_ns - 1))
    assert write_report(root).read_bytes() == by_full


def test_lists_of_things_are_counted_and_never_shown_as_code() -> None:
    torn = {"torn_seams": [{"lane": 9, "agreement": 0.31}]}
    assert list(facts_of(torn)) == [Fact("Torn seams", "one entry")]


def test_cores_withheld_for_one_reason_stand_in_one_line_whatever_was_measured(
    make_slide: MakeSlide,
) -> None:
    root = make_slide({"A1": ["undecided"], "A2": ["undecided"], "B1": ["0"]})
    table = root / "results.csv"
    told = table.read_text("utf-8")
    for measured in ("0.41", "0.40"):
        reason = f"confidence {measured} is below 0.45"
        told = told.replace("confidence below the threshold", reason, 1)
    table.write_text(told, encoding="utf-8")
    page = write_report(root).read_text("utf-8")
    assert re.search(
        r"<th scope=\"row\">confidence is below 0.45</th><td class=\"number\">2</td>", page
    )
    assert "confidence 0.41 is below 0.45" in page  # with the core itself
