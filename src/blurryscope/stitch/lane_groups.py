"""Lanes that hang together by the tissue they share, and how long such a group may still move."""

from collections.abc import Sequence

_YOUNG_GROUP = 3
"""Lanes that hang together but on nothing before lie where two turns of the stage say, not one."""


def settled_count(is_linked: Sequence[bool], fixed_count: int, *, is_open: bool) -> int:
    """How many first lanes nothing to come will move noticeably; the last one always may.

    Parameters
    ----------
    is_linked
        Of each pair of neighbouring lanes: whether their overlap shows the same tissue.
    fixed_count
        So many first lanes do not move any more.
    is_open
        Whether the last two lanes disagree, which the next one may settle.
    """
    # Where they disagree, the next lane may move both of them.
    last = len(is_linked) - 1 if is_open else len(is_linked)
    count = fixed_count
    while count < last and _is_settled(count, is_linked, fixed_count):
        count += 1
    return count


def _is_settled(number: int, is_linked: Sequence[bool], fixed_count: int) -> bool:
    """Whether a lane's group is tied to lanes before, or has turns enough, or has ended."""
    first = last = number
    while first > 0 and is_linked[first - 1]:
        first -= 1
    while last < len(is_linked) and is_linked[last]:
        last += 1
    is_tied, has_ended = first < fixed_count, last < len(is_linked)
    return is_tied or last - first + 1 >= _YOUNG_GROUP or has_ended
