from collections.abc import Iterator

import pytest

from blurryscope.basics.ahead import ahead


def _counted(most: int, made: list[int]) -> Iterator[int]:
    for number in range(most):
        made.append(number)
        yield number


@pytest.mark.parametrize("most", [1, 3, 100])
def test_items_come_in_their_order(most: int) -> None:
    assert list(ahead(range(50), most)) == list(range(50))


def test_an_error_is_raised_where_the_next_item_would_have_come() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("the film ends here")

    items = ahead(broken(), 5)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="ends here"):
        next(items)


def test_no_more_is_made_than_was_allowed_ahead() -> None:
    made: list[int] = []
    items = ahead(_counted(1000, made), 4)
    assert next(items) == 0
    items.close()
    assert len(made) < 20
