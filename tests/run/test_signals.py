import signal

import pytest

from tltool.run.signals import CAUGHT, Interrupted, Signals


@pytest.fixture(autouse=True)
def handlers_are_restored():
    before = {number: signal.getsignal(number) for number in CAUGHT}
    yield
    assert {number: signal.getsignal(number) for number in CAUGHT} == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_at_once(number):
    with pytest.raises(Interrupted, match=f"interrupted by {number.name}") as stop:
        with Signals() as signals:
            signal.raise_signal(number)
            raise AssertionError("went on")
    assert stop.value.number == number and signals.received == number


def test_an_interruption_is_no_exception_that_a_library_would_swallow():
    with pytest.raises(Interrupted):
        with Signals():
            try:
                signal.raise_signal(signal.SIGTERM)
            except Exception:
                raise AssertionError("swallowed") from None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_deferred_signal_is_only_noted(number):
    with Signals() as signals:
        assert signals.received is None
        with signals.deferred():
            signal.raise_signal(number)
            assert signals.received == number


def test_a_second_signal_does_not_wait():
    with Signals() as signals, pytest.raises(Interrupted) as stop:
        with signals.deferred():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("went on")
    assert stop.value.number == signal.SIGINT


def test_after_the_deferring_a_signal_interrupts_at_once_again():
    with Signals() as signals:
        with pytest.raises(KeyError):
            with signals.deferred():
                raise KeyError
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGINT)


def test_handlers_that_a_library_set_in_between_are_taken_back():
    with Signals() as signals, signals.deferred():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signals.install()
        signal.raise_signal(signal.SIGTERM)
        assert signals.received == signal.SIGTERM


def test_the_handlers_of_before_are_restored_by_identity():
    mine = lambda number, frame: None  # noqa: E731
    before = signal.signal(signal.SIGTERM, mine)
    try:
        with Signals():
            assert signal.getsignal(signal.SIGTERM) is not mine
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)
