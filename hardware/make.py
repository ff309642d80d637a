"""Make the printed parts: `python -m hardware.make` writes STEP, STL and drawings.

Needs the extra `hardware` (`pip install -e ".[hardware]"`).
"""

import argparse
from pathlib import Path

from build123d import export_step, export_stl

from hardware.assembly import microscope
from hardware.dimensions import Dimensions
from hardware.drawing import sheet, view_of, views_of
from hardware.parts import PRINTED

OBLIQUE = (900.0, 1100.0, 700.0)


def make_parts(out: Path, drawings: Path, sizes: Dimensions) -> list[Path]:
    """Write every printed part as STEP, STL and drawing; return the files."""
    written = []
    for name, build in PRINTED.items():
        part = build(sizes)
        step, stl, drawing = out / f"{name}.step", out / f"{name}.stl", drawings / f"{name}.svg"
        export_step(part, step)
        export_stl(part, stl, tolerance=0.05)
        drawing.write_text(sheet(name, views_of(part)), encoding="utf-8")
        written += [step, stl, drawing]
    return written


def make_microscope(out: Path, drawings: Path, sizes: Dimensions) -> list[Path]:
    """Write the whole microscope, bought parts as plain bodies, as STEP and as a picture."""
    whole = microscope(sizes)
    step, picture = out / "microscope.step", drawings / "microscope.svg"
    export_step(whole, step)
    view = view_of(whole, "from the front left", OBLIQUE, (0.0, 0.0, 1.0))
    picture.write_text(sheet("the microscope without its cables", [view]), encoding="utf-8")
    return [step, picture]


def main() -> None:
    """Read the command line and make everything."""
    parser = argparse.ArgumentParser(description="Make the printed parts of the microscope.")
    parser.add_argument("--out", type=Path, default=Path("printed"), help="folder for the files")
    parser.add_argument("--drawings", type=Path, help="another folder for the drawings")
    chosen = parser.parse_args()
    out, drawings = chosen.out, chosen.drawings or chosen.out
    for folder in (out, drawings):
        folder.mkdir(parents=True, exist_ok=True)
    sizes = Dimensions()
    for file in make_parts(out, drawings, sizes) + make_microscope(out, drawings, sizes):
        print(file)


if __name__ == "__main__":
    main()
