"""The learning rate as a function of where a run is, so that nothing has to be remembered."""

import math

from blurryscope.classify.training_config import OptimiserConfig, TrainingConfig

_WARM_UP_FRACTION = 0.3
_START_DIVISOR = 25.0
_END_DIVISOR = 25.0 * 1e4
"""The one-cycle schedule of Smith 2018 with torch's defaults."""


def learning_rate(config: TrainingConfig, epoch: int, fraction: float) -> float:
    """In epoch `epoch`, counted from 0, after `fraction` of its steps."""
    optimiser = config.optimiser
    if optimiser.schedule == "cosine-restarts":
        return _cosine_with_restarts(optimiser, epoch)
    if optimiser.schedule == "one-cycle":
        return _one_cycle(optimiser.learning_rate, (epoch + fraction) / config.run.epochs)
    return optimiser.learning_rate


def _cosine_with_restarts(optimiser: OptimiserConfig, epoch: int) -> float:
    """From the full rate to nearly nothing, again and again, each cycle longer (SGDR).

    It changes from epoch to epoch, not within one: restarts after 2, 6, 14, 30 … epochs.
    """
    length, begun = optimiser.first_cycle_epochs, 0
    while epoch >= begun + length:
        begun += length
        length *= optimiser.cycle_factor
    return optimiser.learning_rate * (1 + math.cos(math.pi * (epoch - begun) / length)) / 2


def _one_cycle(peak: float, done: float) -> float:
    """Up to the peak over 30 % of the run, then down, both along a cosine."""
    if done < _WARM_UP_FRACTION:
        return _between(peak / _START_DIVISOR, peak, done / _WARM_UP_FRACTION)
    rest = (done - _WARM_UP_FRACTION) / (1 - _WARM_UP_FRACTION)
    return _between(peak, peak / _END_DIVISOR, rest)


def _between(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2
