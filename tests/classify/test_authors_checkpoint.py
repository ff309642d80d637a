"""The authors' checkpoint becomes a model, and anything else is refused by key and shape."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.classify.authors_checkpoint import import_checkpoint
from blurryscope.classify.efin import EFIN
from blurryscope.classify.predict import load_model


@pytest.fixture
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return dict(EFIN(2, width=1).state_dict())


def test_weights_under_model_become_a_model_that_takes_blue_first(
    weights: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save({"model": weights, "epoch": 3792}, tmp_path / "checkpoint.pth")
    import_checkpoint(tmp_path / "checkpoint.pth", tmp_path / "efin.safetensors")
    stored = load_file(tmp_path / "efin.safetensors")
    assert all(torch.equal(stored[name], value) for name, value in weights.items())
    settings = load_model(tmp_path / "efin.safetensors").settings
    assert (settings.classes, settings.width, settings.bgr, settings.size_px) == (2, 1, True, 512)


@pytest.mark.slow
def test_an_imported_model_scores_a_stack_as_the_network_does(
    weights: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save({"model": weights}, tmp_path / "checkpoint.pth")
    import_checkpoint(tmp_path / "checkpoint.pth", tmp_path / "efin.safetensors")
    stack = np.random.default_rng(0).integers(100, 250, (5, 512, 512, 3), dtype=np.uint8)
    row = load_model(tmp_path / "efin.safetensors").predict(stack[None])[0]
    blue_first = np.ascontiguousarray(stack[..., ::-1].transpose(0, 3, 1, 2)).reshape(15, 512, 512)
    network = EFIN(2, width=1)
    network.load_state_dict(weights)
    with torch.inference_mode():
        logits = network(torch.from_numpy(blue_first).float()[None] / 255)
    wanted = torch.softmax(logits, dim=1)[0].repeat_interleave(2) / 2
    np.testing.assert_allclose(row, wanted.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("drop", r"does not fit: w_list.3.bias is not in the file"),
        ("add", r"does not fit: extra is not in the network"),
        (
            "grow",
            r"does not fit: conv_end1.weight has shape \(64, 64, 1, 2\), not \(64, 64, 1, 1\)",
        ),
        ("no model", r"has no weights under the key 'model'"),
    ],
)
def test_a_checkpoint_that_does_not_fit_says_which_key_and_shape(
    weights: dict[str, Tensor], tmp_path: Path, change: str, told: str
) -> None:
    if change == "drop":
        del weights["w_list.3.bias"]
    elif change == "add":
        weights["extra"] = torch.zeros(1)
    elif change == "grow":
        weights["conv_end1.weight"] = torch.zeros(64, 64, 1, 2)
    stored = {"weights": weights} if change == "no model" else {"model": weights}
    torch.save(stored, tmp_path / "checkpoint.pth")
    with pytest.raises(InputError, match=told):
        import_checkpoint(tmp_path / "checkpoint.pth", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([1.0, 2.0], "conv_begin_1.weight is no array of numbers"),
        (3.0, "conv_begin_1.weight is no array of numbers"),
        (torch.ones(1, 12, 1, 1, dtype=torch.complex64), "is no array of numbers"),
        (torch.full((1, 12, 1, 1), torch.nan), "conv_begin_1.weight holds what is no number"),
    ],
    ids=["a list", "a number", "complex", "NaN"],
)
def test_weights_that_are_none_are_told(
    weights: dict[str, Tensor], tmp_path: Path, value: object, told: str
) -> None:
    torch.save({"model": {**weights, "conv_begin_1.weight": value}}, tmp_path / "checkpoint.pth")
    with pytest.raises(InputError, match=told):
        import_checkpoint(tmp_path / "checkpoint.pth", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("classes", [1, 3, 5])
def test_other_classes_than_two_or_four_are_refused(tmp_path: Path, classes: int) -> None:
    torch.save({"model": EFIN(classes, width=1).state_dict()}, tmp_path / "checkpoint.pth")
    with pytest.raises(InputError, match=f"tells {classes} classes apart, not 2 or 4"):
        import_checkpoint(tmp_path / "checkpoint.pth", tmp_path / "out.safetensors")


def test_a_checkpoint_that_was_cut_off_is_told(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    whole = pickle.dumps({"model": {"a": 1}}, protocol=2)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            import_checkpoint(path, tmp_path / "out.safetensors")


def test_a_checkpoint_that_would_run_a_program_is_not_read(tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "trace"
    path.write_bytes(pickle.dumps({"model": _Program(trace)}, protocol=2))
    with pytest.raises(InputError, match="cannot be read without running what it holds"):
        import_checkpoint(path, tmp_path / "out.safetensors")
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"slide,core,her2\nS,A1,2+\n",
        b"0" * 40,
        b"\x80\x02a",
        b"u.",
        b"q\x01.",
        b"(R.",
        b"PK\3\4",
    ],
)
def test_a_file_that_is_no_checkpoint_is_told_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no checkpoint of PyTorch") as told:
        import_checkpoint(path, tmp_path / "out.safetensors")
    assert "\n" not in str(told.value)


def test_a_checkpoint_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        import_checkpoint(tmp_path / "none.pth", tmp_path / "out.safetensors")


class _Program:
    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self._trace,)
