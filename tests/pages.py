"""A page of ours as a tree, and what it says to those who cannot see it."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder

_EMPTY = frozenset({"img", "input", "meta", "br", "link", "hr"})


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.builder = TreeBuilder()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in _EMPTY:
            self.builder.end(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        self.builder.end(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _EMPTY:
            self.builder.end(tag)

    def handle_data(self, data: str) -> None:
        self.builder.data(data)


def read_page(path: Path) -> Element:
    """The `html` element."""
    tree = _Tree()
    tree.feed(path.read_text("utf-8").removeprefix("<!DOCTYPE html>").strip())
    return tree.builder.close()


def words(element: Element) -> str:
    """What is read out of an element."""
    return " ".join("".join(element.itertext()).split())


def nameless(page: Element) -> list[Element]:
    """Controls, links and pictures that a reader of screens cannot tell from each other."""
    labelled = {label.get("for") for label in page.iter("label") if words(label)}
    labelled_here = {box for label in page.iter("label") if words(label) for box in label}
    return [
        element
        for tag in ("a", "button", "input", "img", "svg")
        for element in page.iter(tag)
        if not (
            element.get("aria-label")
            or element.get("alt")
            or element.get("aria-hidden") == "true"
            or words(element)
            or element.get("id") in labelled
            or element in labelled_here
        )
    ]


def tables_without_headings(page: Element) -> list[str]:
    """What tables lack: a caption, headings of columns, headings of rows."""
    return [problem for table in page.iter("table") for problem in _lacking(table)]


def _lacking(table: Element) -> Iterator[str]:
    caption = table.find("caption")
    name = "" if caption is None else words(caption)
    if not name:
        yield f"a table without a caption: {words(table)[:60]}"
    # The corner above the headings of the rows may be empty.
    columns = [cell for cell in table.iterfind("thead/tr/*") if cell.tag == "th" or words(cell)]
    if not columns or any(cell.get("scope") != "col" for cell in columns):
        yield f"{name}: headings of columns"
    for row in table.iterfind("tbody/tr"):
        if row[0].tag != "th" or row[0].get("scope") != "row":
            yield f"{name}: a row without a heading: {words(row)[:60]}"


def skipped_headings(page: Element) -> list[str]:
    """Headings more than one step below the one before them; the page starts with its only h1."""
    found = [element for element in page.iter() if element.tag in {"h1", "h2", "h3", "h4", "h5"}]
    levels = [0, *(int(element.tag[1]) for element in found)]
    skipped = [
        words(element)
        for before, level, element in zip(levels, levels[1:], found, strict=False)
        if level > before + 1
    ]
    return skipped + [words(element) for element in found[1:] if element.tag == "h1"]


def contrast(one: str, other: str) -> float:
    """Contrast of two colours written `#rgb` or `#rrggbb`, 1 to 21, as WCAG 2 defines it."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    values = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    red, green, blue = (v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
