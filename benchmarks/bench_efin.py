"""Time and memory of eFIN per stack, forward and in training, each in a process of its own.

The note on the published network measured 14 s for a straightforward forward pass on two cores and
8.15 GiB saved for a training step; the limits here are 5 s and 5 GiB in all. Processor seconds
are told beside the clock, since a busy machine stretches the clock alone.
"""

import os
import subprocess
import sys
import time

import torch

from blurryscope.classify.efin import EFIN

_FORWARD_LIMIT_S = 5.0
_TRAINING_LIMIT_GIB = 5.0
_SIZE_PX = 512


def main() -> None:
    if len(sys.argv) > 1:
        _measure(sys.argv[1])
        return
    figures = {what: _measured_alone(what) for what in ("nothing", "plain", "forward", "training")}
    base_gib = figures["nothing"][2]
    for what in ("plain", "forward", "training"):
        clock_s, processor_s, gib = figures[what]
        print(
            f"{what:9s} {clock_s:6.1f} s  {processor_s:6.1f} processor-s  {gib - base_gib:5.2f} GiB"
        )
    forward_s = figures["forward"][1] / min(2, os.cpu_count() or 1)
    training_gib = figures["training"][2] - base_gib
    print(f"forward on two idle cores: {forward_s / _FORWARD_LIMIT_S:.2f} of the limit")
    print(f"memory of training: {training_gib / _TRAINING_LIMIT_GIB:.2f} of the limit")
    if forward_s > _FORWARD_LIMIT_S or training_gib > _TRAINING_LIMIT_GIB:
        raise SystemExit("too slow or too large")


def _measured_alone(what: str) -> tuple[float, float, float]:
    done = subprocess.run(
        [sys.executable, __file__, what], check=True, capture_output=True, text=True
    )
    clock_s, processor_s, gib = (float(word) for word in done.stdout.split())
    return clock_s, processor_s, gib


def _measure(what: str) -> None:
    # One thread: threads that wait for a busy core count as working.
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = EFIN(4, size_px=_SIZE_PX, checkpointing=True)
    views = torch.rand(1, 15, _SIZE_PX, _SIZE_PX)
    started_s, processor_s = time.perf_counter(), time.process_time()
    if what == "plain":  # as written, without going by pieces
        network.checkpointing = False
        network.requires_grad_(False)
        network(views)
    elif what == "forward":
        with torch.inference_mode():
            network(views)
    elif what == "training":
        torch.autograd.backward(network(views).square().sum())
    print(time.perf_counter() - started_s, time.process_time() - processor_s, _largest_gib())


def _largest_gib() -> float:
    import resource  # not on Windows, where this benchmark cannot tell memory

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
