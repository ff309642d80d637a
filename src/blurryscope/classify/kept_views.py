"""Stacks of a packed set as batches, put together on the device that learns from them.

A set of ten thousand samples with views of 128 pixels is 5 GB: it fits a graphics card whole, and
then nothing but numbers of samples travels there while it learns.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_ROWS_AT_ONCE = 256
_SPARE = 0.5
"""Of a card's memory, for all else."""


class KeptViews:
    """Views that were made once, (sample, view, row, col, rgb) uint8 with the overview last."""

    def __init__(self, array: NDArray[np.uint8], view_px: int, device: torch.device) -> None:
        if view_px > array.shape[2] or array.shape[2] % view_px:
            raise ValueError(f"view_px must divide {array.shape[2]}, got {view_px}")
        self._array, self._device = array, device
        self._reduction = array.shape[2] // view_px
        self._on_device = (
            _copied(array, self._reduction, device)
            if _fits(array.nbytes // self._reduction**2, device)
            else None
        )

    def stacks(self, indices: Sequence[int], views: Sequence[Sequence[int]]) -> Tensor:
        """Some views of some samples, (stack, view, rgb, row, col) float32 in 0..255.

        Each pixel is the rounded mean of those that it stands for, as on a processor.
        """
        if self._on_device is None:
            taken = self._array[np.asarray(indices)[:, None], np.asarray(views)]
            return _reduced(torch.from_numpy(taken).to(self._device), self._reduction).float()
        rows = torch.tensor(list(indices), device=self._device)[:, None]
        return self._on_device[rows, torch.tensor(list(views), device=self._device)].float()


def _reduced(stacks: Tensor, reduction: int) -> Tensor:
    """(stack, view, row, col, rgb) uint8 to (stack, view, rgb, row, col) uint8, fewer pixels."""
    turned = stacks.movedim(-1, -3)
    if reduction == 1:
        return turned
    means = functional.avg_pool2d(turned.flatten(0, 1).float(), reduction)
    rounded = torch.floor(means + 0.5).to(torch.uint8)
    return rounded.reshape(*turned.shape[:2], *rounded.shape[1:])


def _fits(byte_count: int, device: torch.device) -> bool:
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return byte_count < free * (1 - _SPARE)


def _copied(array: NDArray[np.uint8], reduction: int, device: torch.device) -> Tensor:
    """All views at the size that is wanted, (sample, view, rgb, row, col) uint8."""
    count, views, side_px, _, colours = array.shape
    small_px = side_px // reduction
    shape = (count, views, colours, small_px, small_px)
    whole = torch.empty(shape, dtype=torch.uint8, device=device)
    for start in range(0, count, _ROWS_AT_ONCE):
        some = torch.from_numpy(np.array(array[start : start + _ROWS_AT_ONCE])).to(device)
        whole[start : start + len(some)] = _reduced(some, reduction)
    return whole
