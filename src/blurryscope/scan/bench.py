"""Measurements at single places of the slide: moves and stops, with the light evened out."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.errors import InputError
from blurryscope.devices.contracts import StagePoint
from blurryscope.scan.appearance_fit import FlatField, sharpness
from blurryscope.scan.calibration import BacklashCheck, HomeCheck
from blurryscope.scan.displacement import Displacement, Search, detail, find_displacement
from blurryscope.scan.drive import RUN_UP_UM, SETTLE_S, Microscope, approach, picture_at
from blurryscope.scan.optical_fit import PixelFit, fit_pixels, peak_of

REMEDY = "Put a slide with tissue under the lens, in focus, and calibrate again"
_FIRST_STEP_UM = 40.0
"""Small enough to stay in view whatever the magnification may be."""
_FIRST_REACH = 0.3
"""Share of the frame's short side that the first step may show as."""
_CROSS_FRACTION = 0.3
"""Of the field's short side: the arms of the cross of moves and stops."""
_CROSS = (
    (1, 0), (-1, 0), (0, 1), (0, -1), (0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5), (0.7, 0.7),
)  # fmt: skip
_HOME_REACH_PX = 60
_FOCUS_TRIES = 3
_LEAST_FOCUS_CONTRAST = 0.3
"""Share by which sharpness must fall within the search; a few percent are noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusSearch:
    """How the focus is looked for."""

    start_um: float = 0.0
    """z where the slide is about in focus."""
    reach_um: float = 60.0
    """How far above and below."""
    step_um: float = 10.0
    is_expected: bool = True
    """False for a lens to which the height makes no difference, as the simulated rig's."""

    def heights_um(self, middle_um: float, low_um: float, high_um: float) -> NDArray[np.float64]:
        """The heights to look at around a middle, within the limits."""
        count = round(self.reach_um / self.step_um)
        heights = middle_um + self.step_um * np.arange(-count, count + 1)
        return np.asarray(heights[(heights >= low_um) & (heights <= high_um)], np.float64)


class Bench:
    """Measures at single places, with the light evened out."""

    def __init__(self, scope: Microscope, flat: FlatField) -> None:
        self._scope = scope
        self._flat = flat.luma()

    def seen_at(self, place: StagePoint, run_up_um: float = RUN_UP_UM) -> NDArray[np.float32]:
        """The detail of a picture at a place, approached from below."""
        return detail(picture_at(self._scope, place, run_up_um).luma(), self._flat)

    def focus_at(
        self, place: StagePoint, search: FocusSearch, *, portrait: bool
    ) -> StagePoint | None:
        """Run through the focus and give the place at the sharpest z.

        None where z makes no difference to the picture; without a z axis the place stays as it is.
        Looks further where the sharpest lies at an end; an `InputError` when that does not help.
        """
        limits = self._scope.stage.limits
        if limits.lowest.z_um == limits.highest.z_um:
            return place
        middle_um = place.z_um
        for _ in range(_FOCUS_TRIES):
            zs = search.heights_um(middle_um, limits.lowest.z_um, limits.highest.z_um)
            values = np.array([self._sharpness_at(place, z_um, portrait) for z_um in zs])
            if values.min() > (1 - _LEAST_FOCUS_CONTRAST) * values.max():
                return None
            try:
                return replace(place, z_um=peak_of(zs, values)[0])
            except ValueError:
                middle_um = float(zs[int(values.argmax())])
        raise InputError(
            f"the stage at x {place.x_um:.0f}, y {place.y_um:.0f} µm",
            f"no focus was found around z {place.z_um:.0f} µm",
            "Focus by eye, write the z into rig.toml, and calibrate again",
        )

    def _sharpness_at(self, place: StagePoint, z_um: float, portrait: bool) -> float:
        approach(self._scope, replace(place, z_um=float(z_um)))
        self._scope.clock.sleep(SETTLE_S)
        return sharpness(self._scope.camera.grab().luma(), self._flat, along_rows=portrait)

    def cross(self, target: StagePoint) -> PixelFit:
        """Pixel size and rotation from moves and stops: first small ones, then wide ones."""
        short_px = min(self._flat.shape)
        reach = round(_FIRST_REACH * short_px)
        wide = Search(reach_x_px=reach, reach_y_px=reach)
        rough = self._cross_of(target, _FIRST_STEP_UM, lambda _: wide)
        arm_um = _CROSS_FRACTION * short_px * rough.pixel_size_um

        def expected(step: tuple[float, float]) -> Search:
            x_px, y_px = rough.displacement_px(*step)
            return Search(x_px=x_px, y_px=y_px, reach_x_px=24, reach_y_px=24)

        return self._cross_of(target, arm_um, expected)

    def _cross_of(
        self,
        target: StagePoint,
        arm_um: float,
        search: Callable[[tuple[float, float]], Search],
    ) -> PixelFit:
        steps: list[tuple[float, float]] = []
        moved: list[tuple[float, float]] = []
        for x, y in _CROSS:
            step = (x * arm_um, y * arm_um)
            there = replace(target, x_um=target.x_um + step[0], y_um=target.y_um + step[1])
            middle = self.seen_at(target)  # each time anew, for stages wander
            found = find_displacement(middle, self.seen_at(there), search(step))
            if found is not None:
                steps.append(step)
                moved.append((found.x_px, found.y_px))
        try:
            fit = fit_pixels(steps, moved)
        except ValueError as error:
            raise InputError(
                f"the stage at x {target.x_um:.0f}, y {target.y_um:.0f} µm",
                f"only {len(steps)} of {len(_CROSS)} moves were seen in the pictures",
                REMEDY,
            ) from error
        if fit.is_mirrored:
            raise InputError(
                self._scope.camera.name,
                "shows the slide mirrored against the stage",
                "Reverse one axis of the stage, or switch off the mirror of the camera",
            )
        return fit

    def backlash(self, target: StagePoint, cross: PixelFit, count: int) -> BacklashCheck:
        """Approach a place from both sides, several times."""
        found_um = []
        for _ in range(count):
            from_left = self.seen_at(target)
            from_right = self.seen_at(target, run_up_um=-RUN_UP_UM)
            found = find_displacement(from_left, from_right, Search())
            if found is not None:
                found_um.append(cross.step_um(found.x_px, found.y_px)[0])
        if not found_um:
            raise InputError("the backlash", "could not be seen", REMEDY)
        return BacklashCheck(
            backlash_um=max(float(np.mean(found_um)), 0.0),
            spread_um=float(np.std(found_um)),
            count=len(found_um),
        )

    def home_again(self, target: StagePoint, cross: PixelFit) -> HomeCheck:
        """Home once more and see whether the target is still where it was."""
        before = self.seen_at(target)
        self._scope.stage.home()
        reach = Search(reach_x_px=_HOME_REACH_PX, reach_y_px=_HOME_REACH_PX)
        found = find_displacement(before, self.seen_at(target), reach)
        if found is None:
            return HomeCheck(repeatability_um=0.0, was_seen=False)
        return HomeCheck(repeatability_um=_length_um(found, cross), was_seen=True)


def _length_um(found: Displacement, cross: PixelFit) -> float:
    return float(np.hypot(*cross.step_um(found.x_px, found.y_px)))
