"""From tissue cores to stacks of five views, and to sets that never share a patient."""
