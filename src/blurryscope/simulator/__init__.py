"""A microscope without one: a drawn slide, a stage, a camera, and the truth beside the film."""
