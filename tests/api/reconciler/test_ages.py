"""How long things have been as they are."""

from datetime import datetime, timedelta

from api.ids import new_id
from api.reconciler.ages import Ages
from tests.api.records import NOW


class _Clock:
    seconds = 100.0

    def now(self) -> datetime:
        raise AssertionError("the time of day says nothing of an age")

    def monotonic(self) -> float:
        return self.seconds


def test_an_age_begins_with_the_first_look_and_ends_with_a_change() -> None:
    clock, one, two = _Clock(), new_id(), new_id()
    ages = Ages(clock)
    written = NOW + timedelta(days=3650)
    assert ages.of({one: written}, at=100) == {one: 0}
    clock.seconds = 107
    assert ages.of({one: written, two: 1}, at=107) == {one: 7, two: 0}
    clock.seconds = 110
    assert ages.of({one: NOW, two: 1}, at=110) == {one: 0, two: 3}
    clock.seconds = 120
    assert ages.of({two: 1}, at=120) == {two: 13}
    assert ages.of({one: NOW, two: 1}, at=120) == {one: 0, two: 13}
    ages.forget()
    assert ages.of({two: 1}, at=120) == {two: 0}


def test_a_slow_look_makes_nothing_older() -> None:
    clock, one = _Clock(), new_id()
    ages = Ages(clock)
    clock.seconds = 160
    assert ages.of({one: 1}, at=100) == {one: 0}
    clock.seconds = 300
    assert ages.of({one: 1}, at=170) == {one: 10}
