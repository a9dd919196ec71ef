"""Whatever happens to IOCs and in whichever order: what is told of a PV's connection makes sense."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nualley.core import SECOND_NS as S
from nualley.pv import Connection, Life
from nualley.pv.decide import HANG_MAX_NS, Connections, proof_ns

PVS, IOCS = "ABC", ("h:1", "h:2")
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("connected"), st.sampled_from(PVS), st.sampled_from(IOCS)),
        st.tuples(st.just("updated"), st.sampled_from(PVS), st.integers(0, 12)),
        st.tuples(st.just("lost"), st.sampled_from(PVS)),
        st.tuples(st.just("answered"), st.sampled_from(IOCS), st.integers(0, 4)),
        st.tuples(st.just("tick")),
    ),
    max_size=200,
)


class Story:
    """Feeds what happens to `Connections`, one second after the other."""

    def __init__(self, heartbeats):
        self.connections = Connections(protocol="ca", life_ns=2 * S, heartbeats=heartbeats)
        self.now_ns = 1000 * S
        self.told: dict[str, list[Connection]] = {pv: [] for pv in PVS}
        self.lives: list[Life] = []
        self.heartbeats = heartbeats
        self.ioc_of: dict[str, str] = {}

    def happen(self, what, *details):
        self.now_ns += S // 4
        events = getattr(self, what)(*details)
        for event in events:
            if isinstance(event, Life):
                self.lives.append(event)
            else:
                self.told[event.pv].append(event)
            assert event.last_heard_ns <= self.now_ns

    def connected(self, pv, ioc):
        self.ioc_of[pv] = ioc
        return self.connections.connected(pv, ioc, self.now_ns)

    def updated(self, pv, age_s):
        if not self.connections.is_up(pv):
            return []
        proven_ns = proof_ns(self.now_ns - age_s * S, self.now_ns)
        events = self.connections.heard(self.ioc_of[pv], proven_ns, self.now_ns)
        if pv in self.heartbeats:
            self.connections.beat(pv, self.now_ns)
        return events

    def lost(self, pv):
        return self.connections.lost(pv, self.now_ns)

    def answered(self, ioc, ago_s):
        return self.connections.answered(ioc, self.now_ns - ago_s * S, self.now_ns)

    def tick(self):
        tick = self.connections.tick(self.now_ns, S // 4)
        assert all(self.connections.is_up(question.pv) for question in tick.questions)
        return tick.events


@given(happenings, st.sampled_from([(), ("A",)]))
def test_connections_alternate_and_never_vouch_for_the_future(story, heartbeats):
    told = Story(heartbeats)
    for what, *details in story:
        told.happen(what, *details)
    for events in told.told.values():
        states = [event.is_connected for event in events]
        assert all(before != after for before, after in pairwise(states))
        assert all(event.ioc in IOCS for event in events if event.is_connected)
        times = [event.time_ns for event in events]
        assert times == sorted(times)


@given(happenings, st.sampled_from([(), ("A",)]))
def test_silence_always_ends_in_a_disconnect_within_10_s(story, heartbeats):
    told = Story(heartbeats)
    for what, *details in story:
        told.happen(what, *details)
    silent_ns = told.now_ns
    for _ in range(40):
        told.happen("tick")
    for pv, events in told.told.items():
        if told.connections.is_up(pv):
            assert not events[-1].is_connected
            assert events[-1].time_ns - silent_ns <= HANG_MAX_NS + S
            assert events[-1].last_heard_ns <= silent_ns
