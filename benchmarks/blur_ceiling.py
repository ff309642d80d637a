"""What motion blur leaves of the score: how well amounts of DAB tell it, without noise or camera.

Cores are drawn as training draws them. Of each the optical density of DAB is kept as it is and as a
box along x leaves it, and of that the shares of tissue beyond some levels and a few quantiles. A
small network learns the score from those alone, in six parts of which each is told by the other
five. It sees no picture, and sees the stain better than any camera; what it gets wrong is not the
fault of noise, white balance or pixels.

Example: python benchmarks/blur_ceiling.py --cores 800
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from blurryscope.basics.her2 import Score
from blurryscope.simulator.appearance import read_by_eye, trying_appearance
from blurryscope.simulator.core import draw_core

_BLURS_UM = (0, 20, 39)
_PIXEL_UM = 1.0
_LEVELS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
_QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
_FOLDS, _NETWORKS, _STEPS = 6, 3, 300
_SEED = 77


@dataclass(frozen=True, slots=True)
class Core:
    """A drawn core's score, and what is left of its stain by length of blur, µm."""

    score: int
    amounts: dict[int, list[float]]


def drawn(number: int) -> Core:
    """Draw one core; seeded by its number."""
    rng = np.random.default_rng([_SEED, number])
    appearance = trying_appearance(rng)
    core = draw_core(
        Score(number % len(Score)),
        diameter_um=float(rng.uniform(600, 1000)),
        pixel_size_um=_PIXEL_UM,
        rng=rng,
        appearance=appearance,
    )
    score = read_by_eye(core.pattern, rng)
    light = np.asarray(10.0**-core.dab, np.float32)
    amounts = {}
    for blur_um in _BLURS_UM:
        blurred = cv2.blur(light, (max(round(blur_um / _PIXEL_UM), 1), 1))
        density = -np.log10(np.maximum(blurred, 1e-3))[core.tissue]
        shares = [float((density > level).mean()) for level in _LEVELS]
        amounts[blur_um] = shares + np.quantile(density, _QUANTILES).tolist()
    return Core(int(score), amounts)


def told(amounts: NDArray[np.float64], scores: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probabilities of the four scores, (core, 4), each by networks that never saw the core."""
    values = np.log(amounts + 1e-4)
    probabilities = np.zeros((len(scores), len(Score)))
    for fold in range(_FOLDS):
        is_test = np.arange(len(scores)) % _FOLDS == fold
        centre, spread = values[~is_test].mean(axis=0), values[~is_test].std(axis=0) + 1e-9
        seen = torch.tensor((values - centre) / spread, dtype=torch.float32)
        wanted = torch.tensor(scores)[~is_test]
        for seed in range(_NETWORKS):
            network = _taught(seen[~is_test], wanted, seed)
            with torch.inference_mode():
                answer = torch.softmax(network(seen[is_test]), dim=1).numpy()
            probabilities[is_test] += answer / _NETWORKS
    return probabilities


def _taught(seen: torch.Tensor, wanted: torch.Tensor, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Linear(seen.shape[1], 24),
        torch.nn.Tanh(),
        torch.nn.Dropout(0.1),
        torch.nn.Linear(24, len(Score)),
    )
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2, weight_decay=0.05)
    for _ in range(_STEPS):
        optimiser.zero_grad()
        torch.autograd.backward(torch.nn.functional.cross_entropy(network(seen), wanted))
        optimiser.step()
    return network.eval()


def main() -> None:
    """Draw, learn and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=800)
    count = parser.parse_args().cores
    with ProcessPoolExecutor(2, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        cores = list(pool.map(drawn, range(count), chunksize=4))
    scores = np.array([core.score for core in cores])
    print(f"{count} cores    mean -log p   four   two   of the 85 % most confident: four")
    for blur_um in _BLURS_UM:
        probabilities = told(np.array([core.amounts[blur_um] for core in cores]), scores)
        is_right = probabilities.argmax(axis=1) == scores
        is_positive = probabilities[:, 2:].sum(axis=1) > 0.5
        confidence = probabilities.max(axis=1)
        is_sure = confidence >= np.quantile(confidence, 0.15)
        loss = -np.log(probabilities[np.arange(count), scores]).mean()
        print(
            f"blur {blur_um:2d} µm       {loss:.3f}     {is_right.mean():.1%}  "
            f"{(is_positive == (scores >= Score.TWO)).mean():.1%}  {is_right[is_sure].mean():.1%}"
        )


if __name__ == "__main__":
    main()
