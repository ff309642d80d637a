"""Documents lead where they say, and a decision is told by its number."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for folder in (ROOT, ROOT / "firmware", ROOT / "hardware", ROOT / "docs")
    for page in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
)


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
