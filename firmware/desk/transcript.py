"""Play a session with the simulated board and write down what is said.

Every interpreter must write the same. The first character of a line tells what it is:

    >  a line of the host            @  one to which the right checksum is added
    !  a real-time byte (its character or hex)
    +  ms that pass, with signs of life of the host            -  ms of its silence
    =  something done to the board   <  a line of the controller   #  a remark
"""

from controller.controller import Controller
from controller.lines import checksum
from desk.simulated_board import SimulatedBoard

POLL_US = 1000
HEARTBEAT_MS = 250
SIGN_OF_LIFE = b"\x80"
"""A byte that means nothing, but shows that somebody is there."""


class Desk:
    """A controller on a simulated board, polled every millisecond."""

    def __init__(self) -> None:
        self.board = SimulatedBoard()
        self.controller = Controller(self.board)
        self.controller.start()

    def send(self, text: bytes) -> None:
        self.board.received += text

    def wait_ms(self, time_ms: int, beats: bool = True) -> None:
        for elapsed_ms in range(time_ms):
            if beats and elapsed_ms % HEARTBEAT_MS == HEARTBEAT_MS - 1:
                self.send(SIGN_OF_LIFE)
            self.board.advance_us(POLL_US)
            self.controller.poll()

    def heard(self) -> list[str]:
        """The lines said since the last call."""
        lines = str(self.board.sent, "ascii").split("\r\n")
        self.board.sent = b""
        return lines[:-1]

    def reboot(self) -> None:
        """Cut the power: a new boot id, the stored settings, the stage where it is."""
        fresh = SimulatedBoard(self.board.boot_id + 1, self.board.stored())
        fresh.place = self.board.place
        self.board = fresh
        self.controller = Controller(fresh)
        self.controller.start()


def play(script: str) -> str:
    """Return a session's transcript: what the script does, and what the controller answers."""
    desk = Desk()
    said = []
    for line in script.split("\n"):
        if line[:1] == "<":
            continue
        said.append(line)
        act(desk, line)
        said += [f"< {answer}" for answer in desk.heard()]
    return "\n".join(said)


def act(desk: Desk, line: str) -> None:
    """Do what one line of a script says."""
    sign, text = line[:1], line[2:]
    if sign == ">":
        desk.send(text.encode() + b"\n")
        desk.wait_ms(3)
    elif sign == "@":
        desk.send(f"{text}*{checksum(text.encode())}\n".encode())
        desk.wait_ms(3)
    elif sign == "!":
        desk.send(bytes([ord(text) if len(text) == 1 else int(text, 16)]))
        desk.wait_ms(2)
    elif sign == "+":
        desk.wait_ms(int(text))
    elif sign == "-":
        desk.wait_ms(int(text), beats=False)
    elif sign == "=":
        do_to_board(desk, text)


def do_to_board(desk: Desk, text: str) -> None:
    """Break or repair the simulated stage."""
    if text == "reboot":
        desk.reboot()
    elif text == "stuck":
        desk.board.is_stuck = True
    elif text == "free":
        desk.board.is_stuck = False
    elif text[:5] == "wires":
        desk.board.broken_wires = int(text[6:])
    elif text == "damage settings":
        desk.board.store(desk.board.stored()[:-3] + b"00\n")
    else:
        raise ValueError(text)
