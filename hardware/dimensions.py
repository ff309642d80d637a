"""Every measure of the microscope, in one place, in mm. Measure what you bought and change it here.

X runs along the lanes, to the left of somebody who sits before it, Y across them towards the user,
Z up. Zero is where the optical axis meets the ledge on which the slide lies.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimensions:
    """Bought parts first, then what is printed around them."""

    slide_length: float = 76.0
    slide_width: float = 26.0
    slide_thickness: float = 1.0
    travel_x: float = 76.0
    travel_y: float = 26.0

    carriage_side: float = 50.0
    """The carriage of a linear module is a square plate."""
    carriage_holes: float = 36.0
    """Distance of its four threaded holes."""
    module_width: float = 50.0
    module_height: float = 40.0
    """From the foot to the top of the carriage."""
    module_ends: float = 60.0
    """How much longer than its travel plus its carriage a module is, without the motor."""
    motor_side: float = 42.3
    motor_length: float = 40.0

    objective_diameter: float = 24.0
    objective_thread: float = 20.32
    """RMS: 0.8 inch, 36 threads an inch."""
    parfocal: float = 45.0
    """From the slide to the shoulder of the objective."""
    tube_length: float = 160.0
    """From the shoulder to the rim on which the camera rests (DIN)."""
    camera_diameter: float = 23.2
    lens_diameter: float = 20.0
    lens_height: float = 8.0
    """From its flat side to the top of its round one; it must not rise above the condenser."""
    diffuser_thickness: float = 2.0
    star_diameter: float = 20.0
    """The LED's star board."""
    condenser_gap: float = 3.0
    """Between the condenser and the moving slide holder."""

    screw_hole: float = 3.4
    """For M3, with play."""
    wall: float = 3.0
    play: float = 0.2
    """Between a printed bore and what goes into it."""

    holder_thickness: float = 8.0
    ledge: float = 2.0
    """How far the slide rests on its holder along its rim."""
    arm_reach: float = 90.0
    """From the optical axis to the middle of the X carriage."""
    tube_outer: float = 30.0
    clamp_height: float = 30.0
    clamp_reach: float = 62.0
    """From the optical axis to the face of the Z carriage."""

    base: tuple[float, float, float] = (300.0, 360.0, 8.0)
    profile_side: float = 20.0
    profile_length: float = 300.0
    bracket_thickness: float = 8.0

    @property
    def holder_bottom(self) -> float:
        """The slide lies 2 mm below the upper face of its holder, at Z = 0."""
        return 2.0 - self.holder_thickness

    @property
    def base_top(self) -> float:
        """Z of the base: under holder, X module, cross bracket and Y module."""
        return self.holder_bottom - 2 * self.module_height - self.bracket_thickness

    @property
    def condenser_height(self) -> float:
        return self.holder_bottom - self.condenser_gap - self.base_top

    @property
    def lens_depth(self) -> float:
        """The flat side of the lens lies so far below the rim of the condenser."""
        return self.lens_height + 0.5

    @property
    def x_module_length(self) -> float:
        return 100.0 + self.carriage_side + self.module_ends

    @property
    def short_module_length(self) -> float:
        return 50.0 + self.carriage_side + self.module_ends
