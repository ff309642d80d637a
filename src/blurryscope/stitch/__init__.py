"""From the frames of a stage that never stops to one mosaic and the place of every frame in it."""
