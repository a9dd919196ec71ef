"""Life of IOCs and connections, on a clock of our own."""

import pytest

from nualley.core import SECOND_NS as S
from nualley.pv import Connection, Life
from nualley.pv.decide import HANG_MAX_NS, Connections, IocLife, proof_ns

TICK = S // 4


def pass_seconds(life: IocLife, seconds: float) -> float | None:
    """Let time pass in ticks; return after how many seconds it was found to hang."""
    for tick in range(1, round(seconds * 4) + 1):
        if life.pass_time(TICK):
            return tick / 4
    return None


def test_a_fresh_stamp_is_the_proof_and_a_strange_one_is_not():
    assert proof_ns(95 * S, 100 * S) == 95 * S  # waited in our queue
    assert proof_ns(80 * S, 100 * S) == 100 * S  # an old value, sent on connection
    assert proof_ns(101 * S, 100 * S) == 100 * S  # a clock that is ahead


@pytest.mark.parametrize("life_s", [0.2, 1.0, 2.0, 4.0])
def test_a_hung_ioc_is_noticed_within_10_s_whatever_is_configured(life_s):
    life = IocLife(round(life_s * S), 100 * S)
    found_s = pass_seconds(life, 20)
    assert found_s is not None
    assert found_s <= 10
    assert not life.is_alive
    assert life.last_heard_ns == 100 * S


def test_one_lost_answer_is_no_hang():
    life = IocLife(2 * S, 100 * S)
    assert pass_seconds(life, 5) is None
    life.answered(104 * S)
    assert pass_seconds(life, 5.5) is None
    assert life.last_heard_ns == 104 * S


def test_an_answer_proves_life_only_when_it_was_asked_and_never_moves_the_proof_back():
    life = IocLife(2 * S, 100 * S)
    life.heard(103 * S)
    life.answered(102 * S)
    assert life.last_heard_ns == 103 * S


