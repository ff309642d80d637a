"""A film of a moving stage in, a mosaic with named and scored tissue cores out. Research use only."""

__version__ = "0.1.0"
