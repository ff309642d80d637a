"""Finding the cores of a tissue microarray and naming them."""
