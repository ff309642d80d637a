"""Stacks per second that eFIN learns from, and the share of what the device could compute.

On a GPU the paper's full size, else views of 64 pixels. What the device could compute is measured
in the same run by a large product of matrices. Transforms, which are not counted as work, and
moving data take the rest; the run fails where less than a twentieth is left.

    python benchmarks/bench_training.py [float32|tf32|bfloat16]
"""

import sys
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from blurryscope.classify.efin import EFIN

_LEAST_SHARE = 0.05
_STEPS = 4
_MATRIX = {"cpu": 2048, "cuda": 8192}


def main() -> None:
    precision = sys.argv[1] if len(sys.argv) > 1 else "float32"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    if precision == "tf32":
        torch.set_float32_matmul_precision("high")
    size_px, batch = (512, 2) if device.type == "cuda" else (64, 4)
    half = precision == "bfloat16"
    network = EFIN(4, size_px=size_px, checkpointing=device.type == "cpu").to(device)
    optimiser = torch.optim.AdamW(network.parameters())
    views = torch.rand(batch, 15, size_px, size_px, device=device)
    with FlopCounterMode(display=False) as counter:
        _step(network, optimiser, views, half)
    seconds = _seconds(device, lambda: _step(network, optimiser, views, half))
    work, peak = counter.get_total_flops() / seconds, _peak(device, half)
    print(
        f"{device.type}, {precision}, views of {size_px} px: {batch / seconds:.2f} stacks/s, "
        f"{work / 1e9:.0f} of {peak / 1e9:.0f} GFLOP/s, {work / peak:.0%} of peak"
    )
    if work / peak < _LEAST_SHARE:
        raise SystemExit("the device mostly waits")


def _step(network: EFIN, optimiser: torch.optim.Optimizer, views: torch.Tensor, half: bool) -> None:
    optimiser.zero_grad()
    with torch.autocast(views.device.type, torch.bfloat16, enabled=half):
        loss = network(views).float().square().sum()
    torch.autograd.backward(loss)
    optimiser.step()


def _peak(device: torch.device, half: bool) -> float:
    side = _MATRIX[device.type]
    kind = torch.bfloat16 if half else torch.float32
    matrix = torch.rand(side, side, device=device).to(kind)
    return 2 * side**3 / _seconds(device, lambda: matrix @ matrix)


def _seconds(device: torch.device, work: Callable[[], object]) -> float:
    """Of the processor on a processor, since others may use it too; else of the clock."""
    work()
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = clock()
    for _ in range(_STEPS):
        work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (clock() - start) / _STEPS


if __name__ == "__main__":
    main()
