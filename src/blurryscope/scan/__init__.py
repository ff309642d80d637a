"""Plan a scan, calibrate the microscope, and drive it over the slide."""
