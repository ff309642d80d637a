"""The command for first light: who answers, and what the camera sees."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blurryscope.basics.percent import percent
from blurryscope.cli.app import app
from blurryscope.cli.scanning import RigFile

if TYPE_CHECKING:
    from blurryscope.scan.first_look import FirstLook


@app.command()
def look(
    rig_name: RigFile,
    out: Annotated[Path, typer.Option("--out", help="Where the picture goes, a JPEG.")] = Path(
        "look.jpg"
    ),
    home: Annotated[
        bool, typer.Option("--home", help="Home first: the stage moves, and its lamp is lit.")
    ] = False,
) -> None:
    """Ask stage and camera who they are, and take a picture. Nothing moves without --home.

    Example: blurryscope look --rig rig.toml --home --out look.jpg
    """
    from blurryscope.artifacts.whole import refuse_unwritable_file, whole_file
    from blurryscope.devices.jpeg import to_jpeg
    from blurryscope.rig import load_rig
    from blurryscope.scan.first_look import advice, first_look

    rig = load_rig(rig_name)
    refuse_unwritable_file(out)
    with rig.opened() as scope:
        found = first_look(scope, homes=home)
    _show(found)
    with whole_file(out) as partial:
        partial.write_bytes(to_jpeg(found.picture))
    print(f"picture: {out}")
    for words in advice(found):
        print(f"  DOUBT: {words}")


def _show(found: "FirstLook") -> None:
    low, high = found.limits.lowest, found.limits.highest
    axes = ", ".join(
        f"{axis} {getattr(low, f'{axis}_um') / 1000:g} to {getattr(high, f'{axis}_um') / 1000:g}"
        for axis in "xyz"
    )
    homed = "homed" if found.status.is_homed else "not homed"
    print(f"stage:  {found.stage}, {homed}")
    print(f"        {axes} mm, at most {found.limits.speed_um_per_s / 1000:g} mm/s")
    if found.status.note:
        print(f"        says: {found.status.note}")
    has = found.settings
    parts = [f"{has.columns} x {has.rows}"]
    for value, words in (
        (has.frame_rate_hz, "{:g} Hz"),
        (None if has.exposure_s is None else has.exposure_s * 1000, "exposed for {:g} ms"),
        (has.gain, "gain {:g}"),
        (has.white_balance_k, "white balance {:g} K"),
    ):
        if value is not None:
            parts.append(words.format(value))
    print(f"camera: {found.camera}, {', '.join(parts)}")
    light = found.light
    print(
        f"light:  the brightest hundredth of the picture is at {light.brightest:.0f} of 255 or "
        f"above, {percent(light.white_fraction, 1)} at the top, the darkest corner has "
        f"{percent(light.corner_fraction)} of the light of the middle"
    )
