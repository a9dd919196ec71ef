"""Who is connected and which IOC lives: what to ask and what to tell, as pure functions of time and what came in."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from statistics import median

from nualley.core import SECOND_NS
from nualley.pv.models import Connection, Life, PvEvent

HANG_MAX_NS = 9 * SECOND_NS  # a hang is noticed within 10 s, whatever is configured
_QUESTIONS_MAX_NS = 8 * SECOND_NS  # three questions, but one less where they are asked every 4 s
_BEATS_MIN_NS = 5 * SECOND_NS
PLAUSIBLE_LAG_NS = 10 * SECOND_NS


def proof_ns(stamp_ns: int, received_ns: int) -> int:
    """Return the time at which an update proves that its IOC was alive.

    Parameters
    ----------
    stamp_ns : int
        The IOC's own time stamp [ns since 1970 UTC].
    received_ns : int
        When we read the update [ns since 1970 UTC].

    Returns
    -------
    int
        The stamp where it is at most 10 s old: an update may have waited in our queue. Else (a clock that is wrong,
        an old value sent on connection) the time of receipt.
    """
    return stamp_ns if 0 <= received_ns - stamp_ns <= PLAUSIBLE_LAG_NS else received_ns


class IocLife:
    """Whether one IOC is alive, from what was heard of it and for how long nothing was.

    Parameters
    ----------
    life_ns : int
        How often it is asked, and how often its life is told [ns], > 0.
    heard_ns : int
        The first proof of life [ns since 1970 UTC].

    Notes
    -----
    Silence is counted in time that *we* were awake (`pass_time`): a suspended process or a clock that jumps is no
    silence of the IOC. Without heartbeat an IOC hangs when three questions remain without answer, at most 8 s. A
    heartbeat is believed after three regular beats with a median period of at most 3 s; it hangs then after three
    periods or 5 s, whichever is later, and answers to questions no longer count: a Channel Access server goes on
    answering while the record scan is stuck. A slower "heartbeat" proves too little in 10 s: questions go on.
    """

    __slots__ = (
        "_beat_ns",
        "_intervals_ns",
        "_life_ns",
        "_silent_ns",
        "_since_asked_ns",
        "_since_told_ns",
        "is_alive",
        "last_heard_ns",
    )

    def __init__(self, life_ns: int, heard_ns: int) -> None:
        self._life_ns = life_ns
        self.is_alive = True
        self.last_heard_ns = heard_ns
        self._silent_ns = 0
        self._since_asked_ns = 0
        self._since_told_ns = 0
        self._beat_ns = 0
        self._intervals_ns: deque[int] = deque(maxlen=5)

    @property
    def is_watched_by_heartbeat(self) -> bool:
        """Whether its heartbeat is regular and quick enough to be believed."""
        return len(self._intervals_ns) >= 3 and 3 * median(self._intervals_ns) <= HANG_MAX_NS

    @property
    def hang_after_ns(self) -> int:
        """Silence that means that it hangs [ns]."""
        if self.is_watched_by_heartbeat:
            return max(_BEATS_MIN_NS, round(3 * median(self._intervals_ns)))
        return min(3 * self._life_ns, _QUESTIONS_MAX_NS)

    def heard(self, proven_ns: int) -> bool:
        """Take in an update of any of its PVs; return whether that brought it back to life."""
        self.last_heard_ns = max(self.last_heard_ns, proven_ns)
        self._silent_ns = 0
        was_alive, self.is_alive = self.is_alive, True
        return not was_alive

    def beat(self, received_ns: int) -> None:
        """Note the rhythm of a declared heartbeat (`heard` is told as well)."""
        if self._beat_ns and received_ns > self._beat_ns:
            self._intervals_ns.append(received_ns - self._beat_ns)
        self._beat_ns = received_ns

    def answered(self, asked_ns: int) -> bool:
        """Take in an answer to a question; return whether that brought it back to life.

        Parameters
        ----------
        asked_ns : int
            When the question was sent [ns since 1970 UTC]: the IOC lived at some time after that, so that much is
            proven and no more.
        """
        return False if self.is_watched_by_heartbeat else self.heard(asked_ns)

    def pass_time(self, awake_ns: int) -> bool:
        """Let time pass; return whether it is now found to hang.

        Parameters
        ----------
        awake_ns : int
            Time since the last call in which we were listening [ns].
        """
        self._silent_ns += awake_ns
        self._since_asked_ns += awake_ns
        self._since_told_ns += awake_ns
        hangs = self.is_alive and self._silent_ns >= self.hang_after_ns
        if hangs:
            self.is_alive = False
        return hangs

    def forget_heartbeat(self) -> None:
        """Go back to questions: the heartbeat is no longer listened to."""
        self._intervals_ns.clear()
        self._beat_ns = 0

    def take_question(self) -> bool:
        """Return whether it should be asked now (and note that it was)."""
        if self.is_watched_by_heartbeat or self._since_asked_ns < self._life_ns:
            return False
        self._since_asked_ns = 0
        return True

    def take_news(self) -> bool:
        """Return whether its life should be told now (and note that it was)."""
        if not self.is_alive or self._since_told_ns < self._life_ns:
            return False
        self._since_told_ns = 0
        return True


@dataclass(slots=True)
class _Pv:
    """One PV: what CA says, and what we have told."""

    ioc: str = ""
    is_up: bool = False  # CA's word
    told: bool | None = None  # the last Connection that was emitted


@dataclass(frozen=True, slots=True)
class Question:
    """An IOC that should be asked for a sign of life, by a get of one of its PVs."""

    ioc: str
    pv: str


@dataclass(frozen=True, slots=True)
class Tick:
    """What the passing of time brings: events to emit and questions to ask."""

    events: list[PvEvent]
    questions: list[Question]


class Connections:
    """Connection of every PV and life of every IOC of one source.

    Parameters
    ----------
    protocol : str
        The source's protocol, for the events.
    life_ns : int
        How often an IOC is asked and its life is told [ns], > 0.
    heartbeats : collection of str
        PVs declared as heartbeats.

    Notes
    -----
    Every method returns the events that are to be emitted, in order, before what caused them.
    """

    def __init__(self, *, protocol: str, life_ns: int, heartbeats: Collection[str] = ()) -> None:
        self._protocol = protocol
        self._life_ns = life_ns
        self._heartbeats = frozenset(heartbeats)
        self._pvs: dict[str, _Pv] = {}
        self._iocs: dict[str, IocLife] = {}
        self._pvs_by_ioc: dict[str, dict[str, None]] = {}  # a dict keeps the order: questions go round

    def is_up(self, pv: str) -> bool:
        """Return whether the protocol holds a connection to it."""
        state = self._pvs.get(pv)
        return state is not None and state.is_up

    def connected(self, pv: str, ioc: str, now_ns: int) -> list[PvEvent]:
        """Note that a PV was found at an IOC."""
        state = self._pvs.setdefault(pv, _Pv())
        if state.is_up and state.ioc != ioc:
            self._leave(pv, state)
        state.ioc, state.is_up = ioc, True
        self._pvs_by_ioc.setdefault(ioc, {})[pv] = None
        back = self._heard(ioc, now_ns, now_ns)
        return [*back, *self._tell(pv, state, is_connected=True, now_ns=now_ns)]

    def heard(self, ioc: str, proven_ns: int, now_ns: int) -> list[PvEvent]:
        """Note that updates of connected PVs of an IOC came.

        Parameters
        ----------
        ioc : str
            The IOC.
        proven_ns : int
            The last time at which they prove that it lived, by `proof_ns` [ns since 1970 UTC].
        now_ns : int
            When the last of them was received [ns since 1970 UTC].
        """
        return self._heard(ioc, proven_ns, now_ns) if ioc in self._iocs else []

    def beat(self, pv: str, received_ns: int) -> None:
        """Note an update of a declared heartbeat that is connected (`heard` is told as well)."""
        state = self._pvs.get(pv)
        if state is not None and state.ioc in self._iocs:
            self._iocs[state.ioc].beat(received_ns)

    def lost(self, pv: str, now_ns: int) -> list[PvEvent]:
        """Note that the protocol lost a PV, or did not find it in time."""
        state = self._pvs.setdefault(pv, _Pv())
        events = self._tell(pv, state, is_connected=False, now_ns=now_ns)
        self._leave(pv, state)
        return events

    def answered(self, ioc: str, asked_ns: int, now_ns: int) -> list[PvEvent]:
        """Note that an IOC answered a question that was sent at ``asked_ns``."""
        life = self._iocs.get(ioc)
        if life is None or not life.answered(asked_ns):
            return []
        return self._tell_all(ioc, is_connected=True, now_ns=now_ns)

    def remove(self, pv: str) -> None:
        """Forget a PV."""
        state = self._pvs.pop(pv, None)
        if state is not None:
            self._leave(pv, state)

    def tick(self, now_ns: int, awake_ns: int) -> Tick:
        """Let time pass.

        Parameters
        ----------
        now_ns : int
            The time [ns since 1970 UTC].
        awake_ns : int
            Time since the last tick in which we were listening [ns].

        Returns
        -------
        Tick
            Lost connections of IOCs found to hang, lives to tell, and questions to ask.
        """
        tick = Tick([], [])
        for ioc, life in self._iocs.items():
            if life.pass_time(awake_ns):
                tick.events.extend(self._tell_all(ioc, is_connected=False, now_ns=now_ns))
            if life.take_news():
                tick.events.append(Life(ioc, life.last_heard_ns))
            if life.take_question():
                tick.questions.append(Question(ioc, self._next_pv(ioc)))
        return tick

    def _heard(self, ioc: str, proven_ns: int, now_ns: int) -> list[PvEvent]:
        life = self._iocs.get(ioc)
        if life is None:
            self._iocs[ioc] = IocLife(self._life_ns, proven_ns)
            return []
        return self._tell_all(ioc, is_connected=True, now_ns=now_ns) if life.heard(proven_ns) else []

    def _tell_all(self, ioc: str, *, is_connected: bool, now_ns: int) -> list[PvEvent]:
        found: list[PvEvent] = []
        for pv in self._pvs_by_ioc[ioc]:
            found.extend(self._tell(pv, self._pvs[pv], is_connected=is_connected, now_ns=now_ns))
        return found

    def _tell(self, pv: str, state: _Pv, *, is_connected: bool, now_ns: int) -> list[PvEvent]:
        if state.told is is_connected:
            return []
        state.told = is_connected
        life = self._iocs.get(state.ioc)
        last_heard_ns = life.last_heard_ns if life else 0
        return [Connection(pv, is_connected, state.ioc, now_ns, last_heard_ns, self._protocol)]

    def _leave(self, pv: str, state: _Pv) -> None:
        state.is_up = False
        members = self._pvs_by_ioc.get(state.ioc, {})
        members.pop(pv, None)
        if not members:
            self._pvs_by_ioc.pop(state.ioc, None)
            self._iocs.pop(state.ioc, None)
        elif pv in self._heartbeats:
            self._iocs[state.ioc].forget_heartbeat()

    def _next_pv(self, ioc: str) -> str:
        # another PV each time: one whose record is locked by its driver, or that may not be read, must not
        # speak for its IOC for ever
        members = self._pvs_by_ioc[ioc]
        pv = next(iter(members))
        members[pv] = members.pop(pv)
        return pv
