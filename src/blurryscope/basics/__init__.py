"""The words everyone uses: geometry, optics, images, HER2 scores, names of cores, time, errors."""
