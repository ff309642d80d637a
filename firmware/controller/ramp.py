"""When each step of a move falls: a trapezoid from rest to rest, in ticks of the pulse generator.

With the lead axis' N steps, rate v and acceleration a, and f ticks a second, step s is due at
f·sqrt(2s/a) on the way up, f·(v/2a + s/v) in cruise, and mirrored on the way down. Rates and
accelerations are in thousandths of a step, so that whole numbers carry enough digits.
"""

from controller.integers import integer_root

TICKS_PER_S = 5_000_000
"""An integer divider of both 125 MHz (RP2040) and 150 MHz (RP2350); 8,000 steps/s are exactly 625
ticks."""


class Ramp:
    """The times of `steps` steps at up to `rate` with `acceleration`, both in steps/1000."""

    def __init__(self, steps: int, rate: int, acceleration: int) -> None:
        self.steps = steps
        self.rate = rate
        self.acceleration = acceleration
        self.ramp_steps = rate * rate // (2000 * acceleration)
        self.has_cruise = 2 * self.ramp_steps < steps
        if self.has_cruise:
            self.ticks = (
                TICKS_PER_S * (rate * rate + 1000 * steps * acceleration) // (acceleration * rate)
            )
        else:
            self.ramp_steps = steps // 2
            self.ticks = integer_root(4000 * steps * TICKS_PER_S * TICKS_PER_S // acceleration)

    def ticks_at(self, step: int) -> int:
        """Ticks from the start until `step` steps are made."""
        if step >= self.steps:
            return self.ticks
        if step <= self.ramp_steps:
            return self._climb(step)
        if step >= self.steps - self.ramp_steps:
            return self.ticks - self._climb(self.steps - step)
        rate = self.rate
        return (
            TICKS_PER_S
            * (rate * rate + 2000 * step * self.acceleration)
            // (2 * self.acceleration * rate)
        )

    def step_at(self, ticks: int) -> int:
        """Steps made after `ticks`, to within one."""
        if ticks >= self.ticks:
            return self.steps
        up = self._climbed(ticks)
        if up <= self.ramp_steps:
            return up
        down = self._climbed(self.ticks - ticks)
        if down <= self.ramp_steps:
            return self.steps - down
        rate = self.rate
        cruise = 2 * self.acceleration * rate * ticks // TICKS_PER_S - rate * rate
        return max(cruise // (2000 * self.acceleration), self.ramp_steps)

    def brake_steps(self, step: int) -> int:
        """Steps that it takes to come to rest from `step`."""
        return min(step, self.ramp_steps, self.steps - step)

    def _climb(self, step: int) -> int:
        return integer_root(2000 * step * TICKS_PER_S * TICKS_PER_S // self.acceleration)

    def _climbed(self, ticks: int) -> int:
        return self.acceleration * ticks * ticks // (2000 * TICKS_PER_S * TICKS_PER_S)


class Braking:
    """The times of the last `steps` steps before rest, from the speed that they just stop."""

    def __init__(self, steps: int, acceleration: int) -> None:
        self._whole = Ramp(2 * steps, 2_000_000_000, acceleration)
        self.steps = steps
        self._start = self._whole.ticks_at(steps)

    def ticks_at(self, step: int) -> int:
        return self._whole.ticks_at(self.steps + step) - self._start

    def step_at(self, ticks: int) -> int:
        return self._whole.step_at(self._start + ticks) - self.steps

    def brake_steps(self, step: int) -> int:
        return self.steps - step
