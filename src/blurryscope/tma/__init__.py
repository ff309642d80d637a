"""From a mosaic to tissue cores that carry the lab's names."""
