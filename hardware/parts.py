"""The printed parts, drawn by code: change `dimensions.py` and make them again."""

from build123d import (
    Align,
    Axis,
    Box,
    Cone,
    Cylinder,
    GridLocations,
    Locations,
    Part,
    Pos,
    Rot,
    chamfer,
    fillet,
)

from hardware.dimensions import Dimensions

ON_FLOOR = (Align.CENTER, Align.CENTER, Align.MIN)
FROM_BACK = (Align.CENTER, Align.MIN, Align.MIN)


def slide_holder(sizes: Dimensions) -> Part:
    """A frame for the slide at the end of an arm that is screwed onto the X carriage.

    The slide lies on a ledge; a springy finger presses it against the other end.
    """
    thick = sizes.holder_thickness
    bottom = sizes.holder_bottom
    pocket_x = sizes.slide_length + sizes.play
    pocket_y = sizes.slide_width + sizes.play
    frame_x, frame_y = pocket_x + 8 * sizes.wall, pocket_y + 4 * sizes.wall
    part = Pos(0, 0, bottom) * Box(frame_x, frame_y, thick, align=ON_FLOOR)
    arm_end = sizes.arm_reach + sizes.carriage_side / 2
    arm = Box(sizes.carriage_side, arm_end, thick, align=FROM_BACK)
    part += Pos(0, 0, bottom) * arm
    part = fillet(part.edges().filter_by(Axis.Z), 4)
    part -= Box(pocket_x, pocket_y, 10, align=ON_FLOOR)
    part -= Box(pocket_x - 2 * sizes.ledge, pocket_y - 2 * sizes.ledge, 40)
    part -= _finger_slots(pocket_x, sizes)
    nose = Cylinder(1.2, thick, align=ON_FLOOR)
    part += Pos(pocket_x / 2 + 0.5, 3 - sizes.slide_width / 2, bottom) * nose
    holes = Cylinder(sizes.screw_hole / 2, 40)
    part -= Pos(0, sizes.arm_reach, 0) * (GridLocations(*[sizes.carriage_holes] * 2, 2, 2) * holes)
    return part


def _finger_slots(pocket_x: float, sizes: Dimensions) -> Part:
    """Cut a finger free at the right end of the frame, 1.6 mm thick; its nose presses the slide."""
    right = pocket_x / 2
    lower = 1.5 - sizes.slide_width / 2
    above = (Align.CENTER, Align.MIN, Align.CENTER)
    behind = Pos(right + 2.8, lower, 0) * Box(2.4, 20, 40, align=above)
    before = Pos(right - sizes.ledge / 2, lower, 0) * Box(sizes.ledge + 0.01, 20, 40, align=above)
    end_align = (Align.MIN, Align.MAX, Align.CENTER)
    end = Pos(right - sizes.ledge, lower, 0) * Box(sizes.ledge + 4, 1.2, 40, align=end_align)
    return behind + before + end


def cross_bracket(sizes: Dimensions) -> Part:
    """The plate between the Y carriage below and the foot of the X module above."""
    length = sizes.carriage_side + 50
    part = Box(length, sizes.carriage_side, sizes.bracket_thickness, align=ON_FLOOR)
    part = fillet(part.edges().filter_by(Axis.Z), 4)
    hole = Cylinder(sizes.screw_hole / 2, 40)
    head = Cylinder(3.4, 10, align=ON_FLOOR)
    lower = GridLocations(*[sizes.carriage_holes] * 2, 2, 2)
    part -= lower * hole
    part -= Pos(0, 0, 4) * (lower * head)
    upper = GridLocations(length - 14, sizes.module_width - 20, 2, 2)
    part -= upper * Box(3.4, 8, 40)  # slots: the X module is squared to Y before they are tightened
    return part


def objective_tube(sizes: Dimensions) -> Part:
    """From the objective to the camera: 160 mm, stepped inside against stray light.

    It stands on its lower rim. The thread of the objective cuts itself into the lower bore.
    """
    outer = sizes.tube_outer / 2
    part = Cylinder(outer, sizes.tube_length, align=ON_FLOOR)
    part = chamfer(part.edges().group_by(Axis.Z)[-1], 1)
    part -= Cylinder((sizes.objective_thread - 0.6) / 2, sizes.tube_length, align=ON_FLOOR)
    seat = sizes.camera_diameter + 2 * sizes.play
    part -= Pos(0, 0, sizes.tube_length - 35) * Cylinder(seat / 2, 50, align=ON_FLOOR)
    steps = range(12, int(sizes.tube_length) - 42, 8)
    part -= Locations(*[(0, 0, float(height)) for height in steps]) * _groove(sizes)
    screw = Rot(0, 90, 0) * Cylinder(1.25, 60)  # M3 cuts its thread: holds the camera
    return part - Pos(0, 0, sizes.tube_length - 18) * screw


