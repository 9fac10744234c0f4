import threading

from service.upkeep.steps import Step, attempt, repeat


def test_a_step_that_fails_holds_up_neither_the_others_nor_the_next_round() -> None:
    stop, done = threading.Event(), []

    def fail() -> None:
        raise RuntimeError("broken")

    def work() -> None:
        done.append(1)
        if len(done) == 3:
            stop.set()

    repeat([Step("fails", fail), Step("works", work)], 0.0, stop)
    assert len(done) == 3


def test_an_attempt_tells_whether_it_succeeded() -> None:
    assert attempt(Step("works", lambda: 1))
    assert not attempt(Step("fails", lambda: 1 / 0))
