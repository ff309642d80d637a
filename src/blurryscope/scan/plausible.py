"""Numbers of plan, rig and calibration within what can be meant; others are slips of a unit."""

from typing import Annotated

from pydantic import Field

PlaceUm = Annotated[float, Field(ge=-1e6, le=1e6)]
"""On a stage of a metre."""
LengthUm = Annotated[float, Field(ge=100, le=1e6)]
"""Of an area; below somebody meant mm."""
SpeedUmPerS = Annotated[float, Field(ge=100, le=1e6)]
AccelerationUmPerS2 = Annotated[float, Field(ge=1e3, le=1e8)]
"""Controllers know 1 to 1000 mm/s²; below somebody gave it in those."""
PitchUm = Annotated[float, Field(ge=20, le=1e5)]
PixelSizeUm = Annotated[float, Field(ge=0.02, le=50)]
FrameSidePx = Annotated[int, Field(ge=16, le=10_000)]
FrameRateHz = Annotated[float, Field(ge=1, le=1000)]
ExposureS = Annotated[float, Field(ge=1e-6, le=1)]
"""A longer one was given in ms."""
TurnDeg = Annotated[float, Field(ge=-360, le=360)]
SlopeUmPerUm = Annotated[float, Field(ge=-1, le=1)]
"""Of a slide's plane of focus."""
ReadoutRatio = Annotated[float, Field(gt=-1, lt=1)]
"""At 1 the slide overtakes the read-out."""
BacklashUm = Annotated[float, Field(ge=-1000, le=1000)]
"""As measured, noise and all."""
GreyLevel = Annotated[float, Field(gt=0, le=255)]
