"""What `--help` tells is whole: every command, every option, every choice."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from blurryscope import cli
from blurryscope.artifacts.tissue_cores import CoreStatus
from blurryscope.tma.orientation import Orientation
from tests.conftest import Refused


@pytest.mark.parametrize("group", ["", "edit", "map", "layout", "dataset", "model"])
def test_help_lists_commands_in_whole_sentences(
    group: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["blurryscope", *group.split(), "--help"])
    cli.main()
    assert "..." not in capfd.readouterr().out.split("Commands:")[1]


def test_help_explains_every_option_and_argument() -> None:
    silent = [
        f"{' '.join(path)} {parameter.name}"
        for path, command in _all_commands(typer.main.get_command(cli.app))
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]
    assert silent == []


def test_help_names_every_orientation_and_every_state_of_a_core(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for command, choices in (("run", [*Orientation, "any"]), ("edit status", CoreStatus)):
        monkeypatch.setattr(sys, "argv", ["blurryscope", *command.split(), "--help"])
        cli.main()
        unbroken = re.sub(r"-\n\s+", "-", capfd.readouterr().out)
        told = re.split(r"[\s,;:.]+", unbroken)
        assert [choice for choice in choices if choice not in told] == []


def _all_commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _all_commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize("command", ["run", "cores"])
def test_an_answer_about_names_without_a_map_is_refused_and_not_kept(
    refused: Refused, tmp_path: Path, command: str
) -> None:
    (tmp_path / "scan.mp4").touch()
    out = ("--out", tmp_path / "out")
    assert "--place: says where" in refused(command, tmp_path / "scan.mp4", *out, "--place", "0,0")
    assert not (tmp_path / "out").exists()
