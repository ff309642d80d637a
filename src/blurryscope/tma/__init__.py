"""Finding the cores of a tissue microarray and naming them."""

from blurryscope.tma.find import Dearrayed, find_cores
from blurryscope.tma.picture import ImageFile, SlidePicture
from blurryscope.tma.placement import Orientation
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.white_balance import WhiteBalance, find_white_balance
from blurryscope.tma.write import write_cores

__all__ = [
    "Dearrayed",
    "ImageFile",
    "Orientation",
    "SlidePicture",
    "TmaSettings",
    "WhiteBalance",
    "find_cores",
    "find_white_balance",
    "write_cores",
]
