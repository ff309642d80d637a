"""What the stages hand on, and how it lies on disk."""
