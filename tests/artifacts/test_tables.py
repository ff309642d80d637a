"""Round trips of the small files: recording.json, frames.csv, provenance.json."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurryscope.artifacts.frame_places import (
    FramePlace,
    StageState,
    read_frame_places,
    write_frame_places,
)
from blurryscope.artifacts.predictions import read_predictions, read_results
from blurryscope.artifacts.provenance import (
    Provenance,
    current_versions,
    read_provenance,
    sha256_of_file,
    write_provenance,
)
from blurryscope.artifacts.recording import Recording, read_recording, write_recording
from blurryscope.artifacts.samples import read_samples
from blurryscope.artifacts.scan_quality import read_regions
from blurryscope.artifacts.split import read_split
from blurryscope.artifacts.tissue_cores import read_tissue_cores
from blurryscope.artifacts.view_places import read_view_places
from blurryscope.basics.errors import InputError, MissingInputError

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
positive = st.floats(1e-6, 1e6)
recordings = st.builds(
    Recording,
    slide=st.none() | words,
    repeat=st.none() | st.integers(1, 99),
    pixel_size_um=st.none() | positive,
    speed_um_per_s=st.none() | positive,
    exposure_s=st.none() | positive,
    frame_rate_hz=st.none() | positive,
    lane_pitch_um=st.none() | positive,
    rig=st.none() | words,
    versions=st.dictionaries(words, words, max_size=3),
)
lengths_px = st.none() | st.integers(-(10**8), 10**8).map(lambda thousandths: thousandths / 1000)
places = st.builds(
    FramePlace,
    frame=st.integers(0, 10**6),
    time_s=st.integers(0, 10**10).map(lambda microseconds: microseconds / 1e6),
    state=st.sampled_from(StageState),
    lane=st.integers(-1, 500),
    x_px=lengths_px,
    y_px=lengths_px,
    confidence=st.integers(0, 10**4).map(lambda steps: steps / 1e4),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | positive | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
provenances = st.builds(
    Provenance,
    settings=st.dictionaries(words, json_values, max_size=4),
    inputs_sha256=st.dictionaries(words, words, max_size=3),
    model_sha256=st.none() | words,
    versions=st.dictionaries(words, words, max_size=3),
)


@settings(max_examples=40)
@given(recordings)
def test_a_recording_is_read_as_it_was_written(recording: Recording) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recording.json"
        write_recording(path, recording)
        assert read_recording(path) == recording


@settings(max_examples=40)
@given(st.lists(places, max_size=8))
def test_frame_places_are_read_as_they_were_written(written: list[FramePlace]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "frames.csv"
        write_frame_places(path, written)
        assert read_frame_places(path) == written


@settings(max_examples=40)
@given(provenances)
def test_provenance_is_read_as_it_was_written(provenance: Provenance) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "provenance.json"
        write_provenance(path, provenance)
        assert read_provenance(path) == provenance


_READERS: dict[str, Callable[[Path], object]] = {
    "cores.csv": read_tissue_cores,
    "frames.csv": read_frame_places,
    "regions.csv": read_regions,
    "results.csv": read_results,
    "samples.csv": read_samples,
    "scores.csv": read_predictions,
    "split.csv": lambda path: read_split(path, []),
    "views.csv": read_view_places,
}


@pytest.mark.parametrize("name", _READERS)
def test_a_table_that_a_spreadsheet_saved_in_another_alphabet_is_told(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes("slide,core\nMüller,A1\n".encode("cp1252"))
    with pytest.raises(InputError, match=rf"{name}.*codec can't decode"):
        _READERS[name](path)


def test_frames_csv_has_the_columns_that_the_design_promises(tmp_path: Path) -> None:
    place = FramePlace(
        frame=3, time_s=0.1, state=StageState.MOVING, lane=2, x_px=10.5, y_px=None, confidence=0.9
    )
    write_frame_places(tmp_path / "frames.csv", [place])
    assert (tmp_path / "frames.csv").read_text(encoding="utf-8") == (
        "frame,time_s,state,lane,x_px,y_px,confidence\n3,0.100000,moving,2,10.500,,0.9000\n"
    )


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("frame,time\n1,2\n", "columns"),
        ("", "columns"),
        ("frame,time_s,state,lane,x_px,y_px,confidence\n0,0,moving,0,,,1\n1,0,flying,0,,,1\n",
         "line 3"),
        ("frame,time_s,state,lane,x_px,y_px,confidence\n0,0\n", "line 2"),
        ("frame,time_s,state,lane,x_px,y_px,confidence\nx,0,moving,0,,,1\n", "line 2"),
        ("\udcff", "line"),
    ],
)  # fmt: skip
def test_a_frames_csv_that_is_not_one_is_refused_by_line(
    tmp_path: Path, content: str, place: str
) -> None:
    path = tmp_path / "frames.csv"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=place):
        read_frame_places(path)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ('{"pixel_size_um": 0}', "pixel_size_um"),
        ('{"pixel_size": 0.72}', "pixel_size"),
        ('{"repeat": 0}', "repeat"),
        ('{"exposure_s": NaN}', "exposure_s"),
        ("[]", "the file"),
        ("{", "the file"),
    ],
)
def test_a_recording_that_cannot_be_is_refused_by_field(
    tmp_path: Path, content: str, place: str
) -> None:
    path = tmp_path / "recording.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=f"recording.json, {place}:"):
        read_recording(path)


@pytest.mark.parametrize("content", ["", "[]", '{"settings": {}}', '{"unknown": 1}'])
def test_a_provenance_that_is_not_one_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "provenance.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"provenance\.json"):
        read_provenance(path)


@pytest.mark.parametrize("read", [read_recording, read_frame_places, read_provenance])
def test_a_file_that_is_not_there_is_told(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(MissingInputError, match="no such file"):
        read(tmp_path / "absent")


def test_a_checksum_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "input").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_the_same_provenance_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, keys in (("one", ["a", "b"]), ("two", ["b", "a"])):
        made = Provenance(settings=dict.fromkeys(keys, 1), inputs_sha256={}, versions={})
        write_provenance(tmp_path / name, made)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_versions_name_python_and_this_package() -> None:
    assert {"python", "blurryscope", "torch"} <= set(json.loads(json.dumps(current_versions())))
