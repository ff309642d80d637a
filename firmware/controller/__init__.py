"""The stage controller of BlurryScope: one source for a Pico and for a desk.

Whole numbers only: a float has 24 bits on the Pico and 53 on a desk, and the answers must not
differ. `protocol.md` one folder up is the agreement that this package keeps. All modules are pure
but `pico`, the only one that touches hardware.
"""
