"""The report read by ear, worked by keyboard, seen without colours, and on a narrow screen."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element

import cv2
import numpy as np
import pytest

from blurryscope.artifacts.tissue_cores import CoreStatus
from blurryscope.basics.her2 import Score
from blurryscope.report import write_report
from blurryscope.report.why_picture import why_picture
from tests.pages import (
    contrast,
    nameless,
    read_page,
    skipped_headings,
    tables_without_headings,
    words,
)

MakeSlide = Callable[..., Path]

LEAST_CONTRAST_OF_WORDS = 4.5
LEAST_CONTRAST_OF_MARKS = 3.0


@pytest.fixture
def report(make_slide: MakeSlide) -> Path:
    """Two repeats, with everything a page can hold but maps and the picture of the scan."""
    root = make_slide(
        {
            "A1": ["3+", "3+"],
            "A2": ["3+ unsure"] * 2,
            "B1": ["withheld"] * 2,
            "B2": ["withheld"] * 2,
        },
        statuses={"B2": CoreStatus.MISSING},
        labels={"A1": Score.THREE, "A2": Score.ONE},
    )
    return write_report(root)


@pytest.fixture
def page(report: Path) -> Element:
    return read_page(report)


def _style(page: Element) -> str:
    return words(next(page.iter("style")))


def test_whatever_can_be_used_or_seen_has_a_name(page: Element) -> None:
    assert nameless(page) == []


def test_tables_have_captions_and_headings_of_columns_and_rows(page: Element) -> None:
    assert len(list(page.iter("table"))) == 5
    assert tables_without_headings(page) == []


def test_headings_go_down_one_step_at_a_time(page: Element) -> None:
    assert skipped_headings(page) == []


def test_the_page_tells_its_language_and_its_title(page: Element) -> None:
    assert page.get("lang") == "en"
    assert words(next(page.iter("title"))) == "H101 – HER2 report – research use only"


def test_a_picture_of_a_core_tells_score_confidence_and_use(page: Element) -> None:
    texts = [picture.get("alt", "") for picture in page.iter("img")]
    assert "Core A1 in repeat 1, score 3+ with a confidence of 0.91; research use only" in texts
    assert "Core B1 in repeat 1, no score: out of focus; research use only" in texts


def test_a_core_is_named_before_its_picture(page: Element) -> None:
    for card in (item for item in page.iter("li") if item.get("class") == "card"):
        order = [element.tag for element in card.iter() if element.tag in {"h4", "img"}]
        assert order[0] == "h4"


def test_what_is_wider_than_the_window_can_be_moved_by_keyboard(page: Element) -> None:
    moved = [e for e in page.iter() if e.get("class") == "scroll"]
    assert len(moved) == 3
    assert all(e.get("tabindex") == "0" and e.get("aria-label") for e in moved)


def test_the_order_of_the_keyboard_is_that_of_the_page_and_its_place_is_seen(
    page: Element,
) -> None:
    assert {e.get("tabindex", "0") for e in page.iter()} == {"0"}
    style = _style(page)
    assert "outline: none" not in style
    assert "outline: 0" not in style
    (focus,) = re.findall(r"--focus: (#\w+)", style)
    assert re.search(r":focus-visible { outline: 3px solid var\(--focus\)", style)
    assert contrast(focus, "#fff") >= LEAST_CONTRAST_OF_MARKS


def test_words_stand_out_from_their_ground(page: Element) -> None:
    style = _style(page)
    ours = dict(re.findall(r"--([\w-]+): (#\w+)", style))
    pairs = [
        (ours[words_in], ours[ground])
        for words_in, ground in (
            ("ink", "paper"), ("ink", "faint"), ("soft", "paper"), ("soft", "faint"),
            ("link", "paper"), ("warn", "paper"), ("warn", "warn-paper"), ("paper", "link"),
        )
    ]  # fmt: skip
    chips = re.findall(r"\.s\d { background: var\(--(s\d)\); color: (#\w+)", style)
    assert len(chips) == len(Score)
    pairs += [(colour, ours[ground]) for ground, colour in chips]
    pairs += re.findall(r"\.research {[^}]*color: (#\w+); background: (#\w+)", style)
    assert len(pairs) == 13
    assert min(contrast(*pair) for pair in pairs) >= LEAST_CONTRAST_OF_WORDS


def test_no_colour_says_what_no_word_says(page: Element) -> None:
    chips = [e for e in page.iter() if re.match(r"chip|s\d|none", e.get("class", ""))]
    assert all(words(chip) for chip in chips if chip.tag != "rect")
    urgent = [a for a in page.iter("a") if "urgent" in a.get("class", "")]
    assert len(urgent) == 2
    assert all(a.get("aria-label", "").endswith(", read first") for a in urgent)
    assert "Probabilities: 0: 0.03, 1+: 0.03, 2+: 0.03, 3+: 0.91" in words(page)


def test_nothing_moves_by_itself_and_nothing_forbids_to_enlarge(page: Element) -> None:
    assert not re.search(r"animation|transition|@keyframes|scroll-behavior", _style(page))
    viewport = next(e for e in page.iter("meta") if e.get("name") == "viewport")
    assert viewport.get("content") == "width=device-width, initial-scale=1"


def test_a_map_printed_in_grey_tells_what_speaks_against_by_lines() -> None:
    ground = np.full((80, 80, 3), 200, np.uint8)
    evidence = np.full((80, 80), 4.0, np.float32)
    evidence[40:] = -4.0
    tissue = np.ones((80, 80), np.bool_)
    grey = cv2.cvtColor(why_picture(ground, tissue, evidence, [], 1.0), cv2.COLOR_RGB2GRAY)
    assert np.ptp(grey[5:30]) == 0
    assert np.ptp(grey[50:75]) > 40


_OPERATE = """
const box = document.querySelector('.filter input[value=s3]');
box.click();
const hidden = document.getElementById('core-A1').hidden;
const told = document.querySelector('[role=status]').textContent;
document.querySelector('.plate a[href="#core-A1"]').click();
const shown = !document.getElementById('core-A1').hidden && box.checked;
document.querySelectorAll('.all th button')[1].click();
const first = document.querySelector('.all tbody th').textContent;
const beyond = document.documentElement.scrollWidth - document.documentElement.clientWidth;
document.title = [hidden, told, shown, first, beyond].join('; ');
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium to run the page")
def test_a_narrow_page_is_not_wider_than_its_window_and_a_link_brings_back_a_filtered_core(
    report: Path, tmp_path: Path
) -> None:
    html = report.read_text("utf-8")
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    tried = tmp_path / "tried.html"
    tried.write_text(html.replace("</body>", f"<script>{_OPERATE}</script></body>"), "utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command.append("--window-size=320,700")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run(
        [*command, profile, tried.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    assert "<title>true; 1 of 3 cores shown; true; B1; 0</title>" in done.stdout


def test_in_print_only_the_scales_of_cores_are_enlarged(page: Element) -> None:
    printed = _style(page).split("@media print {")[1]
    assert re.findall(r"(\S+) \.scale text \{[^}]*translateY", printed) == [".card"]
