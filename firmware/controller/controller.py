"""Bytes in, answers out, one `poll` after the other; states as in `protocol.md`, section 6."""

from controller.dollar import obey_dollar
from controller.gcode import LAMP, MARK, MOVE, NOTHING, Command, Modes, read_block
from controller.homing import home
from controller.lines import HOLD, QUERY, REAL_TIME, RESET, RESUME, LineBuffer, LineGuard
from controller.motion import QUEUE_LIMIT, Motion
from controller.refusal import (
    HARD_LIMIT,
    HOMING_BROKEN_OFF,
    LOCKED,
    RAN_DRY,
    RESET_IN_MOTION,
    HomingFailed,
    Refused,
)
from controller.report import BANNER, UNLOCK_HINT, status
from controller.settings import Settings

TYPE_CHECKING = False  # MicroPython has no typing module
if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.board import Board

ALARM, READY, HOMING, BRAKING, HELD, SILENCED = range(6)


class Controller:
    """Everything between the serial line and the pulses of one stage."""

    def __init__(self, board: "Board") -> None:
        self.board = board
        self.settings = Settings()
        self.motion = Motion(board, self.settings)
        self.modes = Modes()
        self.guard = LineGuard()
        self.buffer = LineBuffer()
        self.state = ALARM
        self.is_homed = False
        self.needs_reset = False
        """A limit was hit: nothing but a soft reset is obeyed."""
        self.lamp = 0
        self._waiting: Command | None = None
        """A command whose reply waits: for room in the queue, or until it is finished."""
        self._until_us: int | None = None
        self._is_marking = False
        self._homing: Iterator[None] | None = None
        self._state_after_brake = HELD
        self._goes_on = False
        self._mark_count = 0
        self._last_byte_us = board.now_us()

    def start(self) -> None:
        """Take the settings from flash and greet."""
        stored = self.board.stored()
        is_good = self.settings.unpack(stored) if stored else True
        self.board.power(bool(self.settings.value[4]))
        self.board.light(0)
        self._greet()
        if not is_good:
            self.say("[MSG:SETTINGS DAMAGED, DEFAULTS USED]")

    def poll(self) -> None:
        """Do what is due; call it again at once, at least every 20 ms."""
        self.board.alive()
        self._receive()
        self.motion.watch_switches()
        self.motion.follow()
        self._watch_limits()
        self._watch_silence()
        self._go_on()
        self._finish_waiting()
        self._take_line()

    def say(self, line: str) -> None:
        """Send one line."""
        self.board.write((self.guard.seal(line) + "\r\n").encode())

    def reply(self, text: str) -> None:
        """Send the one reply to the line at hand."""
        self.say(self.guard.sign_reply(text))

    def set_lamp(self, level: int) -> None:
        self.lamp = level
        self.board.light(level)

    def alarm(self, number: int) -> None:
        """Stop at once and lock."""
        self.motion.halt()
        self.state = ALARM
        self.is_homed = False
        self.set_lamp(0)
        self.say(f"ALARM:{number}")
        self._drop_waiting()

    def unhome(self) -> None:
        """The meaning of positions changed."""
        self.is_homed = False
        self.state = ALARM

    def unlock(self) -> None:
        """Leave an alarm; what is not homed still does not move."""
        self.state = READY

    def start_homing(self) -> None:
        """Begin `$H`; its reply comes at the end."""
        self.state = HOMING
        self.is_homed = False
        self._homing = home(self.motion)

    def begin(self, command: Command) -> bool:
        """Start a command; True when it can be replied to at once."""
        if command.kind == NOTHING:
            return True
        self._waiting = command
        return False

    @property
    def is_at_rest(self) -> bool:
        """Whether `$` commands may be obeyed: nothing moves, waits or is held."""
        return self.state == ALARM or (self.state == READY and not self.is_busy)

    @property
    def is_silenced(self) -> bool:
        """Whether the watchdog has stopped the stage or is about to: what is queued is dropped."""
        is_braking = self.state == BRAKING and self._state_after_brake == SILENCED
        return is_braking or self.state == SILENCED

    @property
    def is_jogging(self) -> bool:
        """Whether all that moves is a jog, so that another may follow."""
        return self.state == READY and self.motion.is_jogging

    @property
    def is_busy(self) -> bool:
        """Whether anything moves, is queued, or lasts."""
        return self.motion.is_busy or self._waiting is not None

    @property
    def lamp_now(self) -> int:
        """The lamp as it shines, dark during a mark."""
        return 0 if self._is_marking else self.lamp

    def _receive(self) -> None:
        for byte in self.board.read():
            self._last_byte_us = self.board.now_us()
            if byte in REAL_TIME:
                self._obey_at_once(byte)
            else:
                self.buffer.put(byte)

    def _obey_at_once(self, byte: int) -> None:
        if byte == QUERY:
            self.say(status(self))
        elif byte == HOLD:
            self._hold()
        elif byte == RESUME:
            self._resume()
        elif byte == RESET:
            self._reset()
        elif self.is_jogging:
            self._brake(READY)

    def _hold(self) -> None:
        if self.state == HOMING:
            self.alarm(HOMING_BROKEN_OFF)
        elif self.state == READY:
            self._brake(READY if self.motion.is_jogging else HELD)

    def _brake(self, state_after: int) -> None:
        """Come to rest, then be in `state_after`; only a hold keeps the queue."""
        self.motion.brake()
        self._goes_on = False
        self._state_after_brake = state_after
        self.state = BRAKING

    def _resume(self) -> None:
        if self.state == HELD:
            self.state = READY
        elif self.state == BRAKING:
            self._goes_on = True
        elif self.state == SILENCED:
            self.say("[MSG:STOPPED BY WATCHDOG, RESET TO GO ON]")

    def _reset(self) -> None:
        """Soft reset: at rest nothing is lost but the queue; in motion the position."""
        was_homing = self.state == HOMING
        was_moving = self.motion.is_moving
        self.motion.halt()
        self._waiting = None
        self._end_mark()
        self._homing = None
        self.buffer.clear()
        self.guard = LineGuard()
        self.modes = Modes()
        self.set_lamp(0)
        self.needs_reset = False
        if was_homing or was_moving:
            self.is_homed = False
            self.say(f"ALARM:{HOMING_BROKEN_OFF if was_homing else RESET_IN_MOTION}")
        self.state = READY if self.is_homed else ALARM
        self._greet()

    def _greet(self) -> None:
        self.say("")
        self.say(BANNER)
        if self.state == ALARM:
            self.say(UNLOCK_HINT)

    def _watch_limits(self) -> None:
        if self.motion.ran_dry:
            self.motion.ran_dry = False
            self.alarm(RAN_DRY)
        elif self.is_homed and self.motion.closed_mask:
            self._hit_limit()

    def _hit_limit(self) -> None:
        self.alarm(HARD_LIMIT)
        self.needs_reset = True
        self.say("[MSG:RESET TO GO ON]")

    def _watch_silence(self) -> None:
        """Stop and darken when no byte has come for `$200`."""
        silence_us = self.board.now_us() - self._last_byte_us
        if silence_us < self.settings.value[200] * 1000:
            return
        stops = self.state != ALARM and not self.is_silenced and self.is_busy
        if not (stops or self.lamp or self.state == HOMING):
            return
        self.say("[MSG:WATCHDOG]")
        self.set_lamp(0)
        if self.state == HOMING:
            self.alarm(HOMING_BROKEN_OFF)
        elif stops:
            self._drop_waiting()
            self._brake(SILENCED)

    def _go_on(self) -> None:
        """Take the next step of whatever the state is about."""
        if self.state == HOMING:
            self._go_on_homing()
        elif self.state == BRAKING and not self.motion.is_moving:
            self.state = self._state_after_brake
            if self.state != HELD:
                self.motion.drop_queue()
            elif self._goes_on:
                self.state = READY
        if self.state == READY:
            self.motion.start_next()

    def _go_on_homing(self) -> None:
        if self._homing is None:
            return
        try:
            next(self._homing)
        except StopIteration:
            self._homing = None
            self.motion.call_end_here()
            self.is_homed = True
            self.state = READY
            self.reply("ok")
        except HomingFailed as failed:
            if failed.alarm == HARD_LIMIT:
                self._hit_limit()
            else:
                self.alarm(failed.alarm)

    def _drop_waiting(self) -> None:
        """Tell the host that the line it waits for will not be carried out."""
        self._end_mark()
        if self._waiting is not None or self._homing is not None:
            self._waiting = None
            self._homing = None
            self.reply(f"error:{LOCKED}")

    def _finish_waiting(self) -> None:
        """Carry out the command that waits, as soon as it can be."""
        command = self._waiting
        if command is None:
            return
        if command.kind == MOVE:
            if len(self.motion.queue) < QUEUE_LIMIT:
                self._waiting = None
                self._queue(command)
        elif not self.motion.is_busy and self._lasts(command):
            self._waiting = None
            self._until_us = None
            self.reply("ok")

    def _queue(self, command: Command) -> None:
        try:
            self.motion.line_to(command)
        except Refused as refused:
            self.reply(f"error:{refused.code}")
        else:
            self.reply("ok")

    def _lasts(self, command: Command) -> bool:
        """Begin or go on with a lamp, dwell or mark command; True when it is over."""
        if command.kind == LAMP:
            self.set_lamp(command.level)
            return True
        now_us = self.board.now_us()
        if self._until_us is None:
            self._until_us = now_us + command.time_us
            if command.kind == MARK:
                self._begin_mark(now_us)
        if now_us < self._until_us:
            return False
        self._end_mark()
        return True

    def _begin_mark(self, now_us: int) -> None:
        self._is_marking = True
        self._mark_count += 1
        self.board.light(0)
        self.say(f"[MSG:MARK {self._mark_count} {now_us // 1000}]")

    def _end_mark(self) -> None:
        self._until_us = None
        if self._is_marking:
            self._is_marking = False
            self.board.light(self.lamp)

    def _take_line(self) -> None:
        """Obey the oldest line, unless one before it still waits for its reply."""
        if self._waiting is not None or self.state == HOMING or not self.buffer.lines:
            return
        try:
            text, answer = self.guard.admit(self.buffer.take())
            if text is None:
                self.reply(answer)
            elif self._obey(text):
                self.reply("ok")
        except Refused as refused:
            self.reply(f"error:{refused.code}")
        self._finish_waiting()

    def _obey(self, text: str) -> bool:
        """Obey one line; True when the reply is due at once. Raises Refused."""
        if not text:
            return True
        if self.needs_reset:
            raise Refused(LOCKED)
        if text[0] == "$":
            return obey_dollar(self, text[1:])
        if self.state == ALARM or self.is_silenced or self.motion.is_jogging:
            raise Refused(LOCKED)
        command = read_block(text, self.modes)
        if command.kind == MOVE and not self.is_homed:
            raise Refused(LOCKED)
        return self.begin(command)
