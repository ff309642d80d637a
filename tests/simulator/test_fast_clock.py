"""A clock that runs fast, and waits for those who cannot keep up."""

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from blurryscope.basics.clock import Clock
from blurryscope.simulator.fast_clock import FastClock


def test_an_hour_passes_in_less_than_a_second() -> None:
    with FastClock(1e6) as clock:
        as_clock: Clock = clock
        began_s = time.monotonic()
        as_clock.sleep(3600.0)
        assert time.monotonic() - began_s < 5.0
        assert clock.monotonic_s() >= 3600.0


def test_nobody_wakes_late() -> None:
    woke_s = []
    with FastClock(1000) as clock:

        def nap() -> None:
            for _ in range(20):
                due_s = clock.monotonic_s() + 0.5
                clock.sleep(0.5)
                woke_s.append(clock.monotonic_s() - due_s)

        threads = [threading.Thread(target=nap) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(woke_s) == 60
    assert max(woke_s) <= 0.1


def test_time_stands_still_while_it_is_held() -> None:
    with FastClock(1000) as clock, clock.held():
        before_s = clock.monotonic_s()
        threading.Event().wait(0.02)
        assert clock.monotonic_s() == before_s


def test_a_sleeper_is_not_stopped_by_its_own_limit() -> None:
    with FastClock(1000) as clock:
        clock.hold_at("me", clock.monotonic_s() + 0.1)
        clock.sleep(5.0)
        clock.let_go("me")


def test_a_clock_that_is_over_lets_everybody_go() -> None:
    clock = FastClock(1.0)
    with clock:
        sleeper = threading.Thread(target=clock.sleep, args=(3600.0,))
        sleeper.start()
    sleeper.join(5.0)
    assert not sleeper.is_alive()


@pytest.mark.skipif(sys.platform == "win32", reason="no thread can be signalled there")
def test_time_goes_on_after_a_sleeper_was_woken_by_ctrl_c() -> None:
    # A process that was started in the background ignores the signal otherwise.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with FastClock(500) as clock:
        ours = threading.get_ident()
        timer = threading.Timer(0.1, signal.pthread_kill, (ours, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            clock.sleep(2_000.0)
        timer.join()
        signal.signal(signal.SIGINT, before)
        passes = threading.Thread(target=clock.sleep, args=(4_000.0,), daemon=True)
        passes.start()
        passes.join(30.0)
        assert not passes.is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what keeps a thread")
def test_time_waits_for_who_is_stuck_in_the_system(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    is_stuck = threading.Event()
    with FastClock(1000) as clock:
        stuck_s = []

        def act() -> None:
            clock.sleep(1.0)
            began_s = clock.monotonic_s()
            is_stuck.set()
            _stand_in_the_kernel(pipe)
            stuck_s.append(clock.monotonic_s() - began_s)

        thread = threading.Thread(target=act)
        thread.start()
        is_stuck.wait()
        threading.Event().wait(0.5)  # of real time: 500 s would pass
        with pipe.open("w"):
            thread.join()
    assert max(stuck_s) < 50.0  # of which each ms before and after it is stuck makes one


def _stand_in_the_kernel(pipe: Path) -> None:
    """Start a program whose input is a pipe: until somebody writes, the system keeps us."""
    libc = ctypes.CDLL(None)
    actions = ctypes.create_string_buffer(512)  # more than any system's posix_spawn takes
    child = ctypes.c_int()
    arguments = (ctypes.c_char_p * 2)(b"/bin/true", None)
    libc.posix_spawn_file_actions_init(actions)
    libc.posix_spawn_file_actions_addopen(actions, 0, bytes(pipe), os.O_RDONLY, 0)
    libc.posix_spawn(ctypes.byref(child), b"/bin/true", actions, None, arguments, None)
    os.waitpid(child.value, 0)
