"""Stage and camera: what they must do, and the real ones that do it."""
