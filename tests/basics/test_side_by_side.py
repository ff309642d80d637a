import threading
from collections.abc import Iterator

import pytest

from blurryscope.basics.side_by_side import side_by_side


def test_results_come_in_the_order_of_the_items() -> None:
    is_late = threading.Event()

    def first_is_last(number: int) -> int:
        if number == 0:
            is_late.wait(0.2)
        is_late.set()
        return number * number

    assert list(side_by_side(first_is_last, range(40))) == [n * n for n in range(40)]


def test_an_error_is_raised_where_its_result_would_have_come() -> None:
    def half(number: int) -> int:
        if number == 3:
            raise ValueError("three is odd")
        return number // 2

    results = side_by_side(half, range(9))
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ValueError, match="three is odd"):
        next(results)


def test_items_are_taken_only_a_few_ahead_of_the_results() -> None:
    taken: list[int] = []

    def counted() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = side_by_side(abs, counted())
    assert next(results) == 0
    assert len(taken) < 20
    results.close()
    assert len(taken) < 20


def test_no_items_give_no_results() -> None:
    assert list(side_by_side(abs, ())) == []
