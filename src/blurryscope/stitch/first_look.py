"""The first look at where lanes lie: piece by piece, near enough for exact links to be found."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.expectations import Expectations
from blurryscope.stitch.film_so_far import FilmSoFar
from blurryscope.stitch.lane_links import LaneLinks, not_found_again
from blurryscope.stitch.layout import coarse_link_sigma_px
from blurryscope.stitch.links import Links, gathered, joined
from blurryscope.stitch.run_links import run_links
from blurryscope.stitch.solve import solve
from blurryscope.stitch.steps import Motion, UsualSteps, seen_steps, step_links
from blurryscope.stitch.trajectory import Trajectory

_ROUNDS = 5
"""Of a solve of later lanes: the first ones lie well already."""
_LOOKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLook:
    """Looks at some lanes in a row, where steps and tissue that both show say that they lie."""

    film: FilmSoFar
    motion: Motion
    """In the lanes that are looked at."""
    usual: UsualSteps
    expected: Expectations
    """Of all frames that are given a place."""

    def at_first_lanes(self, start: Trajectory, before: Links) -> tuple[Links, Trajectory]:
        """Look at all lanes that there are, with the turns known by now.

        Parameters
        ----------
        start
            The lanes, each by its own steps.
        before
            What links them across, as far as it was found before.

        Returns
        -------
        All links, and where the frames lie by them.
        """
        steps = gathered(step_links(self.motion, self.usual))
        expected = self._loosely_expected()
        nearly = solve(start, joined(steps, before), expected, fit_camera=False).trajectory
        # Lanes that were not linked lie near enough now for the faint tissue between rows of cores.
        again = self._linked_runs(nearly)
        # And what a second look falls short of by a hair, the first one found.
        links = joined(steps, again, not_found_again(before, again, steps.earlier))
        return links, solve(nearly, links, expected, fit_camera=False).trajectory

    def at_last_lane(
        self, window: Trajectory, known: LaneLinks, step_px: float, *, begins_as_told: bool
    ) -> Trajectory:
        """Look at the last of two lanes, whose links `known` gets; gives where the frames lie.

        Where frames were lost, parts of the lane lie a step or two from where they should: parts
        that are too far off to be found at once may be near enough when others have been moved.

        Parameters
        ----------
        window
            All lanes that may move by what is found, both lanes among them.
        step_px
            The stage's way from frame to frame.
        begins_as_told
            Whether to lay it first where its times say that it begins. Before that it lies where
            the last one ended, which over glass is known by the rhythm only: five steps from where
            the stage told that it set off.
        """
        last_alone = replace(self.motion, lanes=self.motion.lanes[-1:])
        own = gathered(step_links(last_alone, self.usual))
        steps = np.array(list(seen_steps(self.motion, self.usual)), np.int64)
        expected = self._loosely_expected()

        def solved_anew() -> Trajectory:
            links = known.within(window)
            return solve(window, links, expected, fit_camera=False, rounds=_ROUNDS).trajectory

        known.add(own)
        solved = solved_anew() if begins_as_told else window
        pieces = gathered([])
        first = int(window.lanes[-1]) - 1
        for _ in range(_LOOKS):
            here = solved.lanes >= first
            pair = solved.only(here)
            again = self._linked_runs(replace(pair, lanes=pair.lanes - first))
            # And what this look falls short of by a hair, an earlier one found.
            pieces = joined(again, not_found_again(pieces, again, steps))
            known.replace_last(joined(own, pieces))
            solved = solved_anew()
            moved_px = np.abs(solved.positions[here] - pair.positions)[:, 1]
            if not (moved_px[_is_in(own, pair)] > step_px / 2).any():
                break
        return solved

    def _linked_runs(self, beside: Trajectory) -> Links:
        """Links of the lanes run by run, where they lie now; numbered as in the motion."""
        film = self.film
        return gathered(
            run_links(beside, self.motion, self.usual, film.coarse, film.coarse_reduction)
        )

    def _loosely_expected(self) -> Expectations:
        """What is expected beside links of the first look, which are worth less than exact ones."""
        sigma_px = coarse_link_sigma_px(
            self.film.coarse_reduction, adds_up=self.expected.keeps_speed
        )
        return replace(self.expected, link_sigma_px=sigma_px, jerks_at_once=True)


def _is_in(links: Links, trajectory: Trajectory) -> NDArray[np.bool_]:
    """Which frames the links touch, (n,)."""
    return np.isin(trajectory.frames, np.concatenate([links.earlier, links.later]))
