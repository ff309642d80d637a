"""From the picture of a slide and the lab's map to cores with names, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blurryscope.artifacts.slide_map import SlideMap
from blurryscope.artifacts.tissue_cores import (
    Block,
    CoreGrid,
    PlaceSource,
    TissueCore,
)
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import RESEARCH_USE_ONLY
from blurryscope.basics.image import Grey
from blurryscope.tma.doubts import doubts_about
from blurryscope.tma.lattice import Lattice, fit_lattice
from blurryscope.tma.measure import NamedNode, measured_cores
from blurryscope.tma.naming import Naming, named_by_grid, named_by_map
from blurryscope.tma.nodes import NodeTable, look_at_nodes, with_brown_stain
from blurryscope.tma.picture import SlidePicture, WorkingPicture, working_picture
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.tissue import (
    Spots,
    TissueMap,
    disc_response,
    find_spots,
    map_tissue,
    usual_diameter,
    without_edges,
    without_uneven_light,
)
from blurryscope.tma.white_balance import WhiteBalance, find_white_balance

_DIAMETERS_UM = (300.0, 3000.0)
"""Cores of microarrays have 0.6 to 2 mm."""
_DIAMETERS_PX = (9.0, 300.0)
"""What is looked for where the size of a pixel is not known, in working pixels."""
_LEAST_RESPONSE = 0.12
_LEAST_OF_STRONG = 0.28
"""Of the upper quartile of responses; what is weaker gets its second look at a node."""
_SURELY_TISSUE = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Dearrayed:
    """The cores of a slide: what `cores.csv` and `cores.json` say, and the slide's white."""

    cores: tuple[TissueCore, ...]
    grid: CoreGrid
    white: WhiteBalance


def find_cores(
    picture: SlidePicture, slide_map: SlideMap | None, settings: TmaSettings
) -> Dearrayed:
    """Find the cores of a slide and name them by the map, or by the grid seen without one.

    Raises `InputError` where there is no tissue, or where the map has more rows or columns than
    the slide has room for.
    """
    working = working_picture(picture)
    white = find_white_balance(working.rgb)
    tissue_map, diameter_px = _tissue_and_diameter(picture, working, white, settings)
    response = disc_response(tissue_map.tissue, diameter_px, tissue_map.scanned)
    spots = _strong_spots(response, diameter_px)
    lattice = fit_lattice(spots.xy_px, spots.response, diameter_px)
    nodes = look_at_nodes(lattice, spots.xy_px, tissue_map, response, _margin(slide_map))
    if slide_map is None:
        naming = named_by_grid(nodes)
    else:
        nodes = with_brown_stain(nodes, working.rgb, white.white, tissue_map, diameter_px)
        naming = named_by_map(nodes, slide_map, settings, doubts_about(lattice, spots))
    pitch_px = lattice.nodes.vectors.pitch_px
    named = _named_nodes(nodes, naming, slide_map, pitch_px, working)
    cores = measured_cores(picture, white, named, diameter_px * working.shrink)
    grid = _core_grid(picture, working.shrink, white, lattice, naming, cores)
    return Dearrayed(cores=tuple(cores), grid=grid, white=white)


def _tissue_and_diameter(
    picture: SlidePicture, working: WorkingPicture, white: WhiteBalance, settings: TmaSettings
) -> tuple[TissueMap, float]:
    """Tissue on even glass, and the usual core diameter in working pixels."""
    tissue_map = map_tissue(working.rgb, white.white)
    pixel_um = None if picture.pixel_size_um is None else picture.pixel_size_um * working.shrink
    if settings.core_diameter_um is not None and pixel_um is not None:
        diameter_px = settings.core_diameter_um / pixel_um
    else:
        low, high = (
            _DIAMETERS_PX if pixel_um is None else tuple(um / pixel_um for um in _DIAMETERS_UM)
        )
        high = min(high, min(working.rgb.shape[:2]) / 1.5)
        if high <= low:
            raise InputError(
                "the picture", "is too small to show a core", "Give a scan of the whole slide"
            )
        diameter_px = usual_diameter(tissue_map, (low, high))
    tissue_map = without_uneven_light(tissue_map, diameter_px)
    return without_edges(tissue_map, diameter_px), diameter_px


def _strong_spots(response: Grey, diameter_px: float) -> Spots:
    spots = find_spots(response, diameter_px, _LEAST_RESPONSE)
    if not len(spots.response) or spots.response[0] < _SURELY_TISSUE:
        raise InputError(
            "the slide",
            "shows no tissue, only glass",
            "Check that the slide has tissue, that it is in focus and that the scan covers it",
        )
    strong = spots.response > _LEAST_OF_STRONG * np.quantile(spots.response, 0.75)
    return Spots(xy_px=spots.xy_px[strong], response=spots.response[strong])


def _margin(slide_map: SlideMap | None) -> int:
    """How many nodes beyond the outermost cores found the map may reach."""
    return 0 if slide_map is None else max(slide_map.rows, slide_map.columns)


def _named_nodes(
    nodes: NodeTable,
    naming: Naming,
    slide_map: SlideMap | None,
    pitch_px: float,
    working: WorkingPicture,
) -> list[NamedNode]:
    """The places where a core is expected or was seen, in full-resolution pixels."""
    named = []
    for name, (row, column) in sorted(naming.places.items()):
        is_expected = slide_map is None or slide_map.expects_tissue(name)
        if not is_expected and nodes.tissue[row, column] <= 0:
            continue
        found, predicted = nodes.found[row, column], nodes.predicted[row, column]
        entry = None if slide_map is None else slide_map.entries.get(name)
        named.append(
            NamedNode(
                name=name,
                found_xy=(working.to_full(found[0]), working.to_full(found[1])),
                predicted_xy=(working.to_full(predicted[0]), working.to_full(predicted[1])),
                tissue_ratio=float(nodes.tissue[row, column]),
                is_expected=is_expected,
                in_scan=bool(nodes.in_scan[row, column]),
                label=None if entry is None else entry.score,
                source=PlaceSource.INFERRED if slide_map is None else PlaceSource.AUTO,
                pitch_px=pitch_px * working.shrink,
            )
        )
    return named


def _core_grid(
    picture: SlidePicture,
    shrink: int,
    white: WhiteBalance,
    lattice: Lattice,
    naming: Naming,
    cores: Sequence[TissueCore],
) -> CoreGrid:
    vectors = lattice.nodes.vectors
    red, green, blue = (float(level) for level in white.white)
    return CoreGrid(
        rows=naming.rows,
        columns=naming.columns,
        layout=(Block(first_row=0, first_column=0, rows=naming.rows, columns=naming.columns),),
        orientation=naming.orientation,
        placement_margin=naming.margin,
        needs_confirmation=bool(naming.reasons),
        reasons=naming.reasons,
        names_from="map" if naming.is_by_map else "grid",
        candidates=naming.candidates,
        pixel_size_um=picture.pixel_size_um,
        diameter_px=float(np.median([core.diameter_px for core in cores])),
        pitch_px=(
            float(np.hypot(*vectors.along_row)) * shrink,
            float(np.hypot(*vectors.down_column)) * shrink,
        ),
        tilt_deg=lattice.tilt_deg,
        white=(red, green, blue),
        research_use_only=RESEARCH_USE_ONLY,
    )
