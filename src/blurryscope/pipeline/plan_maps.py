"""What a plan names beside itself, read before anything moves."""

from collections.abc import Iterator
from contextlib import contextmanager

from blurryscope.artifacts.layout_file import read_layout
from blurryscope.artifacts.slide_map import MapReading, read_slide_map
from blurryscope.basics.errors import MissingInputError
from blurryscope.scan.plan_file import ScanOrder


def refuse_unreadable_maps(order: ScanOrder, consensus: str | None = None) -> None:
    """Read layouts and maps of a plan; an `InputError` tells what is wrong with the first one."""
    for slide in order.slides:
        with _named_by(f"{order.path}, {slide.name}"):
            layout = None if slide.layout_path is None else read_layout(slide.layout_path)
            if slide.map_path is not None:
                is_column_first = layout is not None and layout.is_column_first
                how = MapReading(consensus=consensus, is_column_first=is_column_first)
                read_slide_map(slide.map_path, slide.name, how)


@contextmanager
def _named_by(place: str) -> Iterator[None]:
    """A file that is not there is told by the place that names it."""
    try:
        yield
    except MissingInputError as error:
        raise MissingInputError(
            place,
            f"names {error.where}: {error.problem}",
            "Correct the path; it goes from the folder of the plan",
        ) from error
