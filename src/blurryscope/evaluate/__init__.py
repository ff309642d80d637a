"""From predictions to one answer per core, and to figures that can be trusted."""
