"""The whole microscope in space, bought parts as plain bodies, to see what comes near what."""

from build123d import Align, Box, Compound, Cylinder, Part, Pos, Rot

from hardware.dimensions import Dimensions
from hardware.parts import (
    ON_FLOOR,
    condenser,
    cross_bracket,
    objective_tube,
    slide_holder,
    tube_clamp,
)


def linear_module(length: float, carriage_at: float, sizes: Dimensions) -> Part:
    """A linear module along X on its foot, from its near end at X = 0; the motor is beyond."""
    low = sizes.module_height - 10
    near = (Align.MIN, Align.CENTER, Align.MIN)
    part = Box(length, sizes.module_width, low, align=near)
    carriage = Box(sizes.carriage_side, sizes.carriage_side, 10, align=ON_FLOOR)
    part += Pos(carriage_at, 0, low) * carriage
    motor = Box(sizes.motor_length, sizes.motor_side, sizes.motor_side - 8, align=near)
    return part + Pos(length, 0, 0) * motor


def moving_parts(sizes: Dimensions, x: float = 0.0, y: float = 0.0) -> dict[str, Part]:
    """What carries the slide, with its middle `x`, `y` away from the optical axis."""
    foot_x = sizes.holder_bottom - sizes.module_height
    length = sizes.x_module_length
    row = sizes.arm_reach + y
    slide = Box(sizes.slide_length, sizes.slide_width, sizes.slide_thickness, align=ON_FLOOR)
    module = linear_module(length, length / 2 + x, sizes)
    return {
        "slide-holder": Pos(x, y, 0) * slide_holder(sizes),
        "slide": Pos(x, y, 0) * slide,
        "x-module": Pos(-length / 2, row, foot_x) * module,
        "cross-bracket": Pos(0, row, foot_x - sizes.bracket_thickness) * cross_bracket(sizes),
    }


def y_module(sizes: Dimensions, y: float = 0.0) -> Part:
    """The module that carries all that; its near end keeps clear of the condenser."""
    near = y_module_near(sizes)
    module = linear_module(sizes.short_module_length, sizes.arm_reach + y - near, sizes)
    return Pos(0, near, sizes.base_top) * (Rot(0, 0, 90) * module)


def y_module_near(sizes: Dimensions) -> float:
    """Y of its near end: half the ends, half the carriage and half the travel before its middle."""
    before = sizes.module_ends / 2 + sizes.carriage_side / 2 + sizes.travel_y / 2
    return sizes.arm_reach - before


def fixed_parts(sizes: Dimensions, z: float = 0.0) -> dict[str, Part]:
    """What stands on the base; `z` is the focus, upwards."""
    shoulder = sizes.parfocal + sizes.slide_thickness + z
    objective = Cylinder(sizes.objective_diameter / 2, 37, align=ON_FLOOR)
    clamp_at = shoulder + 40
    face = -sizes.clamp_reach
    module = linear_module(sizes.short_module_length, sizes.short_module_length / 2 + z, sizes)
    upright = Rot(0, 0, -90) * (Rot(0, -90, 0) * module)
    middle = sizes.parfocal + sizes.slide_thickness + 40 + sizes.carriage_side / 2
    side, tall = sizes.profile_side, sizes.profile_length
    profile = Box(side, side, tall, align=ON_FLOOR)
    behind = face - sizes.module_height - side / 2
    plate = Box(*sizes.base, align=(Align.CENTER, Align.CENTER, Align.MAX))
    lens = Cylinder(sizes.lens_diameter / 2, sizes.lens_height, align=ON_FLOOR)
    lens_floor = sizes.base_top + sizes.condenser_height - sizes.lens_depth
    return {
        "base": Pos(0, sizes.base[1] / 2 - 130, sizes.base_top) * plate,
        "condenser": Pos(0, 0, sizes.base_top) * condenser(sizes),
        "lens": Pos(0, 0, lens_floor) * lens,
        "objective": Pos(0, 0, shoulder - 37) * objective,
        "objective-tube": Pos(0, 0, shoulder) * objective_tube(sizes),
        "tube-clamp": Pos(0, 0, clamp_at) * tube_clamp(sizes),
        "z-module": Pos(0, face - sizes.module_height, middle - sizes.short_module_length / 2)
        * upright,
        "left-profile": Pos(-side / 2, behind, sizes.base_top) * profile,
        "right-profile": Pos(side / 2, behind, sizes.base_top) * profile,
    }


def microscope(sizes: Dimensions) -> Compound:
    """Everything, in the middle of its travels."""
    parts = {**fixed_parts(sizes), **moving_parts(sizes), "y-module": y_module(sizes)}
    return Compound(label="microscope", children=list(parts.values()))


def clearance(sizes: Dimensions, x: float, y: float, z: float = 0.0) -> tuple[float, str]:
    """The smallest distance in mm between what moves in X and Y and what does not, and where."""
    fixed = fixed_parts(sizes, z)
    moving = moving_parts(sizes, x, y)
    return min(
        (a.distance_to(b), f"{a_name} and {b_name}")
        for a_name, a in moving.items()
        for b_name, b in fixed.items()
    )
