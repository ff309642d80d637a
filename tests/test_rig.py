import re
import sys
from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.video import VideoWriter
from blurryscope.basics.clock import SystemClock
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.devices.errors import DeviceMissingError, SettingsRefusedError
from blurryscope.rig import MicroManagerDevices, RealDevices, SimulatedSlide, load_rig
from blurryscope.simulator.grbl_controller import GrblController
from blurryscope.simulator.machine_parts import MachineSettings
from blurryscope.simulator.port import SimulatedPort

REAL = """
name = "bench 1"

[stage]
speaks = "grbl"
port = "no-such-port"
settings = { 100 = 1600, 110 = 600 }

[camera]
device = "no-such-camera"
exposure_s = 0.0078

[focus]
start_um = -4000
"""
SIMULATED = """
name = "toy"

[simulated]
preset = "plain"
shrink = 4
rows = 1
columns = 2
"""


MICRO_MANAGER = """
name = "the lab's own"

[micro_manager]
lowest_um = [-20000, -20000, -200]
highest_um = [20100, 20100, 200]
speed_um_per_s = 10000
speed_property = "Velocity"
columns = 512
rows = 512
pixel_size_um = 1.0
exposure_s = 0.0078
"""


def rig_file(folder: Path, text: str) -> str:
    path = folder / "rig.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_real_rig_is_read(tmp_path: Path) -> None:
    rig = load_rig(rig_file(tmp_path, REAL))
    assert rig.devices == RealDevices(
        stage_port="no-such-port", profile={100: 1600, 110: 600}, camera_device="no-such-camera"
    )
    assert rig.focus.start_um == -4000
    assert rig.folder == tmp_path / "rig-calibration"


def test_hardware_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    rig = load_rig(rig_file(tmp_path, REAL))
    with pytest.raises(DeviceMissingError, match="no-such-port"), rig.opened():
        pass


def test_a_simulated_rig_opens_like_a_real_one(tmp_path: Path) -> None:
    rig = load_rig(rig_file(tmp_path, SIMULATED))
    assert isinstance(rig.devices, SimulatedSlide)
    assert rig.devices.scan.camera.rows == 120
    with rig.opened() as scope:
        assert not scope.stage.status().is_homed
        assert scope.camera.settings.rows == 120
        assert scope.camera.settings.exposure_s == pytest.approx(0.0078)


def test_a_film_beside_the_rig_is_a_camera_of_it(tmp_path: Path) -> None:
    clock = SystemClock()
    controller = GrblController(MachineSettings(), boot_id=lambda: "0000ABCD")
    controller.power_on(clock.monotonic_s())
    with VideoWriter(tmp_path / "lane.mp4", (48, 64), 30.0) as film:
        film.write(np.full((48, 64, 3), 200, np.uint8), 0.0)
    with SimulatedPort(controller, clock) as port:
        text = (
            f'name = "rehearsal"\n[stage]\nport = "{port.url}"\n'
            '[camera]\ndriver = "film"\ndevice = "lane.mp4"\nrows = 48\n'
        )
        with load_rig(rig_file(tmp_path, text)).opened() as scope:
            assert scope.camera.name == "film lane.mp4"
            assert scope.camera.grab().rgb().shape == (48, 64, 3)
        other = load_rig(rig_file(tmp_path, text.replace("rows = 48", "gain = 2")))
        with pytest.raises(SettingsRefusedError, match=r"is a film .* gain"), other.opened():
            pass
        none = load_rig(rig_file(tmp_path, text.replace("lane.mp4", "none.mp4")))
        with pytest.raises(MissingInputError, match=r"none\.mp4"), none.opened():
            pass


def test_everybody_has_the_simulated_microscope() -> None:
    rig = load_rig("simulated")
    assert isinstance(rig.devices, SimulatedSlide)
    assert rig.folder is None


def test_an_exposure_that_is_left_out_is_not_asked_of_the_camera(tmp_path: Path) -> None:
    rig = load_rig(rig_file(tmp_path, REAL.replace("exposure_s = 0.0078\n", "")))
    assert rig.camera.exposure_s is None
    assert rig.guess.exposure_s == pytest.approx(0.0078)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("port =", "prot =", "stage.prot: is not known here; port is missing"),
        ("100 = 1600", "steps = 1600", "go by number"),
        ("exposure_s = 0.0078", "exposure_s = 0", "camera.exposure_s"),
        ("[camera]", "[[camera]]", "camera"),
        ('speaks = "grbl"', 'speaks = "abacus"', "stage.speaks"),
        ('name = "bench 1"', 'name = "bench 1', "no TOML"),
        ('speaks = "grbl"', 'speaks = "marlin"\nlamp_fraction = 0.3', "leave out lamp_fraction"),
    ],
)
def test_a_rig_that_cannot_be_used_is_refused_by_its_place(
    tmp_path: Path, old: str, new: str, place: str
) -> None:
    with pytest.raises(InputError, match=place):
        load_rig(rig_file(tmp_path, REAL.replace(old, new)))


