"""A film of a moving stage in, a mosaic with named, scored cores out. Research use only."""

__version__ = "0.1.0"
