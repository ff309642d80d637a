"""The controller without a board: a simulated stage under the same firmware."""
