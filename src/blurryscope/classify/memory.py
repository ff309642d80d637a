"""How much memory a process has needed."""

import sys

import torch

_GIB = 2.0**30


def most_memory_gib(device: torch.device) -> float | None:
    """The most so far: of the GPU where there is one, else of the process; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _GIB
    if sys.platform == "win32":
        return None
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _GIB
