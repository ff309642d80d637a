"""Networks on disk: weights and settings in one safetensors file, which can hold no program."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from blurryscope.artifacts.provenance import sha256_of_file
from blurryscope.artifacts.whole import whole_file
from blurryscope.artifacts.wrong_field import wrong_field
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.classify.efin import EFIN, PAPER, Variant
from blurryscope.classify.networks import CORENET_1, CoreNet, CoreVariant

_WEIGHTS = Path(__file__).parent / "weights"
_SETTINGS_KEY = "blurryscope"


class ModelSettings(BaseModel):
    """What a weights file says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: str
    """`corenet` (ours) or `efin` (the paper's)."""
    width: int = Field(gt=0)
    classes: Literal[2, 4] = 4
    size_px: int = 512
    """Side of a view as `efin` sees it; larger ones are reduced."""
    variant: Variant = PAPER
    """Departures of an `efin` from the paper."""
    core_variant: CoreVariant = CORENET_1
    """What a `corenet` is made of."""
    bgr: bool = False
    """Whether the network wants blue first, as the authors' do."""
    temperature: float = Field(default=1.0, gt=0)
    """Divides the network's log-odds; fitted on calibration cores."""
    threshold: float = Field(default=0.0, ge=0, le=1)
    """Confidence below which a score is withheld; fixed on calibration cores."""
    trained_on: dict[str, str | int | float] = {}
    """How to get these weights again."""

    @property
    def learnt_from(self) -> tuple[str, ...]:
        """Data sets and splits that had a say in the weights, by `DataSet.fingerprint`."""
        return tuple(str(self.trained_on.get("data", "")).split())

    @property
    def view_px(self) -> int:
        """Side of a view as the network sees it."""
        return self.core_variant.view_px if self.network == "corenet" else self.size_px


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A network ready to score."""

    name: str
    path: Path
    network: nn.Module
    settings: ModelSettings
    sha256: str

    @property
    def is_shipped(self) -> bool:
        """Whether it comes with the program, and everybody's scores hang on it."""
        return self.path.parent == _WEIGHTS


def save_model(path: Path, network: nn.Module, settings: ModelSettings) -> None:
    """Write weights and settings, whole or not at all."""
    weights = {name: value.detach().cpu().contiguous() for name, value in _state(network).items()}
    with whole_file(path) as partial:
        save_file(weights, partial, metadata={_SETTINGS_KEY: settings.model_dump_json()})


def read_model(name_or_path: str | Path) -> LoadedModel:
    """Read a shipped network by its name or any by its file.

    Raises
    ------
    MissingInputError, InputError
        When there is no such file, when it is not safetensors, when its settings are missing or
        unknown, or when its weights do not fit its network; the message names the weight.
    """
    path = _path_of(name_or_path)
    weights, settings = _read_file(path)
    network = _known_network(path, settings)
    _fill(path, network, weights)
    network.eval()
    return LoadedModel(
        name=path.stem, path=path, network=network, settings=settings, sha256=sha256_of_file(path)
    )


def _path_of(name_or_path: str | Path) -> Path:
    shipped = _WEIGHTS / f"{name_or_path}.safetensors"
    is_bare_name = isinstance(name_or_path, str) and Path(name_or_path).name == name_or_path
    if is_bare_name and shipped.is_file():
        return shipped
    path = Path(name_or_path)
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in _WEIGHTS.glob("*.safetensors")))
        raise MissingInputError(
            path, "no such model", f"Give a .safetensors file or one of the shipped: {names}"
        )
    return path


def _read_file(path: Path) -> tuple[dict[str, Tensor], ModelSettings]:
    try:
        with safe_open(path, framework="pt") as file:
            told = (file.metadata() or {}).get(_SETTINGS_KEY)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError) as error:
        raise InputError(
            path,
            f"is not a safetensors file ({error})",
            "Weights are read from safetensors only, since other formats can run programs",
        ) from error
    if told is None:
        raise InputError(
            path, "says nothing of its network", "Give a model that blurryscope has written"
        )
    try:
        return weights, ModelSettings.model_validate(json.loads(told))
    except ValidationError as error:
        place, problem = wrong_field(error)
        raise InputError(f"{path}, {place}", problem, "Train or convert it again") from error
    except ValueError as error:
        raise InputError(
            path, f"has settings that cannot be read ({error})", "Train or convert it again"
        ) from error


def empty_network(settings: ModelSettings) -> nn.Module | None:
    """A network with random weights; None where its kind is not known."""
    if settings.network == "corenet":
        return CoreNet(settings.width, variant=settings.core_variant)
    if settings.network == "efin":
        return EFIN(
            settings.classes,
            size_px=settings.size_px,
            width=settings.width,
            variant=settings.variant,
        )
    return None


def _known_network(path: Path, settings: ModelSettings) -> nn.Module:
    try:
        network = empty_network(settings)
    except ValueError as error:
        raise InputError(
            path, f"has settings of no network ({error})", "Train or convert it again"
        ) from error
    if network is not None:
        return network
    raise InputError(
        path, f"is a {settings.network!r}, which is not known", "Use a newer blurryscope"
    )


def _fill(path: Path, network: nn.Module, weights: dict[str, Tensor]) -> None:
    wanted = _state(network)
    for name in sorted(wanted.keys() | weights.keys()):
        if name not in weights or name not in wanted:
            where = "the file" if name not in weights else "its network"
            raise InputError(path, f"does not fit: {name} is not in {where}", "Train it again")
        if weights[name].shape != wanted[name].shape:
            raise InputError(
                path,
                f"does not fit: {name} has shape {tuple(weights[name].shape)}, "
                f"not {tuple(wanted[name].shape)}",
                "Train it again",
            )
        if not bool(torch.isfinite(weights[name].float()).all()):
            raise InputError(path, f"holds no number in {name}", "Train it again")
    network.load_state_dict(weights)


def _state(network: nn.Module) -> dict[str, Tensor]:
    return dict(network.state_dict())
