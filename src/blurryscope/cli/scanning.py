"""The commands that drive the microscope: plan, calibrate, scan."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blurryscope.basics.errors import InputError
from blurryscope.cli.app import app

if TYPE_CHECKING:
    from blurryscope.scan.plan import ScanPlan

PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="What to scan: plan.toml.")]
Pictures = Annotated[
    Path | None, typer.Option("--pictures", help="Folder for a picture of each slide's plan.")
]


@app.command()
def plan(plan_path: PlanFile, pictures: Pictures = None) -> None:
    """Show what a plan costs and yields, or why it cannot work. Nothing moves.

    Example: blurryscope plan plan.toml --pictures plans
    """
    from blurryscope.artifacts.whole import write_text_whole
    from blurryscope.scan.plan_file import read_plan
    from blurryscope.scan.plan_picture import plan_picture
    from blurryscope.scan.refusals import refuse

    order = read_plan(plan_path)
    if order.field is None:
        raise InputError(
            f"{plan_path}, field",
            "nothing says what the camera sees",
            "Calibrate first (blurryscope calibrate), or guess in [field]",
        )
    for slide in order.slides:
        each = order.plan_of(slide, order.field, acceleration_um_per_s2=100_000.0)
        refuse(f"{plan_path}, {slide.name}", each, most_blur_um=order.most_blur_um)
        _show(slide.name, each, slide.repeats)
        if pictures is not None:
            target = pictures / f"{slide.name}.svg"
            write_text_whole(target, plan_picture(each, slide.name, None, slide.focus_um))
            print(f"picture: {target}")


def _show(name: str, plan: "ScanPlan", repeats: int) -> None:
    from blurryscope.scan.estimate import PAPER_MM2_PER_S, throughput

    rows = throughput(plan)
    told = rows[0][2]
    field, stated = plan.field, "measured" if plan.field.is_measured else "assumed, not measured"
    print(f"{name}: {plan.area.width_um / 1000:g} x {plan.area.height_um / 1000:g} mm")
    print(f"  field     {field.along_um:.0f} x {field.across_um:.0f} µm ({stated})")
    print(
        f"  lanes     {plan.lane_count}, pitch {plan.lane_pitch_um:.1f} µm, overlap "
        f"{told.lane_overlap_fraction:.0%}, run-up {plan.over_travel_um:.0f} µm"
    )
    print(f"  blur      {told.blur_um:.0f} µm = {told.blur_px[0]:.0f} to {told.blur_px[1]:.0f} px")
    print(
        f"  time      {told.duration_s / 60:.1f} min a scan, {repeats} scans, "
        f"{told.mm2_per_s:.2f} mm²/s"
    )
    print(
        f"  data      {told.frame_count} frames, film about {told.film_bytes / 1e9:.2f} GB, "
        f"mosaic {told.mosaic_px / 1e6:.0f} Mpx"
    )
    print(f"  the same area with other lenses (the paper says {PAPER_MM2_PER_S:g} mm²/s):")
    for label, each, other in rows[1:]:
        print(
            f"    {label:<36} pitch {each.lane_pitch_um:4.0f} µm {other.duration_s / 60:6.1f} min "
            f"{other.mm2_per_s:5.2f} mm²/s"
        )
