"""Starts the stage controller at power-on, unless the set-up bridge is closed."""

import gc

from controller.controller import Controller
from controller.pico import PicoBoard, is_setup_wanted


def run() -> None:
    """Serve the host for ever; tidy memory while nothing moves."""
    controller = Controller(PicoBoard())
    controller.start()
    while True:
        controller.poll()
        if not controller.is_busy:
            gc.collect()


if not is_setup_wanted():
    run()
