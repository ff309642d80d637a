"""What a model must not be trusted with: a small file beside its weights, fitted afterwards.

`NAME.limits.npz` belongs to `NAME.safetensors`; made by `blurryscope fit-limits`. It holds numbers
and no program, as the weights do.
"""

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from blurryscope.artifacts.decision_rule import DecisionRule, DecisionRules
from blurryscope.artifacts.whole import whole_file
from blurryscope.basics.calibration import tempered
from blurryscope.basics.errors import InputError
from blurryscope.classify.familiarity import Familiarity
from blurryscope.classify.model_file import LoadedModel

_Cutoff = Annotated[float, Field(ge=0, le=1)]
_REMEDY = "Fit them again: blurryscope fit-limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Fixed on calibration cores; test cores took no part."""

    temperature: float
    """Divides log-probabilities; above 1 the network was too sure of itself."""
    rules: DecisionRules
    """Those for several scans are fitted by themselves, where a set has them."""
    familiarity: Familiarity
    farthest: float
    """Distance beyond which a core is unlike those that the network learnt from."""
    fitted_on: dict[str, str | int | float]

    def tempered(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """(row, class), the sharpness put right; rows sum to 1."""
        return tempered(probabilities, self.temperature)

    def strangeness(self, features: NDArray[np.float32]) -> str | None:
        """Why the network's answer on one core, features (1, feature), counts for nothing."""
        distance = float(self.familiarity.distance(features)[0])
        if distance <= self.farthest:
            return None
        return (
            f"unlike the cores that the network learnt from (distance {distance:.2f}, at most "
            f"{self.farthest:.2f} is usual): read by eye"
        )


class _ToldRule(BaseModel):
    """The rule for an answer fused of several scans."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    threshold: float = Field(ge=0, le=1)
    cutoffs: tuple[_Cutoff, _Cutoff, _Cutoff, _Cutoff]
    coverage: float = Field(gt=0, lt=1)


class _Told(BaseModel):
    """The part of the file that is no array."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weights: str
    temperature: float = Field(gt=0)
    threshold: float = Field(ge=0, le=1)
    cutoffs: tuple[_Cutoff, _Cutoff, _Cutoff, _Cutoff]
    coverage: float = Field(gt=0, lt=1)
    farthest: float = Field(gt=0)
    fitted_on: dict[str, str | int | float]
    fused: tuple[_ToldRule, ...] = ()
    """For two scans, for three, …"""


def limits_path(weights: Path) -> Path:
    """Where the limits of a weights file lie: beside it."""
    return weights.with_suffix(".limits.npz")


def write_limits(path: Path, limits: Limits, network: nn.Module) -> None:
    """Write limits, bound to the weights of `network`; whole or not at all."""
    single, *fused = [_told_rule(rule) for rule in limits.rules.by_count]
    told = _Told(
        weights=fingerprint_of_weights(network),
        temperature=limits.temperature,
        threshold=single.threshold,
        cutoffs=single.cutoffs,
        coverage=single.coverage,
        farthest=limits.farthest,
        fitted_on=limits.fitted_on,
        fused=tuple(fused),
    )
    known = limits.familiarity
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            told=np.array(told.model_dump_json()),
            centres=known.centres,
            spread=known.spread,
            whitening=known.whitening,
        )


def read_limits(path: Path, network: nn.Module) -> Limits:
    """Read limits; an `InputError` where they cannot be read or belong to other weights."""
    try:
        with path.open("rb") as stored, np.load(stored, allow_pickle=False) as file:
            told = _Told.model_validate(json.loads(str(file["told"])))
            known = Familiarity(
                centres=file["centres"], spread=file["spread"], whitening=file["whitening"]
            )
    except (
        OSError, ValueError, TypeError, KeyError, EOFError, ValidationError, zipfile.BadZipFile,
        zlib.error,
    ) as error:  # fmt: skip
        raise InputError(path, f"cannot be read as limits ({error})", _REMEDY) from error
    if told.weights != fingerprint_of_weights(network):
        raise InputError(path, "was fitted to other weights than those beside it", _REMEDY)
    return Limits(
        temperature=told.temperature,
        rules=DecisionRules((_rule(told), *map(_rule, told.fused))),
        familiarity=known,
        farthest=told.farthest,
        fitted_on=told.fitted_on,
    )


def _told_rule(rule: DecisionRule) -> _ToldRule:
    if rule.cutoffs is None:
        raise ValueError("limits need rules with cutoffs")
    return _ToldRule(threshold=rule.threshold, cutoffs=rule.cutoffs, coverage=rule.coverage)


def _rule(told: _Told | _ToldRule) -> DecisionRule:
    return DecisionRule(threshold=told.threshold, cutoffs=told.cutoffs, coverage=told.coverage)


def limits_beside(model: LoadedModel) -> Limits | None:
    """The limits that lie beside a model's weights, if there are any."""
    path = limits_path(model.path)
    return read_limits(path, model.network) if path.is_file() else None


def fingerprint_of_weights(network: nn.Module) -> str:
    """One checksum of all parameters, whatever else their file says."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