def test_time_in_which_we_slept_is_no_silence_of_the_ioc():
    # the adapter hands in at most half a second for a tick, however long we were suspended
    life = IocLife(2 * S, 100 * S)
    assert not life.pass_time(S // 2)
    assert life.is_alive


def test_it_is_asked_and_told_every_life_s():
    life = IocLife(2 * S, 100 * S)
    asked = told = 0
    for _ in range(40):  # 10 s
        life.pass_time(TICK)
        life.heard(100 * S)
        asked += life.take_question()
        told += life.take_news()
    assert (asked, told) == (5, 5)


def test_a_hung_ioc_is_asked_on_but_its_life_is_not_told():
    life = IocLife(2 * S, 100 * S)
    pass_seconds(life, 20)
    life.pass_time(2 * S)
    assert life.take_question()
    assert not life.take_news()


def test_an_answer_brings_it_back_once():
    life = IocLife(2 * S, 100 * S)
    pass_seconds(life, 20)
    assert life.answered(130 * S)
    assert not life.answered(132 * S)
    assert life.last_heard_ns == 132 * S


def with_heartbeat(period_s: float, n_beats: int = 4) -> IocLife:
    life = IocLife(2 * S, 100 * S)
    for beat in range(n_beats):
        now = 100 * S + round(beat * period_s * S)
        life.heard(now)
        life.beat(now)
    return life


@pytest.mark.parametrize(("period_s", "hang_s"), [(0.1, 5), (1.0, 5), (2.0, 6), (3.0, 9)])
def test_a_heartbeat_that_stops_is_a_hang_after_three_periods_or_five_seconds(period_s, hang_s):
    life = with_heartbeat(period_s)
    assert life.is_watched_by_heartbeat
    assert not life.take_question()
    assert pass_seconds(life, 20) == hang_s
    assert hang_s * S <= HANG_MAX_NS


def test_answers_do_not_count_while_a_heartbeat_is_believed():
    # a Channel Access server goes on answering while the record scan is stuck
    life = with_heartbeat(1.0)
    for second in range(5):
        pass_seconds(life, 1)
        life.answered((104 + second) * S)
    assert not life.is_alive
    assert life.last_heard_ns == 103 * S
    assert not life.answered(120 * S)
    assert life.heard(121 * S)


def test_a_slow_heartbeat_is_no_heartbeat():
    life = with_heartbeat(5.0)
    assert not life.is_watched_by_heartbeat
    life.pass_time(2 * S)
    assert life.take_question()


def test_before_the_rhythm_is_known_it_is_asked():
    life = with_heartbeat(1.0, n_beats=3)
    assert not life.is_watched_by_heartbeat


def make(heartbeats=()) -> Connections:
    return Connections(protocol="ca", life_ns=2 * S, heartbeats=heartbeats)


def tick_seconds(connections: Connections, start_ns: int, seconds: float):
    events, questions = [], []
    for number in range(1, round(seconds * 4) + 1):
        tick = connections.tick(start_ns + number * TICK, TICK)
        events += tick.events
        questions += tick.questions
    return events, questions


def test_a_first_connection_is_told_once():
    connections = make()
    assert connections.connected("A", "h:1", 100 * S) == [Connection("A", True, "h:1", 100 * S, 100 * S, "ca")]
    assert connections.connected("A", "h:1", 101 * S) == []
    assert connections.is_up("A")
    assert not connections.is_up("B")


def test_a_pv_that_is_never_found_is_told_as_never_heard_and_once():
    connections = make()
    assert connections.lost("A", 100 * S) == [Connection("A", False, "", 100 * S, 0, "ca")]
    assert connections.lost("A", 101 * S) == []
    assert connections.connected("A", "h:1", 102 * S)[0].is_connected


def test_a_lost_connection_carries_the_last_proof_of_its_ioc_by_whichever_pv():
    connections = make()
    connections.connected("A", "h:1", 100 * S)
    connections.connected("B", "h:1", 100 * S)
    connections.heard("h:1", 104 * S, 104 * S)
    connections.answered("h:1", 106 * S, 107 * S)
    assert connections.lost("A", 110 * S) == [Connection("A", False, "h:1", 110 * S, 106 * S, "ca")]
    assert connections.lost("B", 110 * S) == [Connection("B", False, "h:1", 110 * S, 106 * S, "ca")]
    # nothing is left of the IOC: nothing to ask, nothing to tell
    assert tick_seconds(connections, 110 * S, 30) == ([], [])


def test_a_hang_is_told_for_every_pv_of_the_ioc_and_for_no_other():
    connections = make()
    for pv, ioc in (("A", "h:1"), ("B", "h:1"), ("C", "h:2")):
        connections.connected(pv, ioc, 100 * S)
    events = []
    for second in range(12):
        connections.answered("h:2", (100 + second) * S, (100 + second) * S)
        events += connections.tick((101 + second) * S, S).events
    lost = [event for event in events if isinstance(event, Connection)]
    assert lost == [Connection(pv, False, "h:1", 106 * S, 100 * S, "ca") for pv in "AB"]
    assert {event.ioc for event in events if isinstance(event, Life)} == {"h:1", "h:2"}


def test_when_ca_notices_the_hang_too_nothing_is_told_twice_and_the_return_is_told():
    connections = make()
    connections.connected("A", "h:1", 100 * S)
    tick_seconds(connections, 100 * S, 7)
    assert connections.lost("A", 108 * S) == []
    assert connections.connected("A", "h:1", 120 * S) == [Connection("A", True, "h:1", 120 * S, 120 * S, "ca")]


def test_a_hung_ioc_that_answers_or_sends_is_back_for_every_pv():
    for how in ("answer", "update"):
        connections = make()
        connections.connected("A", "h:1", 100 * S)
        connections.connected("B", "h:1", 100 * S)
        tick_seconds(connections, 100 * S, 7)
        if how == "answer":
            back = connections.answered("h:1", 119 * S, 120 * S)
        else:
            back = connections.heard("h:1", 119 * S, 120 * S)
        expected = [Connection(pv, True, "h:1", 120 * S, 119 * S, "ca") for pv in "AB"]
        assert sorted(back, key=lambda event: event.pv) == expected


def test_questions_go_round_the_pvs_of_an_ioc():
    connections = make()
    for pv in "ABC":
        connections.connected(pv, "h:1", 100 * S)
    _, questions = tick_seconds(connections, 100 * S, 8)
    assert [question.pv for question in questions] == ["A", "B", "C", "A"]


def test_a_pv_that_moves_to_another_ioc_leaves_the_old_one():
    connections = make()
    connections.connected("A", "h:1", 100 * S)
    connections.lost("A", 101 * S)
    connections.connected("A", "h:2", 102 * S)
    assert connections.connected("A", "h:3", 103 * S) == []
    _, questions = tick_seconds(connections, 103 * S, 2)
    assert [question.ioc for question in questions] == ["h:3"]


def test_a_removed_pv_is_forgotten_and_an_answer_of_its_ioc_is_no_news():
    connections = make()
    connections.connected("A", "h:1", 100 * S)
    connections.remove("A")
    connections.remove("A")
    assert tick_seconds(connections, 100 * S, 30) == ([], [])
    assert connections.answered("h:1", 100 * S, 101 * S) == []


def test_an_ioc_with_heartbeat_is_not_asked_until_nobody_listens_to_it():
    connections = make(heartbeats=["H"])
    connections.connected("A", "h:1", 100 * S)
    connections.connected("H", "h:1", 100 * S)
    for second in range(6):
        connections.heard("h:1", (100 + second) * S, (100 + second) * S)
        connections.beat("H", (100 + second) * S)
    assert tick_seconds(connections, 106 * S, 4)[1] == []
    connections.remove("H")
    assert tick_seconds(connections, 110 * S, 4)[1] != []