def _groove(sizes: Dimensions) -> Part:
    """Cut round the inside of the tube; its ceiling rises at 45°, which prints without support."""
    bottom = sizes.tube_outer / 2 - 2.4
    bore = (sizes.objective_thread - 0.6) / 2
    roof = Cone(bottom, bore, bottom - bore, align=ON_FLOOR)
    return Cylinder(bottom, 1.2, align=ON_FLOOR) + Pos(0, 0, 1.2) * roof


def tube_clamp(sizes: Dimensions) -> Part:
    """Holds the tube before the Z carriage; slides along it for the first focus.

    Ring, arm and plate stand on one floor, so that it prints as it stands.
    """
    bore = sizes.tube_outer / 2 + sizes.play / 2
    ring = bore + 6
    height = sizes.clamp_height
    plate = 8.0
    part = Cylinder(ring, height, align=ON_FLOOR)
    arm = Box(24, sizes.clamp_reach, height, align=(Align.CENTER, Align.MAX, Align.MIN))
    part += arm
    back = Box(sizes.carriage_side, plate, sizes.carriage_side, align=FROM_BACK)
    part += Pos(0, -sizes.clamp_reach, 0) * back
    part += Pos(0, ring + 4, 0) * Box(16, 16, height, align=ON_FLOOR)
    part -= Cylinder(bore, height * 3)
    part -= Pos(0, ring + 4, 0) * Box(2, 30, height * 3)
    bolt = Rot(0, 90, 0) * Cylinder(sizes.screw_hole / 2, 40)
    part -= Locations((0, ring + 7, 8), (0, ring + 7, height - 8)) * bolt
    hole = Rot(90, 0, 0) * Cylinder(sizes.screw_hole / 2, 60)
    middle = sizes.carriage_side / 2
    part -= Pos(0, -sizes.clamp_reach, middle) * _four(hole, sizes.carriage_holes)
    return part


def _four(hole: Part, spacing: float) -> Part:
    half = spacing / 2
    places = [(x, 0.0, z) for x in (-half, half) for z in (-half, half)]
    return Part() + Locations(*places) * hole


def condenser(sizes: Dimensions) -> Part:
    """The lamp's post: star board below, diffuser and lens on top, just under the slide holder."""
    height = sizes.condenser_height
    outer = sizes.lens_diameter / 2 + 7
    part = Cylinder(outer, height, align=ON_FLOOR)
    part += Box(60, 40, 5, align=ON_FLOOR)
    part -= Pos(0, 0, 5) * Cylinder(sizes.lens_diameter / 2 - 2, height, align=ON_FLOOR)
    seat = sizes.lens_diameter / 2 + sizes.play
    depth = sizes.lens_depth + sizes.diffuser_thickness
    part -= Pos(0, 0, height - depth) * Cylinder(seat, depth + 1, align=ON_FLOOR)
    star = Box(sizes.star_diameter + 2, outer * 3, 26, align=(Align.CENTER, Align.MAX, Align.MIN))
    shelf = height - depth - 41.5
    star += Pos(0, 0, 26) * _gable(sizes.star_diameter + 2, outer * 3)
    part -= Pos(0, sizes.star_diameter / 2 + 1, shelf) * star  # the star's heat sink slides in
    part -= Locations((-24, 0, 0), (24, 0, 0)) * Cylinder(2.7, 20)
    return part


def _gable(width: float, depth: float) -> Part:
    """A roof of 45° over an opening: it prints without support."""
    side = width / 2**0.5
    beam = Box(side, depth, side, align=(Align.CENTER, Align.MAX, Align.CENTER))
    return Rot(0, 45, 0) * beam


def switch_bracket(sizes: Dimensions) -> Part:
    """Holds a limit switch beside a module, with a slot to set where it closes."""
    part = Box(30, 12, 4, align=ON_FLOOR) + Pos(13, 0, 0) * Box(4, 12, 22, align=ON_FLOOR)
    part -= Pos(-4, 0, 0) * Box(14, sizes.screw_hole, 20)
    pin = Rot(0, 90, 0) * Cylinder(1.1, 20)  # M2.5 cuts its thread; 9.5 mm: the micro switch
    return part - Locations((13, -4.75, 15), (13, 4.75, 15)) * pin


def electronics_tray(sizes: Dimensions) -> Part:
    """Carries the board; slots for ties take the pull off the cables."""
    part = Box(130, 90, 3, align=ON_FLOOR)
    part = fillet(part.edges().filter_by(Axis.Z), 5)
    post = Cylinder(4, 9, align=ON_FLOOR)
    posts = GridLocations(108, 62, 2, 2)
    part += posts * post
    part -= posts * Cylinder(1.25, 60)
    part -= GridLocations(120, 78, 2, 2) * Cylinder(sizes.screw_hole / 2, 20)
    return part - Pos(0, -40, 0) * (GridLocations(20, 0, 5, 1) * Box(6, 3, 20))


PRINTED = {
    "slide-holder": slide_holder,
    "cross-bracket": cross_bracket,
    "objective-tube": objective_tube,
    "tube-clamp": tube_clamp,
    "condenser": condenser,
    "switch-bracket": switch_bracket,
    "electronics-tray": electronics_tray,
}
"""Every printed part by the name of its files; the switch bracket is needed three times."""
