"""Training in several processes, on one host or many, as torch's `torchrun` starts them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """All processes of a run; alone there is one."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this one writes files and tells how far the run is."""
        return self.rank == 0

    def share(self, items: list[int]) -> list[int]:
        """Those of the items that this process works on."""
        return items[self.rank :: self.count]

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors, in place, by their sums over all processes."""
        if self.count == 1:
            return
        for tensor in tensors:
            distributed.all_reduce(tensor)

    def wait_for_all(self) -> None:
        """Until every process has come this far."""
        if self.count > 1:
            distributed.barrier()


def has_bfloat16(device: torch.device) -> bool:
    """Whether numbers of 16 bits are quick there; emulated, they take 20 times as long as of 32."""
    return device.type != "cpu" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def is_first_process() -> bool:
    """Whether this process speaks for all, known before they have joined."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """Join the processes that `torchrun` has started, or be alone.

    `device` is `cpu`, `cuda` or `auto`; each process of a host takes a GPU of its own.
    """
    uses_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    place = int(os.environ.get("LOCAL_RANK", "0"))
    mine = torch.device("cuda", place) if uses_gpu else torch.device("cpu")
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(rank=0, count=1, device=mine)
        return
    distributed.init_process_group("nccl" if uses_gpu else "gloo")
    try:
        yield Processes(rank=distributed.get_rank(), count=count, device=mine)
    finally:
        distributed.destroy_process_group()
