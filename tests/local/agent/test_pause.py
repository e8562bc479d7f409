"""Pauses that grow."""

from local.agent.pause import Pause


def test_pauses_double_up_to_the_longest_and_start_again() -> None:
    pause = Pause(first=1, longest=5)
    assert [pause.next() for _ in range(5)] == [1, 2, 4, 5, 5]
    pause.reset()
    assert pause.next() == 1
