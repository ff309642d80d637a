"""The page of an evaluation: one HTML file that opens offline, figures and all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from blurryscope.artifacts.whole import write_text_whole
from blurryscope.basics.her2 import RESEARCH_USE_ONLY
from blurryscope.evaluate.drawing import Drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTable:
    """A table of finished words; the first column names the row."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One heading of the page and what stands below it."""

    title: str
    text: Sequence[str] = ()
    """Paragraphs."""
    table: PageTable | None = None
    figures: Sequence[Drawn] = field(default_factory=tuple)


def write_page(path: Path, title: str, lead: Sequence[str], sections: Sequence[Section]) -> None:
    """Write the page, whole or not at all; the same content gives the same bytes."""
    style = (files("blurryscope.evaluate") / "templates" / "evaluation.css").read_text("utf-8")
    # Package templates only; autoescape is on for every name, so no value can become markup.
    environment = Environment(
        loader=PackageLoader("blurryscope.evaluate"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("evaluation.html.j2").render(
        title=title,
        lead=lead,
        sections=sections,
        style=Markup(style),
        drawing=_inline,
        research_use_only=RESEARCH_USE_ONLY,
    )
    write_text_whole(path, text)


def _inline(drawn: Drawn) -> Markup:
    """Our own drawing, which holds no foreign markup, with a name for those who cannot see it."""
    named = Markup('<svg role="img" aria-label="{}" ').format(drawn.title)
    return named + Markup(_own_ids(drawn).removeprefix("<svg "))


def _own_ids(drawn: Drawn) -> str:
    """Drawings number their parts alike; in one page they need names of their own."""
    own = f"{drawn.name}-"
    svg = drawn.svg.replace('id="', f'id="{own}').replace('href="#', f'href="#{own}')
    return svg.replace("url(#", f"url(#{own}")
