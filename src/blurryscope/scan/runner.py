"""Drive one scan: home, find or check a landmark, film lane after lane, survive what goes wrong."""

import contextlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from blurryscope.artifacts.recording import write_recording
from blurryscope.basics.errors import BlurryScopeError, InputError, OutputError
from blurryscope.devices.contracts import CameraFrame, StageMode, StagePoint, StageStatus
from blurryscope.devices.errors import DeviceError, StageError
from blurryscope.devices.jpeg import JpegFilm
from blurryscope.scan.drive import SETTLE_S, Microscope, approach, drive, picture_at
from blurryscope.scan.film_parts import (
    PARTS,
    drop_parts,
    join_parts,
    part_name,
    refuse_damaged,
)
from blurryscope.scan.filming import Filming, Taker
from blurryscope.scan.job import JOURNAL, ScanJob, recording_of
from blurryscope.scan.journal import Journal, read_journal
from blurryscope.scan.landmark import (
    REMEDY,
    Found,
    detail_amid,
    find_landmark,
    refuse_moved,
    take_landmark,
)
from blurryscope.scan.likely_places import likely_places
from blurryscope.scan.overview import Overview
from blurryscope.scan.past import Past, lane_starts_s, past_of, read_past, refuse_other_plan
from blurryscope.scan.plan import Lane
from blurryscope.scan.set_off import set_off_s
from blurryscope.scan.states import (
    Controls,
    OnStatus,
    ScanAbortedError,
    ScanState,
    ScanStatus,
)
from blurryscope.scan.watches import (
    FocusWatch,
    FrozenWatch,
    LivePicture,
    Recorder,
    SettingsWatch,
    lost_words,
)
from blurryscope.scan.way import (
    StillWatch,
    bare_error,
    cruise_s,
    lost_error,
    put_aside,
    stalled_error,
)

LIVE_PICTURE = "live.jpg"
OVERVIEW = "overview.jpg"
_STANDING_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Supervision:
    """Who watches a scan and who may stop it."""

    controls: Controls
    on_status: OnStatus
    takers: tuple[Taker, ...] = ()
    """Take every frame that counts; given up when a scan is taken up again half way."""
    start_takers: tuple[Callable[[float], None], ...] = ()
    """Take when the stage set off on the lane just filmed, on the film's clock; as `takers`."""
    end_takers: tuple[Callable[[], None], ...] = ()
    """Hear that the last frame has come, before the stage is looked at once more; as `takers`."""


def run_scan(scope: Microscope, job: ScanJob, supervision: Supervision) -> Path:
    """Scan one slide once, or what is left of it, and give the path of its film.

    Whatever goes wrong the stage is stopped, the film is closed whole, the journal says how far it
    came, and the error goes on to the caller. The same call takes the scan up again; where the
    stage lost its way it homes, puts that film aside and begins anew.
    """
    past = read_past(job.folder / JOURNAL)
    refuse_other_plan(job.folder, past, job.checksum())
    if past.is_done and job.film.is_file():
        drop_parts(job.folder, past.parts)
        return job.film
    if past.went_astray:
        put_aside(job.folder)
        past = Past(went_astray=True)
    refuse_damaged(job.folder, past.parts)
    (job.folder / PARTS).mkdir(parents=True, exist_ok=True)
    with Journal(job.folder / JOURNAL, scope.clock) as journal:
        run = _Run(scope, job, past, journal, supervision)
        try:
            run.go()
        except StageError as error:
            # Whoever aborts holds the stage, which may be met in a move or in homing first.
            if not supervision.controls.is_aborted:
                run.end_badly(error)
                raise
            aborted = ScanAbortedError()
            run.end_badly(aborted)
            raise aborted from error
        except BaseException as error:
            run.end_badly(error)
            raise
    return job.film


