"""A serial port with a simulated controller behind it: a pseudo-terminal, elsewhere a socket."""

import contextlib
import os
import select
import socket
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from blurryscope.basics.clock import Clock
from blurryscope.simulator.fast_clock import FastClock

_LOOK_S = 0.001
"""Of real time: how long it sleeps when nothing comes."""


class Controller(Protocol):
    """What sits behind a port."""

    def feed(self, received: bytes, now_s: float) -> None:
        """Bytes from the host."""
        ...

    def advance(self, now_s: float) -> bytes:
        """Let time pass; gives the bytes for the host."""
        ...


class Wire(Protocol):
    """What a cable does to the bytes of one direction."""

    def __call__(self, sent: bytes, now_s: float) -> bytes:
        """What arrives now; called with nothing too, for what is late."""
        ...


def clean(sent: bytes, now_s: float) -> bytes:  # noqa: ARG001 - a good cable does not look at the time
    """A cable without faults."""
    return sent


class SimulatedPort:
    """Serves a controller on `url` while in `with`. May be unplugged and plugged in again.

    On Linux and macOS `url` is a pseudo-terminal, new each time; elsewhere a socket that pyserial
    opens all the same.
    """

    def __init__(
        self,
        controller: Controller,
        clock: Clock,
        *,
        to_controller: Wire = clean,
        to_host: Wire = clean,
        over_socket: bool = sys.platform == "win32",
    ) -> None:
        self._over_socket = over_socket
        self._controller = controller
        self._clock = clock
        self.to_controller = to_controller
        self.to_host = to_host
        self._end: _End | None = None
        self._is_over = threading.Event()

    @property
    def url(self) -> str:
        """What to open; an empty text while unplugged."""
        end = self._end
        return end.url if end is not None else ""

    def __enter__(self) -> Self:
        self.plug_in()
        if isinstance(self._clock, FastClock):
            self._clock.follow(self, lambda _: self._pass_on(patience_s=0.0))
        else:
            self._is_over.clear()
            self._server = threading.Thread(target=self._serve, name="simulated port", daemon=True)
            self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(self._clock, FastClock):
            self._clock.let_go(self)
        else:
            self._is_over.set()
            self._server.join()
        self.unplug()

    def plug_in(self) -> None:
        """Make the port appear."""
        if self._end is None:
            self._end = _SocketEnd() if self._over_socket else _terminal_end()

    def unplug(self) -> None:
        """Make the port vanish; the controller keeps its power."""
        end, self._end = self._end, None
        if end is not None:
            end.close()

    def _serve(self) -> None:
        while not self._is_over.is_set():
            if self._end is None:
                self._is_over.wait(_LOOK_S)
            self._pass_on(_LOOK_S)

    def _pass_on(self, patience_s: float) -> None:
        """Hand over what came from the host, and what the controller says until now."""
        end = self._end
        received = end.read(patience_s) if end is not None else b""
        now_s = self._clock.monotonic_s()
        arrived = self.to_controller(received, now_s)
        if arrived:
            self._controller.feed(arrived, now_s)
        told = self.to_host(self._controller.advance(now_s), now_s)
        if end is not None:
            end.write(told)


class _End(Protocol):
    url: str

    def read(self, patience_s: float) -> bytes: ...

    def write(self, told: bytes) -> None: ...

    def close(self) -> None: ...


def _terminal_end() -> "_End":
    import pty
    import tty

    return _FileEnd(pty.openpty, tty.setraw)


class _FileEnd:
    """Our end of a pseudo-terminal. Keeps the other end open too: hosts may come and go."""

    def __init__(
        self, open_pair: Callable[[], tuple[int, int]], set_raw: Callable[[int], object]
    ) -> None:
        self._ours, self._theirs = open_pair()
        set_raw(self._theirs)
        os.set_blocking(self._ours, False)
        self.url = os.ttyname(self._theirs)
        self._lock = threading.Lock()
        self._is_open = True

    def read(self, patience_s: float) -> bytes:
        with contextlib.suppress(OSError, ValueError):
            if select.select([self._ours], [], [], patience_s)[0]:
                with self._lock:
                    return os.read(self._ours, 4096) if self._is_open else b""
        return b""

    def write(self, told: bytes) -> None:
        # A host that does not read fills the terminal; what does not fit is lost, as on a wire.
        with self._lock, contextlib.suppress(BlockingIOError):
            if told and self._is_open:
                os.write(self._ours, told)

    def close(self) -> None:
        with self._lock:
            self._is_open = False
            os.close(self._ours)
            os.close(self._theirs)


class _SocketEnd:
    """One host at a time on a local socket."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self._host: socket.socket | None = None
        self.url = f"socket://127.0.0.1:{self._listening.getsockname()[1]}"

    def read(self, patience_s: float) -> bytes:
        watched = [self._listening] if self._host is None else [self._listening, self._host]
        for ready in select.select(watched, [], [], patience_s)[0]:
            if ready is self._listening:
                self._hang_up()
                self._host, _ = self._listening.accept()
            elif self._host is not None:
                received = b""
                with contextlib.suppress(OSError):  # a host that died leaves no goodbye
                    received = self._host.recv(4096)
                if received:
                    return received
                self._hang_up()
        return b""

    def write(self, told: bytes) -> None:
        if self._host is not None and told:
            with contextlib.suppress(OSError):
                self._host.sendall(told)

    def close(self) -> None:
        self._hang_up()
        self._listening.close()

    def _hang_up(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            host.close()
