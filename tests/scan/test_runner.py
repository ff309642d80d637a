"""Scans of the simulated rig: undisturbed, steered by a person, and broken off by faults."""

import math
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from blurryscope.artifacts.recording import read_recording
from blurryscope.artifacts.video import Video
from blurryscope.basics.errors import BlurryScopeError, InputError
from blurryscope.devices.errors import CameraFrozenError, DeviceError, StageStalledError
from blurryscope.scan.job import JOURNAL, is_done
from blurryscope.scan.journal import Entry, read_journal
from blurryscope.scan.past import read_past
from blurryscope.scan.runner import run_scan
from blurryscope.scan.states import Controls, ScanAbortedError, ScanStatus
from blurryscope.scan.way import StageLostError
from blurryscope.simulator.rig import SimulatedRig
from blurryscope.simulator.rig_camera import CameraFaults, SimulatedCamera
from blurryscope.simulator.true_stage import LostWay
from tests.scan.desk import SLIDE, THREE_LANES, Watcher, job_in, opened, rig_of

LANES = list(THREE_LANES.lanes())


def test_the_plan_of_these_tests_has_three_lanes() -> None:
    assert len(LANES) == 3


def test_a_person_can_stop_the_homing_and_all_that_comes_before_the_lanes(tmp_path: Path) -> None:
    for state in ("homing", "checking"):
        with rig_of() as rig, opened(rig) as scope:
            watcher = Watcher(controls=Controls(scope.stage.hold))

            def stop(status: ScanStatus, at: str = state, by: Watcher = watcher) -> None:
                by(status)
                if status.state.value == at:
                    threading.Thread(target=by.controls.abort).start()

            supervision = replace(watcher.supervision(), on_status=stop)
            with pytest.raises(ScanAbortedError):
                run_scan(scope, job_in(tmp_path / state), supervision)
            machine = rig.controller.machine
            assert machine.path.speed_at(rig.clock.monotonic_s()) == 0
        assert watcher.states[-2:] == [state, "aborted"]


def test_a_scan_that_broke_off_before_its_first_lane_begins_again(tmp_path: Path) -> None:
    with rig_of() as rig, opened(rig) as scope:
        watcher = Watcher()

        def stop(status: ScanStatus) -> None:
            watcher(status)
            if status.state.value == "checking":
                watcher.controls.abort()

        with pytest.raises(ScanAbortedError):
            run_scan(scope, job_in(tmp_path), replace(watcher.supervision(), on_status=stop))
        rig.controller.power_on(rig.clock.monotonic_s())
    with rig_of() as rig, opened(rig) as scope:
        film = run_scan(scope, job_in(tmp_path), Watcher().supervision())
    assert film.is_file()
    assert (tmp_path / "landmark.png").is_file()


