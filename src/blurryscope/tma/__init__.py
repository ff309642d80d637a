"""Finding the cores of a tissue microarray and naming them."""

from blurryscope.artifacts.array_layout import Layout
from blurryscope.artifacts.layout_file import read_layout
from blurryscope.tma.find import Dearrayed, find_cores
from blurryscope.tma.picture import PlainPicture, SlidePicture, open_slide
from blurryscope.tma.placement import Orientation
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.white_balance import WhiteBalance, find_white_balance
from blurryscope.tma.write import write_cores

__all__ = [
    "Dearrayed",
    "Layout",
    "Orientation",
    "PlainPicture",
    "SlidePicture",
    "TmaSettings",
    "WhiteBalance",
    "find_cores",
    "find_white_balance",
    "open_slide",
    "read_layout",
    "write_cores",
]
