"""From films to a report: `stitching`, `cores` and `scoring`, and `run` for all of it.

Each is imported by its own name, so that what scores nothing does not wait for torch.
"""
