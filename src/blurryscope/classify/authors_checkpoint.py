"""The checkpoint that the paper's authors publish, turned into a file that can hold no program."""

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from blurryscope.artifacts.provenance import sha256_of_file
from blurryscope.artifacts.whole import present_file
from blurryscope.basics.errors import InputError
from blurryscope.classify.efin import EFIN
from blurryscope.classify.model_file import ModelSettings, save_model

_STEM, _TAIL = "conv_begin_1.weight", "conv_end2.weight"


def import_checkpoint(checkpoint: Path, out: Path) -> ModelSettings:
    """Read a dict with the key `model`, and write its weights as a model that takes BGR stacks.

    Classes and width are told by the weights. An `InputError` names the first key that is absent,
    unknown or of another shape.
    """
    weights = _weights(checkpoint)
    for key in (_STEM, _TAIL):
        if key not in weights or weights[key].ndim != 4:
            raise InputError(
                checkpoint, f"does not fit: {key} is not in the file, or no convolution", _REMEDY
            )
    classes = weights[_TAIL].shape[0]
    if classes not in (2, 4):
        raise InputError(checkpoint, f"tells {classes} classes apart, not 2 or 4", _REMEDY)
    settings = ModelSettings(
        network="efin",
        width=weights[_STEM].shape[0],
        classes=4 if classes == 4 else 2,
        bgr=True,
        trained_on={"imported": checkpoint.name, "sha256": sha256_of_file(checkpoint)},
    )
    network = EFIN(settings.classes, width=settings.width)
    _refuse_misfit(checkpoint, weights, network.state_dict())
    network.load_state_dict(weights)
    save_model(out, network, settings)
    return settings


_UNREADABLE = (
    *(pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError),
    # Any bytes can be taken for steps of unpickling: for some that find nothing to work on.
    *(LookupError, TypeError, AttributeError, AssertionError, OverflowError, struct.error),
)
"""What torch's reader says of files that are damaged or none of its own."""
_REMEDY = "Give the checkpoint of the published eFIN: a dict with its weights under 'model'"


def _weights(checkpoint: Path) -> dict[str, Tensor]:
    present_file(checkpoint, "Check the path of the checkpoint")
    try:
        # weights_only: nothing but tensors and plain containers is unpickled.
        told = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise InputError(
            checkpoint,
            "is no checkpoint of PyTorch, or one that cannot be read without running what it holds",
            _REMEDY,
        ) from error
    if not isinstance(told, Mapping) or not isinstance(told.get("model"), Mapping):
        raise InputError(checkpoint, "has no weights under the key 'model'", _REMEDY)
    # Weights saved from several GPUs carry the wrapper's name.
    weights = {str(name).removeprefix("module."): value for name, value in told["model"].items()}
    for name, value in weights.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise InputError(checkpoint, f"does not fit: {name} is no array of numbers", _REMEDY)
        if not bool(torch.isfinite(value).all()):
            raise InputError(checkpoint, f"is damaged: {name} holds what is no number", _REMEDY)
    return weights


def _refuse_misfit(
    checkpoint: Path, weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> None:
    for name in [*wanted, *(name for name in weights if name not in wanted)]:
        if name not in weights or name not in wanted:
            where = "the file" if name not in weights else "the network"
            raise InputError(checkpoint, f"does not fit: {name} is not in {where}", _REMEDY)
        found, needed = tuple(weights[name].shape), tuple(wanted[name].shape)
        if found != needed:
            raise InputError(
                checkpoint, f"does not fit: {name} has shape {found}, not {needed}", _REMEDY
            )
