"""Requests to stop are counted, and take patience away."""

import asyncio
import signal
import subprocess
import sys

import pytest

from nualley.app import stopping
from nualley.app.stopping import HASTY_S, Stop
from nualley.core import ExitCode


@pytest.mark.parametrize(
    ("number", "code", "is_by_hand"),
    [
        (signal.SIGTERM, ExitCode.DONE, False),
        (signal.SIGINT, ExitCode.STOPPED, True),
        (signal.SIGHUP, ExitCode.STOPPED, False),
    ],
)
def test_the_first_request_says_how_it_ends(number, code, is_by_hand):
    stop = Stop()
    assert (stop.is_asked, stop.exit_code) == (False, ExitCode.DONE)
    stop.ask(number)
    stop.ask(signal.SIGTERM)
    stop.ask(signal.SIGINT)
    assert (stop.is_asked, stop.exit_code, stop.is_by_hand) == (True, code, is_by_hand)


def test_each_further_request_takes_patience_away():
    stop = Stop()
    found = []
    for _ in range(5):
        found.append((stop.is_hastened, stop.is_at_once, stop.patience_s(20.0), stop.patience_s(1.0)))
        stop.ask()
    assert found == [
        (False, False, 20.0, 1.0),
        (False, False, 20.0, 1.0),
        (True, False, HASTY_S, 1.0),
        (True, True, 0.0, 0.0),
        (True, True, 0.0, 0.0),
    ]


async def test_coroutines_wait_for_the_first_request():
    stop = Stop()
    event = stop.event()
    assert not event.is_set()
    stop.ask()
    await asyncio.wait_for(event.wait(), 5)
    assert stop.event().is_set(), "who comes late is told too"


def test_a_request_after_the_loop_has_ended_is_no_error():
    stop = Stop()

    async def work() -> None:
        stop.event()

    asyncio.run(work())
    stop.ask()


def test_signals_ask_and_a_burst_of_them_is_one_request(handlers, monkeypatch):
    now_s = 100.0
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now_s)
    stop = Stop()
    with stop.on_signals():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert stop.n_asked == 1
        now_s += stopping.BURST_S
        signal.raise_signal(signal.SIGHUP)
        assert stop.n_asked == 2
    # it is about to end: one more would find nobody to hear it
    assert all(signal.getsignal(number) is signal.SIG_IGN for number in handlers)


def test_signals_are_as_before_where_nobody_asked(handlers):
    with Stop().on_signals():
        assert signal.getsignal(signal.SIGINT) != handlers[signal.SIGINT]
    assert {number: signal.getsignal(number) for number in handlers} == handlers


def test_nohup_is_respected(handlers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for what it starts with &
    stop = Stop()
    with stop.on_signals():
        signal.raise_signal(signal.SIGHUP)
        assert not stop.is_asked
        signal.raise_signal(signal.SIGINT)
        assert stop.is_asked


@pytest.mark.parametrize(("n_signals", "ended"), [(1, []), (2, []), (3, [ExitCode.STOPPED])])
def test_a_process_alone_is_ended_by_the_third_request_wherever_it_hangs(handlers, monkeypatch, n_signals, ended):
    now_s, found = 100.0, []
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now_s)
    monkeypatch.setattr(stopping.os, "_exit", found.append)

    async def work(stop: asyncio.Event) -> None:
        nonlocal now_s
        for _ in range(n_signals):
            now_s += stopping.BURST_S
            signal.raise_signal(signal.SIGINT)
        await stop.wait()

    assert stopping.run_until_stopped(work) is ExitCode.STOPPED
    assert found == ended


SLEEPER = """
import asyncio, os, signal, threading, time
from nualley.app.stopping import run_coroutine

def hear():  # the thread that takes the signal: the one that must wake sleeps on
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)

async def sleep():
    threading.Thread(target=hear, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        print("told", flush=True)
        raise

try:
    run_coroutine(sleep())
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_signal_wakes_a_loop_that_was_about_to_sleep():
    done = subprocess.run([sys.executable, "-c", SLEEPER], capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout.split() == ["told", "interrupted"], done.stderr
