"""How far a stitched slide is from the truth of its scan.

    python benchmarks/against_truth.py DIR TRUTH.json [--limits plain|authentic|sound] [--json]

DIR is a slide's folder as `blurryscope run` or `blurryscope stitch` leave it: `frames.csv`, and
`cores.csv` if cores were looked for. TRUTH.json lies beside the film of a simulated scan. The
command ends with 1 if a limit is broken: those of placing are what is demanded of a plain scan, of
one like the authors' (the default), or what keeps cores whole; of cores that each is found within
a quarter of its diameter with its right label, and that missing ones are told so.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from blurryscope.artifacts.frame_places import read_frame_places
from blurryscope.artifacts.tissue_cores import read_tissue_cores
from blurryscope.basics.errors import BlurryScopeError
from blurryscope.evaluate.placement import (
    AUTHENTIC_LIMITS,
    PLAIN_LIMITS,
    SOUND_LIMITS,
    CoreFigures,
    Errors,
    PlacementFigures,
    broken_limits,
    measure_cores,
    measure_placement,
    read_truth,
    slide_fit,
)

_LIMITS = {"plain": PLAIN_LIMITS, "authentic": AUTHENTIC_LIMITS, "sound": SOUND_LIMITS}


def main() -> int:
    """Measure, print, and give 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="a slide's folder")
    parser.add_argument("truth", type=Path, help="the truth.json of its scan")
    parser.add_argument(
        "--limits", choices=_LIMITS, default="authentic", help="which ones are to hold"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    truth = read_truth(given.truth)
    places = read_frame_places(given.folder / "frames.csv")
    placement = measure_placement(places, truth)
    cores_file = given.folder / "cores.csv"
    cores = (
        measure_cores(read_tissue_cores(cores_file), truth, slide_fit(places, truth))
        if cores_file.is_file()
        else None
    )
    broken = broken_limits(placement, cores, _LIMITS[given.limits])
    if given.json:
        figures = {
            "placement": asdict(placement),
            "cores": None if cores is None else asdict(cores),
            "broken_limits": broken,
        }
        print(json.dumps(figures, indent=2))
    else:
        _print_placement(placement)
        _print_cores(cores)
        print("\nall limits hold" if not broken else "\nBROKEN: " + "; ".join(broken))
    return 1 if broken else 0


def _print_placement(placement: PlacementFigures) -> None:
    print(
        f"{placement.moving_count} frames in lanes, {placement.right_lane_fraction:.2%} of them "
        f"told in their lane; mosaic turned by {placement.turn_deg:+.3f} degrees"
    )
    print(f"\n{'distance to the truth, px':38}{'frames':>7}{'median':>9}{'95 %':>9}")
    _print_errors("within cores", placement.within_cores)
    _print_errors("within cores, rotation left in", placement.within_cores_unturned)
    for core in placement.each_core:
        _print_errors(f"  {core.core}", core.errors)
    _print_errors("beside cores, at their rims", placement.at_rims)
    _print_errors("over the slide, where there is tissue", placement.over_slide)


def _print_errors(title: str, errors: Errors) -> None:
    print(f"{title:38}{errors.count:7}{errors.median_px:9.2f}{errors.ninety_five_px:9.2f}")


def _print_cores(cores: CoreFigures | None) -> None:
    if cores is None:
        print("\nno cores.csv: cores are not judged")
        return
    print(f"\ncores found and rightly named: {len(cores.found)} of {cores.present_count}")
    print(f"missing cores told as missing: {len(cores.told_missing)} of {cores.missing_count}")
    for title, names in (("not found", cores.lost), ("not there", cores.invented)):
        if names:
            print(f"{title}: {', '.join(names)}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BlurryScopeError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