@pytest.mark.parametrize(
    ("rig", "field", "slips"),
    [
        (REAL, "camera.exposure_s", ("7.8", '"0.0078"', "true")),
        (REAL, "camera.frame_rate_hz", ("0.033", "1e9")),
        (REAL, "camera.columns", ("1000000000", "640.5")),
        (REAL, "camera.pixel_size_um", ("1e-9", "720")),
        (REAL, "camera.turn_deg", ("1e300",)),
        (REAL, "camera.gain", ("-1",)),
        (REAL, "camera.white_balance_k", ("4.6", "1e6")),
        (REAL, "focus.start_um", ("1e9",)),
        (REAL, "focus.reach_um", ("0", "1e5")),
        (SIMULATED, "simulated.speed", ("0", "1e9")),
        (SIMULATED, "simulated.rows", ("0", "1000000000")),
        (SIMULATED, "simulated.seed", ("-1",)),
        (SIMULATED, "simulated.core_diameter_um", ("1", "1e9")),
        (SIMULATED, "simulated.margin_um", ("-1", "1e9")),
        (SIMULATED, "simulated.focus.z_um", ("1e9",)),
        (SIMULATED + "[simulated.focus]\nz_um = 0\n", "simulated.focus.slope_x", ("2",)),
        (MICRO_MANAGER, "micro_manager.speed_um_per_s", ("10", "1e9")),
        (MICRO_MANAGER, "micro_manager.acceleration_um_per_s2", ("100",)),
        (MICRO_MANAGER, "micro_manager.highest_um", ("[1e9, 0, 0]", "[1, 1]")),
    ],
)
def test_a_slip_of_a_unit_or_of_the_keyboard_is_refused_by_its_field(
    tmp_path: Path, rig: str, field: str, slips: tuple[str, ...]
) -> None:
    table, _, name = field.rpartition(".")
    for slip in slips:
        text = rig_with(rig, table, name, slip)
        with pytest.raises(InputError, match=rf"rig\.toml, {field}[ :]"):
            load_rig(rig_file(tmp_path, text))


@pytest.mark.parametrize(
    ("rig", "table", "slip", "told"),
    [
        (REAL, "focus", "reach_um = 5", "reach_um must be 1 to 200 times step_um, got 5 and 10"),
        (REAL, "focus", "step_um = 1e-9", "reach_um must be"),
        (SIMULATED, "simulated", "core_diameter_um = 2000", "not above pitch_um"),
    ],
)
def test_fields_that_do_not_go_together_are_refused_by_their_table(
    tmp_path: Path, rig: str, table: str, slip: str, told: str
) -> None:
    name, _, value = slip.partition(" = ")
    with pytest.raises(InputError, match=rf"rig\.toml, {table}: .*{told}"):
        load_rig(rig_file(tmp_path, rig_with(rig, table, name, value)))


def rig_with(rig: str, table: str, name: str, value: str) -> str:
    """A rig with a field of a table as given, in place of what it was."""
    header = f"[{table}]\n"
    text = re.sub(rf"(?m)^{name} = .*\n", "", rig)
    text = text if header in text else text + header
    return text.replace(header, f"{header}{name} = {value}\n")


def test_devices_of_micro_manager_open_by_their_rig(tmp_path: Path) -> None:
    pytest.importorskip("pymmcore_plus", reason="the extra `micro-manager` is not installed")
    rig = load_rig(rig_file(tmp_path, MICRO_MANAGER))
    assert isinstance(rig.devices, MicroManagerDevices)
    with rig.opened() as scope:
        assert scope.stage.limits.highest.x_um == 20_100
        assert scope.camera.settings.exposure_s == pytest.approx(0.0078)
        assert scope.camera.settings.columns == rig.guess.columns


def test_without_micro_manager_its_rig_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymmcore_plus", None)
    rig = load_rig(rig_file(tmp_path, MICRO_MANAGER))
    with pytest.raises(DeviceMissingError, match=r"blurryscope\[micro-manager\]"), rig.opened():
        pass


def test_a_focus_is_expected_of_every_microscope_but_the_simulated(tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    for text, is_expected in ((REAL, True), (MICRO_MANAGER, True), (SIMULATED, False)):
        path.write_text(text)
        assert load_rig(str(path)).focus.is_expected is is_expected


def test_a_simulated_lens_with_a_focus_has_it_where_rig_toml_says(tmp_path: Path) -> None:
    lens = "[simulated.focus]\nz_um = -3000\nslope_x = 0.002\ndrift_um_per_s = 0.1\n"
    rig = load_rig(rig_file(tmp_path, SIMULATED + lens))
    assert rig.focus.is_expected
    with rig.opened_with_truth() as (_, behind):
        surface = behind.settings.focus
    assert surface is not None
    assert surface.z_at_um(1000.0, 0.0) == pytest.approx(-2998.0)
    assert surface.z_at_um(1000.0, 0.0, on_for_s=60.0) == pytest.approx(-2992.0)
    with pytest.raises(InputError, match=r"simulated\.focus\.z_um: is missing"):
        load_rig(rig_file(tmp_path, SIMULATED + "[simulated.focus]\nslope_x = 0.002\n"))


def test_a_rig_without_devices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither"):
        load_rig(rig_file(tmp_path, 'name = "empty"'))
    with pytest.raises(MissingInputError):
        load_rig(str(tmp_path / "none.toml"))