class _Run:
    """The state of a scan that runs."""

    def __init__(
        self,
        scope: Microscope,
        job: ScanJob,
        past: Past,
        journal: Journal,
        supervision: Supervision,
    ) -> None:
        self._scope, self._job, self._past = scope, job, past
        self._journal, self._watched = journal, supervision
        self._lanes = tuple(job.plan.lanes())
        self._lane = past.lanes_done
        self._part = part_name(len(past.parts) + 1)
        self._state = ScanState.OPENING
        self._note = ""
        self._due_s = 0.0
        """When the next lane begins."""
        self._frozen = FrozenWatch(camera=scope.camera.name)
        self._recorder: Recorder | None = None
        self._filming: Filming | None = None
        self._focus = FocusWatch(
            flat=job.flat,
            glass=job.glass,
            is_portrait=job.plan.field.is_portrait,
            pixel_size_um=job.plan.field.pixel_size_um,
        )
        self._settings = SettingsWatch(scope.camera)
        self._still = StillWatch(flat=job.flat, glass=job.glass)
        self._landmark = past.landmark
        self._overview = Overview(job.folder / OVERVIEW, job.plan, job.flat)

    def go(self) -> None:
        """From opening to done."""
        self._enter(ScanState.OPENING)
        if not self._past.kept_way:
            self._find_place()
            if self._lane < len(self._lanes):
                self._film()
                self._prove_way()
        self._overview.finish()
        self._enter(ScanState.JOINING)
        entries = read_journal(self._job.folder / JOURNAL)
        parts, rate_hz = past_of(entries).parts, self._job.plan.field.frame_rate_hz
        begins_s = join_parts(self._job.folder, parts, rate_hz)
        starts_s = lane_starts_s(entries, begins_s)
        recording = replace(recording_of(self._job, self._scope.name), lane_starts_s=starts_s)
        write_recording(self._job.folder / "recording.json", recording)
        self._enter(ScanState.DONE)
        # Not before: whoever is killed after joining joins them again.
        drop_parts(self._job.folder, parts)

    def end_badly(self, error: BaseException) -> None:
        """Stop the stage if it can be reached, and say in the journal what happened."""
        state = ScanState.FAILED
        if isinstance(error, (ScanAbortedError, KeyboardInterrupt)):
            state = ScanState.ABORTED
        elif isinstance(error, (BlurryScopeError, OSError)):
            state = ScanState.INTERRUPTED
        self._stop()
        self._state, self._note = state, str(error)
        with contextlib.suppress(OutputError):  # a full disk must not hide what it broke off
            self._note_state()
        self._tell()

    def _stop_at_once(self, kind: object, error: object, trace: object) -> None:  # noqa: ARG002
        """Before the film is closed, which may take a while with a camera that hangs."""
        if kind is not None:
            self._stop()

    def _stop(self) -> None:
        try:
            self._scope.stage.stop()
        except DeviceError as unreachable:
            with contextlib.suppress(OutputError):
                self._journal.note("stop failed", error=str(unreachable))

    # Before the first lane

    def _find_place(self) -> None:
        """Make sure that the stage knows where it is, and that the slide lies where it lay."""
        status = self._scope.stage.status()
        if status.mode is StageMode.HELD:
            self._scope.stage.stop()
        is_proven = (
            status.is_homed
            and status.mode is not StageMode.ALARMED
            and not self._past.went_astray
            and (not self._past.has_lanes or _is_same_boot(status, self._past))
        )
        if not is_proven:
            status = self._home()
        if self._past.has_lanes:
            self._check_landmark(is_needed=not is_proven)
        self._journal.note(
            "begin",
            plan=self._job.checksum(),
            slide=self._job.slide,
            repeat=self._job.repeat,
            boot_id=status.boot_id,
            lane=self._lane,
            stage=self._scope.stage.name,
            camera=self._scope.camera.name,
            camera_settings=asdict(self._scope.camera.settings),
        )
        if not self._past.has_lanes:
            self._take_landmark()

    def _home(self) -> StageStatus:
        """Home, which a person may break off like everything else."""
        self._enter(ScanState.HOMING)
        status = self._scope.stage.home()
        self._watched.controls.check()
        return status

    def _check_landmark(self, *, is_needed: bool = False) -> None:
        """Refuse to go on where the slide lies elsewhere than it lay for the lanes before."""
        if self._landmark is None:
            if is_needed:
                raise InputError(
                    self._job.folder,
                    "the slide has no landmark, so its place cannot be proven after homing",
                    REMEDY,
                )
            return
        found = self._find_landmark(self._landmark)
        refuse_moved(self._job.folder, found)
        self._journal.note("landmark found", off_um=round(found.off_um, 2))

    def _find_landmark(self, place: StagePoint) -> Found:
        self._enter(ScanState.CHECKING)
        job, pixel_size_um = self._job, self._job.plan.field.pixel_size_um
        return find_landmark(place, job.folder, job.flat, pixel_size_um, self._photograph)

    def _photograph(self, place: StagePoint) -> CameraFrame:
        """As the landmark was photographed; while the camera films, with a frame not kept."""
        scope, recorder = self._scope, self._recorder
        if recorder is None or self._filming is None:
            return picture_at(scope, place, watch=self._look)
        approach(scope, place, watch=self._look)
        scope.clock.sleep(SETTLE_S)
        stands_s = scope.clock.monotonic_s()
        while recorder.unfilmed is None or recorder.unfilmed.time_s < stands_s:
            self._look(scope.stage.status())
            scope.clock.sleep(_STANDING_LOOK_S)
        return recorder.unfilmed

    def _take_landmark(self) -> None:
        self._enter(ScanState.CHECKING)
        scope, job = self._scope, self._job
        detail_of = partial(detail_amid, flat=job.flat)
        places = likely_places(scope, job.plan, job.landmark_hints, detail_of, self._look)
        place = self._landmark = take_landmark(scope, places, job.folder, job.flat, self._look)
        if place is None:
            self._warn("no tissue to know the slide by: whether the stage keeps its way is unknown")
        else:
            self._journal.note("landmark", x_um=place.x_um, y_um=place.y_um, z_um=place.z_um)

    def _prove_way(self) -> None:
        """With all lanes filmed, see whether the stage is still where its controller counts."""
        if self._landmark is None:
            if not self._still.has_seen_tissue and not self._past.has_lanes:
                self._go_astray(bare_error(self._job.folder))
            return
        found = self._find_landmark(self._landmark)
        if not found.is_in_place:
            self._go_astray(lost_error(self._scope.stage.name, found.words))
        self._journal.note("way kept", off_um=round(found.off_um, 2))

    def _go_astray(self, error: StageError | InputError) -> NoReturn:
        """What was filmed cannot be trusted: the next try homes, and begins anew."""
        self._journal.note("astray", words=error.problem)
        raise error

    # Lane after lane

    def _film(self) -> None:
        scope, job, field = self._scope, self._job, self._job.plan.field
        live = LivePicture(job.folder / LIVE_PICTURE, scope.clock)
        takers: list[Taker] = [
            live.take, self._focus.take, self._still.take, self._overview.take,
        ]  # fmt: skip
        if not self._past.has_lanes:
            takers += self._watched.takers
        drive(scope, self._lanes[self._lane].start, watch=self._look)
        path = job.folder / PARTS / self._part
        self._journal.note("part", file=self._part)
        with ExitStack() as stack:
            film = JpegFilm(path, (field.rows, field.columns), field.frame_rate_hz)
            recorder = Recorder(stack.enter_context(film), takers)
            filming = stack.enter_context(Filming(scope.camera, [recorder.take]))
            stack.push(self._stop_at_once)
            self._recorder, self._filming = recorder, filming
            filming.wait_for_first()
            self._enter(ScanState.SCANNING)
            recorder.is_on = True
            for lane in self._lanes[self._lane :]:
                self._scan_lane(lane, recorder)
                self._pause_if_asked(recorder)
            recorder.is_on = False
        self._filming = None
        # Only now is no frame under way any more; those after the last rest count as well.
        self._journal.note("film ends", file=self._part, frame=recorder.frame_count)
        if not self._past.has_lanes:
            for hear_of_the_end in self._watched.end_takers:
                hear_of_the_end()

    def _scan_lane(self, lane: Lane, recorder: Recorder) -> None:
        """Step to the lane, rest, run along it, rest."""
        scope, motion = self._scope, self._job.plan.motion
        drive(scope, lane.start, watch=self._look)
        # Lanes follow each other at an even beat, whatever the talk with the stage takes.
        scope.clock.sleep(max(motion.rest_s, self._due_s - scope.clock.monotonic_s()))
        lost, first = recorder.lost_count, recorder.frame_count
        start = scope.stage.status()
        self._journal.note("lane begins", lane=lane.index, frame=first, **_where(start))
        begun_s = scope.clock.monotonic_s()
        answers: list[StageStatus] = []

        def look(status: StageStatus) -> None:
            answers.append(status)
            self._look(status)

        at_end = drive(scope, lane.end, motion.speed_um_per_s, look)
        self._due_s = begun_s + motion.travel_s(lane.length_um) + self._job.plan.stand_s
        self._journal.note(
            "lane is at its end", lane=lane.index, film_began_s=recorder.first_s, **_where(at_end)
        )
        # A plan may count on slower ramps than the stage has; when it set off goes by the stage's.
        ramps = replace(motion, acceleration_um_per_s2=scope.stage.limits.acceleration_um_per_s2)
        began_s = set_off_s(answers, lane, ramps)
        start_s = self._start_in_film(began_s, recorder)
        scope.clock.sleep(motion.rest_s)
        self._wait_for_film(recorder, at_end.time_s)
        if began_s is not None:
            self._refuse_still(lane, cruise_s(began_s, lane, ramps))
        self._end_lane(lane, recorder, lost, first, start_s)

    def _wait_for_film(self, recorder: Recorder, until_s: float) -> None:
        """A lane is finished when its last frames are there: a camera may have failed meanwhile.

        Raises what the camera has to say, or `CameraFrozenError` when it says nothing.
        """
        while recorder.last_s is None or recorder.last_s < until_s:
            self._look(self._scope.stage.status())
            self._scope.clock.sleep(_STANDING_LOOK_S)

    def _refuse_still(self, lane: Lane, at_speed_s: tuple[float, float]) -> None:
        """A lane of which the camera saw one place only was not filmed, whatever was counted."""
        stood_s = self._still.end_lane(*at_speed_s, self._job.plan.motion.speed_um_per_s)
        if stood_s is not None:
            self._go_astray(stalled_error(self._scope.stage.name, lane.index, stood_s))

    def _start_in_film(self, start_s: float | None, recorder: Recorder) -> float | None:
        """On the clock of the part that is filmed; tells those who stitch meanwhile."""
        if start_s is None or recorder.first_s is None:
            return None
        in_film_s = start_s - recorder.first_s
        if not self._past.has_lanes:
            for taker in self._watched.start_takers:
                taker(in_film_s)
        return round(in_film_s, 6)

    def _end_lane(
        self, lane: Lane, recorder: Recorder, lost: int, first: int, start_s: float | None
    ) -> None:
        count, lost = recorder.frame_count, recorder.lost_count - lost
        self._lane = lane.index + 1
        recorder.keep()
        self._journal.note(
            "lane ends",
            lane=lane.index,
            file=self._part,
            frame=count,
            lost_count=lost,
            set_off_s=start_s,
        )
        found = (
            self._focus.end_lane(),
            lost_words(lost, count - first),
            self._settings.end_lane(),
        )
        self._note = ""
        words = "; ".join(each for each in found if each is not None)
        if words:
            self._warn(words, lane.index)
        self._tell()

    def _warn(self, words: str, lane: int | None = None) -> None:
        """Tell a person, and the journal, what a scan goes on in spite of."""
        self._note = words if lane is None else f"lane {lane}: {words}"
        self._journal.note("warning", lane=lane, words=words)
        self._tell()

    def _pause_if_asked(self, recorder: Recorder) -> None:
        controls = self._watched.controls
        controls.check()
        if not controls.wants_pause() or self._lane == len(self._lanes):
            return
        recorder.is_on = False
        self._enter(ScanState.PAUSED)
        while controls.wants_pause():
            self._look(self._scope.stage.status())
            self._scope.clock.sleep(_STANDING_LOOK_S)
        controls.check()
        self._check_landmark()
        self._enter(ScanState.SCANNING)
        recorder.is_on = True

    def _look(self, status: StageStatus) -> None:
        """What is looked after while the stage moves: a person's wishes, and the camera."""
        self._watched.controls.check()
        is_filming = self._filming is not None
        if self._filming is not None:
            self._filming.check()
        self._frozen.look(self._recorder if is_filming else None, self._scope.clock.monotonic_s())
        self._overview.watch(status)
        self._tell()

    # Telling

    def _enter(self, state: ScanState) -> None:
        self._state = state
        self._note_state()
        self._tell()

    def _note_state(self) -> None:
        self._journal.note("state", state=self._state.value, lane=self._lane, note=self._note)

    def _tell(self) -> None:
        recorder = self._recorder
        self._watched.on_status(
            ScanStatus(
                slide=self._job.slide,
                repeat=self._job.repeat,
                state=self._state,
                lane=self._lane,
                lane_count=len(self._lanes),
                frame_count=0 if recorder is None else recorder.frame_count,
                lost_count=0 if recorder is None else recorder.lost_count,
                note=self._note,
            )
        )


def _is_same_boot(status: StageStatus, past: Past) -> bool:
    """Whether the controller has run ever since; one that cannot tell has not proven it."""
    return past.boot_id is not None and status.boot_id == past.boot_id


def _where(status: StageStatus) -> dict[str, object]:
    place = status.position
    return {
        "stage_s": round(status.time_s, 6),
        "x_um": place.x_um,
        "y_um": place.y_um,
        "z_um": place.z_um,
    }