class CopyingWatcher(Watcher):
    """Keeps the folder of a scan as it is when that is done and not tidied yet."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.as_joined = folder.with_name("as-joined")

    def __call__(self, status: ScanStatus) -> None:
        super().__call__(status)
        if status.state.value == "done":
            shutil.copytree(self._folder, self.as_joined)


class Undisturbed:
    """One scan that nothing disturbs, looked at by several tests."""

    def __init__(self, folder: Path) -> None:
        self.watcher = CopyingWatcher(folder)
        self.job = job_in(folder)
        with rig_of() as rig:
            with opened(rig) as scope:
                self.film = run_scan(scope, self.job, self.watcher.supervision())
            self.stretches = rig.controller.machine.path.stretches()
        self.journal = read_journal(folder / JOURNAL)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("scan"))


def test_a_scan_goes_through_its_states_and_tells_them(undisturbed: Undisturbed) -> None:
    states = ["opening", "homing", "checking", "scanning", "checking", "joining", "done"]
    assert undisturbed.watcher.states == states
    assert [e.facts["state"] for e in undisturbed.journal if e.event == "state"] == states
    assert is_done(undisturbed.job)


def test_every_frame_of_the_film_went_to_the_takers(undisturbed: Undisturbed) -> None:
    with Video(undisturbed.film) as film:
        times_s = [frame.time_s for frame in film]
        assert film.damage is None
    assert undisturbed.watcher.frames == list(range(len(times_s)))
    assert np.median(np.diff(times_s)) == pytest.approx(1 / 30, abs=0.002)
    last = events(undisturbed.journal, "lane ends")[-1]
    # The camera films on while the journal is written, which on a busy disk takes milliseconds.
    assert 0 <= len(times_s) - int(str(last.facts["frame"])) < 10
    recording = read_recording(undisturbed.film.with_name("recording.json"))
    assert (recording.slide, recording.repeat) == ("TINY", 1)
    assert recording.lane_pitch_um == pytest.approx(THREE_LANES.lane_pitch_um)


def test_the_stage_holds_speed_and_pitch_and_rests_before_every_lane(
    undisturbed: Undisturbed,
) -> None:
    lanes = [s for s in undisturbed.stretches if is_cruise_of_lane(s)]
    assert len(lanes) == len(LANES)
    for lane, plan in zip(lanes, LANES, strict=True):
        assert lane.speed_um_per_s == pytest.approx(5000, rel=0.01)
        assert lane.direction[0] == pytest.approx(1 if plan.is_forward else -1)
    ys_um = [lane.origin_um[1] for lane in lanes]
    assert np.diff(ys_um) == pytest.approx([THREE_LANES.lane_pitch_um] * 2, abs=2.0)
    for lane in lanes:
        ramp = undisturbed.stretches[undisturbed.stretches.index(lane) - 1]
        step = undisturbed.stretches[undisturbed.stretches.index(lane) - 2]
        assert ramp.acceleration_um_per_s2 > 0
        assert ramp.start_s - step.end_s >= THREE_LANES.motion.rest_s


def is_cruise_of_lane(stretch: object) -> bool:
    """At full speed along the whole of a lane."""
    lasts_s = float(getattr(stretch, "lasts_s", 0.0))
    speed = float(getattr(stretch, "speed_um_per_s", 0.0))
    is_steady = getattr(stretch, "acceleration_um_per_s2", None) == 0
    return is_steady and speed * lasts_s > 2000 and abs(speed - 5000) < 500


def test_the_film_comes_with_the_times_at_which_the_stage_set_off(
    undisturbed: Undisturbed,
) -> None:
    starts_s = read_recording(undisturbed.film.with_name("recording.json")).lane_starts_s
    assert starts_s is not None
    assert undisturbed.watcher.starts_s == pytest.approx(starts_s, abs=1e-3)
    began = events(undisturbed.journal, "lane is at its end")[0].facts["film_began_s"]
    true_s = [
        cruise.start_s
        - THREE_LANES.motion.speed_um_per_s / THREE_LANES.motion.acceleration_um_per_s2
        for cruise in undisturbed.stretches
        if is_cruise_of_lane(cruise)
    ]
    late_s = float(str(began)) + np.array(starts_s) - np.array(true_s)
    # Never early, and late by what an answer takes; a busy computer is 20 times as late here.
    assert late_s.min() > -1e-3
    assert late_s.max() < 0.1


def test_a_finished_scan_is_not_done_twice(undisturbed: Undisturbed) -> None:
    with rig_of() as rig, opened(rig) as scope:
        before = rig.controller.machine.path.stretches()
        assert run_scan(scope, undisturbed.job, Watcher().supervision()) == undisturbed.film
        assert rig.controller.machine.path.stretches() == before


@pytest.fixture
def half_joined(undisturbed: Undisturbed, tmp_path: Path) -> Path:
    """The folder of a scan that was killed when its film was joined and its parts still lay."""
    folder = shutil.copytree(undisturbed.watcher.as_joined, tmp_path / "half-joined")
    journal = folder / JOURNAL
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    journal.write_text("".join(lines[:-1]), encoding="utf-8")
    return folder


def test_a_scan_that_was_killed_when_its_film_was_joined_joins_it_again(half_joined: Path) -> None:
    folder = half_joined
    assert not is_done(job_in(folder))
    with rig_of() as rig, opened(rig) as scope:
        film = run_scan(scope, job_in(folder), Watcher().supervision())
        assert rig.controller.machine.path.stretches() == ()
    assert_film_is_whole(film, folder)
    assert list((folder / "parts").iterdir()) == []


@pytest.mark.parametrize("left_fraction", [0.5, 0.0, None])
def test_a_part_that_lacks_frames_that_count_is_told_before_anything_moves(
    half_joined: Path, left_fraction: float | None
) -> None:
    part = half_joined / "parts" / "part-001.mkv"
    content = part.read_bytes()
    part.unlink()
    if left_fraction is not None:  # what a power cut leaves of what was not on the disk yet
        part.write_bytes(content[: round(left_fraction * len(content))])
    with (
        rig_of() as rig,
        opened(rig) as scope,
        pytest.raises(InputError, match=r"part-001\.mkv: .* frames that count"),
    ):
        run_scan(scope, job_in(half_joined), Watcher().supervision())
    assert rig.controller.machine.path.stretches() == ()


def test_another_plan_does_not_go_into_the_folder(undisturbed: Undisturbed) -> None:
    other = replace(undisturbed.job, plan=replace(THREE_LANES, overlap_fraction=0.3))
    with rig_of() as rig, opened(rig) as scope, pytest.raises(InputError, match="another plan"):
        run_scan(scope, other, Watcher().supervision())


class AbortIn(Watcher):
    """Stops the scan soon after a lane was begun."""

    def __init__(self, lane: int, ticks: int = 3) -> None:
        super().__init__()
        self._lane, self._ticks = lane, ticks

    def __call__(self, status: ScanStatus) -> None:
        super().__call__(status)
        if status.state == "scanning" and status.lane == self._lane:
            self._ticks -= 1
            if self._ticks == 0:
                self.act()

    def act(self) -> None:
        self.controls.abort()


def test_a_stopped_scan_goes_on_at_the_start_of_its_unfinished_lane(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    with rig_of() as rig:
        with opened(rig) as scope, pytest.raises(ScanAbortedError):
            run_scan(scope, job, AbortIn(lane=1).supervision())
        past = read_past(tmp_path / JOURNAL)
        assert past.lanes_done == 1
        with opened(rig) as scope:
            assert not scope.stage.status().is_moving
            again = Watcher()
            film = run_scan(scope, job, again.supervision())
    assert "homing" not in again.states  # the same boot id: its position is still good
    assert [e.facts["lane"] for e in events(read_journal(tmp_path / JOURNAL), "lane ends")] == [
        0, 1, 2,
    ]  # fmt: skip
    assert not list((tmp_path / "parts").iterdir())
    assert_film_is_whole(film, tmp_path)
    starts_s = read_recording(film.with_name("recording.json")).lane_starts_s
    assert starts_s is not None
    with Video(film) as whole:
        times_s = [frame.time_s for frame in whole]
    second_part_s = times_s[past.parts[0].kept_frames]
    rest_s = THREE_LANES.motion.rest_s
    assert starts_s[0] == pytest.approx(rest_s, abs=0.5)
    assert starts_s[1] == pytest.approx(second_part_s + rest_s, abs=0.5)
    assert not again.starts_s  # who stitches live has not seen the first part


def test_a_pause_waits_for_the_end_of_the_lane_and_films_nothing(tmp_path: Path) -> None:
    class Pause(AbortIn):
        def act(self) -> None:
            self.controls.pause()

        def __call__(self, status: ScanStatus) -> None:
            super().__call__(status)
            if status.state == "paused":
                self.counts.append(status.frame_count)
                if len(self.counts) == 5:
                    self.controls.resume()

        counts: list[int]

    watcher = Pause(lane=0)
    watcher.counts = []
    with rig_of() as rig, opened(rig) as scope:
        run_scan(scope, job_in(tmp_path), watcher.supervision())
    assert watcher.states[-7:] == [
        "scanning", "paused", "checking", "scanning", "checking", "joining", "done",
    ]  # fmt: skip
    assert len(set(watcher.counts)) == 1
    assert min(s.lane for s in watcher.told if s.state == "paused") == 1


class Unplug(AbortIn):
    def __init__(self, rig: SimulatedRig, lane: int) -> None:
        super().__init__(lane)
        self._rig = rig

    def act(self) -> None:
        self._rig.port.unplug()


def test_a_lost_cable_closes_the_film_and_the_scan_goes_on_after_it(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    with rig_of() as rig:
        with opened(rig) as scope, pytest.raises(DeviceError):
            run_scan(scope, job, Unplug(rig, lane=1).supervision())
        told = read_journal(tmp_path / JOURNAL)
        assert told[-1].facts["state"] == "interrupted"
        with Video(tmp_path / "parts" / "part-001.mkv") as film:
            assert len(list(film)) >= int(str(events(told, "lane ends")[0].facts["frame"]))
        rig.port.plug_in()
        with opened(rig) as scope:
            assert_film_is_whole(run_scan(scope, job, Watcher().supervision()), tmp_path)


def test_a_camera_that_freezes_interrupts_the_scan_and_keeps_the_lanes_before(
    tmp_path: Path,
) -> None:
    class Freeze(AbortIn):
        def act(self) -> None:
            self.faults.is_frozen = True

        faults: CameraFaults

    job, watcher = job_in(tmp_path), Freeze(lane=1)
    with rig_of() as rig, opened(rig) as scope:
        assert isinstance(scope.camera, SimulatedCamera)
        watcher.faults = scope.camera.faults
        with pytest.raises(CameraFrozenError):
            run_scan(scope, job, watcher.supervision())
        assert not scope.stage.status().is_moving
        watcher.faults.is_frozen = False
        assert_film_is_whole(run_scan(scope, job, Watcher().supervision()), tmp_path)
    assert "interrupted" in watcher.states


def test_after_a_restart_the_stage_is_homed_and_the_slide_recognised(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    with rig_of() as rig:
        with opened(rig) as scope, pytest.raises(BlurryScopeError):
            run_scan(scope, job, AbortIn(lane=1).supervision())
        rig.controller.power_on(rig.clock.monotonic_s())
        watcher = Watcher()
        with opened(rig) as scope:
            assert_film_is_whole(run_scan(scope, job, watcher.supervision()), tmp_path)
    assert watcher.states[:4] == ["opening", "homing", "checking", "scanning"]
    found = events(read_journal(tmp_path / JOURNAL), "landmark found")
    assert float(str(found[0].facts["off_um"])) < 10


def test_another_slide_is_not_taken_for_the_one_that_was_begun(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    with rig_of() as rig, opened(rig) as scope, pytest.raises(BlurryScopeError):
        run_scan(scope, job, AbortIn(lane=1).supervision())
    other = replace(SLIDE, seed=4)
    with rig_of(other) as rig, opened(rig) as scope:
        with pytest.raises(InputError, match=r"not where it was|off where it lay"):
            run_scan(scope, job, Watcher().supervision())
        assert not scope.stage.status().is_moving
    assert read_past(tmp_path / JOURNAL).lanes_done == 1


class Break(AbortIn):
    """Lets the carriage lose way for a time, from where a lane comes over a core."""

    def __init__(self, rig: SimulatedRig, lane: int, lasts_s: float) -> None:
        super().__init__(lane, ticks=1)
        self._rig, self._lasts_s = rig, lasts_s

    def act(self) -> None:
        cruise = self._rig.controller.machine.path.stretches()[-2]
        if not is_cruise_of_lane(cruise):
            self._ticks = 1  # not under way yet
            return
        core_x_um = self._rig.slide.cores[1].x_um + self._rig.true_stage.corner_um[0]
        way_um = abs(core_x_um - cruise.origin_um[0])
        from_s = cruise.start_s + way_um / cruise.speed_um_per_s
        lost = LostWay(axis=0, from_s=from_s, until_s=from_s + self._lasts_s)
        self._rig.true_stage.lost.append(lost)


def test_a_stage_that_lost_way_in_a_lane_is_told_at_the_end_and_scans_anew(tmp_path: Path) -> None:
    job = job_in(tmp_path / "repeat-1")
    with rig_of() as rig, opened(rig) as scope:
        breaking = Break(rig, lane=1, lasts_s=0.1)
        with pytest.raises(StageLostError, match=r"lost its way by .* µm.*same command again"):
            run_scan(scope, job, breaking.supervision())
        assert breaking.states[-2:] == ["checking", "interrupted"]
        assert not is_done(job)
        assert not job.film.exists()
        rig.true_stage.lost.clear()  # mended
        again = Watcher()
        film = run_scan(scope, job, again.supervision())
    assert "homing" in again.states
    assert again.frames[0] == 0  # who stitches live sees it from its beginning
    assert_film_is_whole(film, job.folder)
    kept = tmp_path / "astray-repeat-1"
    assert read_past(kept / JOURNAL).went_astray
    with Video(kept / "parts" / "part-001.mkv") as whole:
        assert len(list(whole)) > 50


def test_way_lost_by_less_than_a_field_is_told_in_micrometres(tmp_path: Path) -> None:
    with rig_of() as rig, opened(rig) as scope:
        with pytest.raises(StageLostError) as told:
            run_scan(scope, job_in(tmp_path / "scan"), Break(rig, 1, 0.012).supervision())
        lost_um = float(str(told.value).split("lost its way by ")[1].split(" µm")[0])
        lost = rig.true_stage.lost
        now_s = np.array(rig.clock.monotonic_s())
        with_um, _ = rig.true_stage.position_um(now_s)
        lost.clear()
        without_um, _ = rig.true_stage.position_um(now_s)
    assert lost_um == pytest.approx(abs(float(with_um - without_um)), abs=8.0)


def test_a_scan_in_which_the_carriage_never_left_the_glass_is_not_done(tmp_path: Path) -> None:
    with rig_of() as rig, opened(rig) as scope:
        scope.stage.home()
        seen = cv2.GaussianBlur(scope.camera.grab().luma().astype(np.float32), (0, 0), 3.0)
        glass = float(seen.mean())
        job = replace(job_in(tmp_path / "scan"), flat=np.asarray(seen / glass), glass=glass)
        now_s = rig.clock.monotonic_s()
        rig.true_stage.lost += [LostWay(axis=axis, from_s=now_s) for axis in (0, 1)]
        with pytest.raises(InputError, match=r"no lane shows anything but glass.*motor"):
            run_scan(scope, job, Watcher().supervision())
        assert not is_done(job)
        rig.true_stage.lost.clear()
        assert run_scan(scope, job, Watcher().supervision()) == job.film


def test_a_lane_of_which_the_camera_sees_one_place_only_is_a_stall(tmp_path: Path) -> None:
    long = replace(THREE_LANES, area=replace(THREE_LANES.area, left_um=8000, width_um=3400))
    job = job_in(tmp_path / "scan", long)
    with rig_of() as rig, opened(rig) as scope:
        with pytest.raises(StageStalledError, match="lane 1, and the picture stands"):
            run_scan(scope, job, Break(rig, 1, math.inf).supervision())
        assert not scope.stage.status().is_moving
    assert read_past(job.folder / JOURNAL).went_astray


def test_a_slide_that_was_moved_while_the_stage_kept_its_power_is_noticed(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    with rig_of() as rig:
        with opened(rig) as scope, pytest.raises(ScanAbortedError):
            run_scan(scope, job, AbortIn(lane=1).supervision())
        push(rig)
        watcher = Watcher()
        with opened(rig) as scope, pytest.raises(InputError, match="slide was moved"):
            run_scan(scope, job, watcher.supervision())
    assert "homing" not in watcher.states
    assert read_past(tmp_path / JOURNAL).lanes_done == 1


def test_a_slide_that_was_moved_in_a_pause_is_noticed(tmp_path: Path) -> None:
    with rig_of() as rig, opened(rig) as scope:
        watcher = Watcher()

        def pause(status: ScanStatus) -> None:
            watcher(status)
            if status.state == "scanning" and status.lane == 0:
                watcher.controls.pause()
            elif status.state == "paused" and watcher.controls.wants_pause():
                push(rig)
                watcher.controls.resume()

        with pytest.raises(InputError, match="slide was moved"):
            run_scan(scope, job_in(tmp_path), replace(watcher.supervision(), on_status=pause))
    assert watcher.states[-3:] == ["paused", "checking", "interrupted"]


def push(rig: SimulatedRig) -> None:
    """Somebody shifts the slide on the stage by 360 µm."""
    x_um, y_um = rig.true_stage.corner_um
    rig.true_stage.corner_um = (x_um + 300.0, y_um + 200.0)


def events(journal: list[Entry], event: str) -> list[Entry]:
    return [entry for entry in journal if entry.event == event]


def assert_film_is_whole(path: Path, folder: Path) -> None:
    """All lanes are in it, each to its end, none twice, and time never stands still."""
    told = read_journal(folder / JOURNAL)
    for lane in LANES:
        first, last = (
            [float(str(e.facts["frame"])) for e in events(told, name) if e.facts["lane"] == at][-1]
            for name, at in (("lane begins", lane.index), ("lane ends", lane.index))
        )
        assert last - first > 0.8 * 30 * THREE_LANES.motion.travel_s(lane.length_um)
    kept = sum(part.kept_frames for part in read_past(folder / JOURNAL).parts)
    with Video(path) as film:
        times_s = [frame.time_s for frame in film]
    assert len(times_s) == kept
    assert min(np.diff(times_s)) > 0
