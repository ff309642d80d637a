"""Documents lead where they say, and a decision is told by its number."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for folder in (ROOT, ROOT / "firmware", ROOT / "hardware", ROOT / "docs")
    for page in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
)


DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Where a page's own links lead: a file, and a heading in it or nothing."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" not in target:
            path, _, heading = target.partition("#")
            yield (page.parent / path if path else page), heading


def anchors(page: Path) -> set[str]:
    """What headings are called in links: small letters, hyphens, no other signs."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_to_a_file_and_a_heading_that_exist() -> None:
    lost = [
        f"{page.relative_to(ROOT)} -> {path.name}#{heading}"
        for page in PAGES
        for path, heading in links(page)
        if not path.exists() or (heading and heading not in anchors(path))
    ]
    assert lost == []


def test_no_two_decisions_have_the_same_number() -> None:
    numbers = Counter(page.name.partition("-")[0] for page in DECISIONS)
    assert [number for number, count in numbers.items() if count > 1] == []


def test_a_decision_begins_with_the_number_of_its_file() -> None:
    firsts = {page.name: page.read_text("utf-8").partition("\n")[0] for page in DECISIONS}
    assert [
        name for name, first in firsts.items() if not re.match(rf"# {name[:4]} [A-Z]", first)
    ] == []
