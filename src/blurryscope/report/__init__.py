"""One page per slide, for the people who decide."""
