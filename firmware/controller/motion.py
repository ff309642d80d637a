"""What moves: the queue of moves, the slices under way, where the stage is, and the switches."""

from controller.gcode import Command
from controller.move import AXIS_COUNT, SLICE_TICKS, Move, Slice, nm_of, plan_move, steps_of
from controller.refusal import OUTSIDE_LIMITS, Refused
from controller.settings import Settings

TYPE_CHECKING = False  # MicroPython has no typing module
if TYPE_CHECKING:
    from controller.board import Board

QUEUE_LIMIT = 15
SLICES_AHEAD = 8
"""What the FIFO of a pulse generator holds."""
TICKS_AHEAD = 8 * SLICE_TICKS
"""Longest time handed over beyond the slice under way: what a hold has to wait for."""


class Motion:
    """Moves wait, become slices, become steps; `position` counts the steps that were made."""

    def __init__(self, board: "Board", settings: Settings) -> None:
        self.settings = settings
        self.position = [0] * AXIS_COUNT
        self.queue: list[Move] = []
        self.ran_dry = False
        """The generators stood still in the middle of a move: the loop was too slow."""
        self._board = board
        self._end_nm = [0] * AXIS_COUNT
        """Where the last queued line ends, as commanded."""
        self._move: Move | None = None
        self._under_way: list[Slice] = []
        self._levels = 0
        self._levels_since_us = 0
        self._closed = 0

    @property
    def is_moving(self) -> bool:
        return self._move is not None

    @property
    def is_jogging(self) -> bool:
        return self._move is not None and self._move.is_jog

    @property
    def is_busy(self) -> bool:
        return self._move is not None or bool(self.queue)

    @property
    def closed_mask(self) -> int:
        """Switches that are closed, debounced, bit 0 is X."""
        return self._closed

    @property
    def feed_now(self) -> int:
        """Speed in mm/min of the slice that is being stepped."""
        if self._move is None or not self._under_way:
            return 0
        return self._move.feed_of(self._under_way[0])

    @property
    def is_settled(self) -> bool:
        """Whether the switches have kept their levels for `$26`."""
        return self._closed == self._levels

    def is_closed(self, axis: int) -> bool:
        return bool(self._closed >> axis & 1)

    def position_nm(self, axis: int) -> int:
        return nm_of(self.position[axis], axis, self.settings)

    def line_to(self, command: Command) -> None:
        """Queue a line from where the last one ends. Raises Refused when it leaves the limits.

        Relative moves add up in nm, so that rounding to steps does not.
        """
        wanted_nm = list(self._end_nm)
        for axis in range(AXIS_COUNT):
            value_nm = command.targets[axis]
            if value_nm is not None:
                wanted_nm[axis] = value_nm + (wanted_nm[axis] if command.is_relative else 0)
                lowest_nm, highest_nm = self.settings.limits_nm(axis)
                if not lowest_nm <= wanted_nm[axis] <= highest_nm:
                    raise Refused(OUTSIDE_LIMITS)
        self._end_nm = wanted_nm
        target = [steps_of(wanted_nm[axis], axis, self.settings) for axis in range(AXIS_COUNT)]
        self._add(target, command.feed, command.is_jog)

    def shift(self, axis: int, distance_nm: int, feed: int) -> None:
        """Start a move of one axis at once, whatever the limits: homing only."""
        target = list(self.position)
        target[axis] += steps_of(distance_nm, axis, self.settings)
        self._add(target, feed, is_jog=False)
        self.start_next()

    def call_zero(self, axis: int) -> None:
        self.position[axis] = 0

    def call_end_here(self) -> None:
        """Let the next relative move count from where the stage is."""
        self._end_nm = [self.position_nm(axis) for axis in range(AXIS_COUNT)]

    def brake(self) -> None:
        """Come to rest along the line; what is left becomes the first move of the queue."""
        if self._move is not None and not self._move.is_handed_out:
            self._move.brake()

    def drop_queue(self) -> None:
        """Forget what is queued; only while nothing moves."""
        self.queue.clear()
        self.call_end_here()

    def halt(self) -> None:
        """Cease pulses at once, forget everything queued; the count of steps stays right."""
        self._retire(self._board.slices_left())
        left = self._board.halt()
        for axis in range(AXIS_COUNT):
            for piece in self._under_way:
                self.position[axis] += piece.steps[axis]
            backward = self._move is not None and self._move.backward_mask >> axis & 1
            self.position[axis] += left[axis] if backward else -left[axis]
        self._under_way.clear()
        self._move = None
        self.drop_queue()

    def follow(self) -> None:
        """Count slices that were finished, hand over the next ones, end the move that is done."""
        if self._move is None:
            return
        left = self._board.slices_left()
        self._retire(left)
        if self._move.is_handed_out:
            if left == 0:
                self._end_move(self._move)
            return
        if left == 0:
            self.ran_dry = True
            return
        self._hand_over(self._move)

    def start_next(self) -> None:
        """Begin the next move of the queue if nothing moves."""
        if self._move is None and self.queue:
            self._move = self.queue.pop(0)
            self._board.begin(self._move.backward_mask ^ self.settings.value[3])
            self._hand_over(self._move)

    def watch_switches(self) -> None:
        """Read the switches; a level counts when it has held for `$26`."""
        now_us = self._board.now_us()
        levels = self._board.switches() ^ self.settings.value[5]
        if levels != self._levels:
            self._levels = levels
            self._levels_since_us = now_us
        if now_us - self._levels_since_us >= self.settings.value[26] * 1000:
            self._closed = levels

    def _add(self, target: list[int], feed: int | None, is_jog: bool) -> None:
        """Queue a line to `target` steps, unless it has no step."""
        start = self.position
        if self.queue:
            start = self.queue[-1].target
        elif self._move is not None:
            start = self._move.target
        move = plan_move(start, target, feed, self.settings)
        if move is not None:
            move.is_jog = is_jog
            self.queue.append(move)

    def _hand_over(self, move: Move) -> None:
        ahead = sum(piece.ticks for piece in self._under_way[1:])
        while (
            not move.is_handed_out and len(self._under_way) < SLICES_AHEAD and ahead < TICKS_AHEAD
        ):
            piece = move.next_slice()
            self._board.feed(piece.words)
            if self._under_way:
                ahead += piece.ticks
            self._under_way.append(piece)

    def _retire(self, left: int) -> None:
        while len(self._under_way) > left:
            piece = self._under_way.pop(0)
            for axis in range(AXIS_COUNT):
                self.position[axis] += piece.steps[axis]

    def _end_move(self, move: Move) -> None:
        self._move = None
        if self.position != move.target:
            rest = plan_move(self.position, move.target, move.feed, self.settings)
            if rest is not None:
                rest.is_jog = move.is_jog
                self.queue.insert(0, rest)
