"""Naming put to the test on simulated slides: wrong names, losses not told, questions asked.

    python benchmarks/bench_dearray_trials.py [--trials N] [--first SEED]

Every slide has a random design (one to three blocks) and random damage. There must be no slide
below 98 % right that nobody would be asked about.
"""

import argparse
import time

import numpy as np

from blurryscope.basics.errors import InputError
from blurryscope.tma.find import find_cores
from blurryscope.tma.toy_trials import Verdict, judged, random_trial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    verdicts: list[Verdict] = []
    seconds: list[float] = []
    refused = 0
    for seed in range(options.first, options.first + options.trials):
        trial = random_trial(seed)
        start = time.process_time()
        try:
            found = find_cores(trial.picture, trial.slide_map, trial.settings)
        except InputError as error:
            refused += 1
            print(f"  slide {seed} refused: {error}")
            continue
        seconds.append(time.process_time() - start)
        verdict = judged(trial, found)
        verdicts.append(verdict)
        if verdict.wrong_names or verdict.untold_losses or verdict.is_asked:
            print(
                f"  slide {seed}: {verdict.core_count} cores, {verdict.wrong_names} wrong, "
                f"{verdict.untold_losses} losses untold"
                f"{', SILENT' if verdict.is_silent_error else ''}"
                f"{', asked: ' + found.grid.reasons[0] if verdict.is_asked else ''}"
            )
    sure = [verdict for verdict in verdicts if not verdict.is_asked]
    print(
        f"{len(verdicts)} slides, {sum(v.core_count for v in verdicts)} cores: "
        f"asked about {len(verdicts) - len(sure)}, refused {refused}; where nobody is asked "
        f"{sum(v.wrong_names for v in sure)} wrong names and "
        f"{sum(v.untold_losses for v in sure)} losses untold among "
        f"{sum(v.core_count for v in sure)} cores; silent errors "
        f"{sum(v.is_silent_error for v in verdicts)}; {np.median(seconds):.2f} s a slide"
    )


if __name__ == "__main__":
    main()
