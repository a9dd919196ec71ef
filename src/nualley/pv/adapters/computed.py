"""PVs that are computed from others: a source that is fed by what the other sources emit."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import structlog
from numpy.typing import NDArray

from nualley.core import SECOND_NS, Clock, SystemClock
from nualley.pv.adapters.outlet import Outlet, drop
from nualley.pv.errors import PvRefusedError
from nualley.pv.expression import Expression, input_faults
from nualley.pv.models import (
    Connection,
    Life,
    Metadata,
    PvEvent,
    PvProtocol,
    PvRequest,
    Sample,
    Samples,
    Severity,
    ValueType,
)
from nualley.pv.ports import Emit

AskNewest: TypeAlias = Callable[[str], tuple[Sample, str] | None]
"""Returns the newest sample of a PV that is connected, and its IOC; None where there is none."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Input:
    """A PV that others are computed from."""

    is_up: bool = False
    ioc: str = ""
    heard_ns: int = 0
    sample: Sample | None = None
    users: list["_Computed"] = field(default_factory=list)


@dataclass(slots=True)
class _Computed:
    """A PV that is computed."""

    request: PvRequest
    expression: Expression
    is_up: bool = False
    time_ns: int = 0
    told_ns: int = 0
    is_described: bool = False

    @property
    def pv(self) -> str:
        return self.request.pv

    @property
    def ioc(self) -> str:
        return f"computed:{self.pv}"


class ComputedSource:
    """Computes PVs whenever one of those changes that they are computed from.

    Parameters
    ----------
    is_archived : callable
        Says whether a PV is archived: only what is can be an input.
    newest : callable
        Returns the newest sample of a PV, for one that begins to be an input while it is archived already.
    future_limit_s : float
        A stamp that lies further ahead of its receipt [s] does not count as a time, >= 0.
    clock : Clock, optional
        Says when inputs were lost.

    Attributes
    ----------
    n_failed : int
        Events that nobody could take, because of a mistake of ours: logged each.

    Notes
    -----
    A value holds from the moment at which the last of its inputs began to: its stamp is the latest of theirs, and
    never before the one before it. Its severity is the worst of theirs; INVALID, and the value NaN, where there is no
    number: an input that is NaN, a text or an array, a division by zero. It is connected while all its inputs are, and
    its life is that of the input that was heard the longest ago.
    """

    protocol: str = PvProtocol.COMPUTED

    def __init__(
        self,
        *,
        is_archived: Callable[[str], bool],
        newest: AskNewest,
        future_limit_s: float = 1800.0,
        clock: Clock | None = None,
    ) -> None:
        self._is_archived = is_archived
        self._newest = newest
        self._future_limit_ns = round(future_limit_s * SECOND_NS)
        self._clock = clock or SystemClock()
        self._out = Outlet("computed")
        self._computed: dict[str, _Computed] = {}
        self._inputs: dict[str, _Input] = {}
        self._life_ns: dict[str, int] = {}
        # by the list of names that a fast source hands out, which of them are inputs
        self._masks: dict[int, tuple[Sequence[str], NDArray[np.bool_]]] = {}

    @property
    def n_failed(self) -> int:
        """Updates that could not be taken, because of a mistake of ours."""
        return self._out.n_failed

    async def start(self, requests: Sequence[PvRequest], emit: Emit) -> None:
        """Compute PVs from now on; those that cannot be are told in the log, and left out."""
        self._out.emit = emit
        for request in requests:
            try:
                self._add(request, is_late=False)
            except PvRefusedError as error:
                _log.error("PV NOT COMPUTED", pv=request.pv, what=error.what, do=error.do)

    async def add(self, request: PvRequest) -> None:
        """Compute one more PV, or one anew.

        Raises
        ------
        PvRefusedError
            Where it has no expression, or one over PVs that are not archived or are computed from it.
        """
        before = self._computed.get(request.pv)
        await self.remove(request.pv)
        try:
            self._add(request, is_late=True)
        except PvRefusedError:
            if before is not None:
                self._add(before.request, is_late=True)
            raise

    async def remove(self, pv: str) -> None:
        """Compute a PV no more."""
        computed = self._computed.pop(pv, None)
        for name in computed.expression.inputs if computed else ():
            found = self._inputs[name]
            found.users = [user for user in found.users if user is not computed]
            if not found.users:
                del self._inputs[name]
        self._masks.clear()

    async def stop(self) -> None:
        """Compute nothing any more."""
        self._out.emit = drop
        self._computed.clear()
        self._inputs.clear()
        self._masks.clear()

    def take(self, event: PvEvent) -> None:
        """Take what another source emitted; the recorder has it already."""
        if not self._inputs:
            return
        if isinstance(event, Samples):
            self._take_many(event)
        elif isinstance(event, Life):
            self._note_life(event)
        elif not isinstance(event, Metadata) and event.pv in self._inputs:
            self._take_one(self._inputs[event.pv], event)

    def lose(self, pv: str) -> None:
        """Note that a PV is not archived any more, or paused."""
        if pv in self._inputs:
            now_ns = self._clock.now_ns()
            self.take(Connection(pv, False, "", now_ns, now_ns, self.protocol))

    # ---------------------------------------------------------------- what is computed from what
    def _add(self, request: PvRequest, *, is_late: bool) -> None:
        expression = self._checked(request)
        computed = self._computed[request.pv] = _Computed(request, expression)
        for name in expression.inputs:
            found = self._inputs.get(name)
            if found is None:
                found = self._inputs[name] = self._input(name) if is_late else _Input()
            found.users.append(computed)
        self._masks.clear()
        self._update(computed, self._clock.now_ns())

    def _checked(self, request: PvRequest) -> Expression:
        if not request.expression:
            raise PvRefusedError(f"{request.pv!r} has no expression", where=request.pv, do="name its expression")
        expression = Expression.parse(request.expression)
        known = {pv: computed.expression.inputs for pv, computed in self._computed.items()}
        faults = input_faults(request.pv, known | {request.pv: expression.inputs}, self._is_archived)
        if faults:
            do = f"nualley archive add {faults.missing[0]}" if faults.missing else "compute it from other PVs"
            raise PvRefusedError(faults.what, where=request.pv, do=do)
        return expression

    def _input(self, name: str) -> _Input:
        found = self._newest(name)
        if found is None:
            return _Input()
        sample, ioc = found
        return _Input(is_up=True, ioc=ioc, heard_ns=sample.received_ns, sample=sample)

    # ---------------------------------------------------------------- what comes in
    def _take_many(self, samples: Samples) -> None:
        is_wanted = self._mask(samples.pvs)[samples.index]
        if is_wanted.any():
            for sample in samples.only(is_wanted).each():
                self._take_one(self._inputs[sample.pv], sample)

    def _mask(self, pvs: Sequence[str]) -> NDArray[np.bool_]:
        _, known = self._masks.get(id(pvs), (pvs, np.zeros(0, dtype=bool)))
        if known.size < len(pvs):
            more = np.array([name in self._inputs for name in pvs[known.size :]], dtype=bool)
            known = np.concatenate([known, more])
            self._masks[id(pvs)] = (pvs, known)  # holds the list, so that no other gets its id
        return known

    def _take_one(self, found: _Input, event: Sample | Connection) -> None:
        if isinstance(event, Connection):
            found.is_up, found.ioc = event.is_connected, event.ioc or found.ioc
            found.heard_ns = max(found.heard_ns, event.last_heard_ns)
            now_ns = event.time_ns
        elif event.unreadable:
            return
        else:
            found.is_up, found.sample, now_ns = True, event, event.received_ns
            found.heard_ns = max(found.heard_ns, event.received_ns)
        for computed in tuple(found.users):
            self._update(computed, now_ns)

    def _note_life(self, life: Life) -> None:
        self._life_ns[life.ioc] = max(life.last_heard_ns, self._life_ns.get(life.ioc, 0))
        told = {id(user): user for found in self._inputs.values() if found.ioc == life.ioc for user in found.users}
        for computed in told.values():
            heard_ns = self._heard_ns(computed)
            if computed.is_up and heard_ns > computed.told_ns:
                computed.told_ns = heard_ns
                self._out.tell(Life(computed.ioc, heard_ns))

    def _heard_ns(self, computed: _Computed) -> int:
        inputs = [self._inputs[name] for name in computed.expression.inputs]
        return min(max(found.heard_ns, self._life_ns.get(found.ioc, 0)) for found in inputs)

    # ---------------------------------------------------------------- what is told
    def _update(self, computed: _Computed, now_ns: int) -> None:
        inputs = {name: self._inputs[name] for name in computed.expression.inputs}
        missing = [name for name, found in inputs.items() if not found.is_up or found.sample is None]
        if missing:
            self._lose(computed, missing, now_ns)
            return
        samples = [found.sample for found in inputs.values() if found.sample is not None]
        if not computed.is_up:
            computed.is_up = True
            self._out.tell(Connection(computed.pv, True, computed.ioc, now_ns, self._heard_ns(computed), self.protocol))
        if not computed.is_described:
            computed.is_described = True
            self._out.tell(
                Metadata(computed.pv, now_ns, ValueType.FLOAT64, unit=computed.request.unit, protocol=self.protocol)
            )
        self._out.tell(self._sample(computed, samples))

    def _lose(self, computed: _Computed, missing: Sequence[str], now_ns: int) -> None:
        if not computed.is_up:
            return  # it is told, or they still come, one after the other
        _log.info("computed.lost", pv=computed.pv, inputs=list(missing))
        computed.is_up = False
        # the reason stands in the place of who serves it
        why = f"{computed.ioc} without {', '.join(missing)}"
        heard_ns = min(self._heard_ns(computed), now_ns)
        self._out.tell(Connection(computed.pv, False, why, now_ns, heard_ns, self.protocol))

    def _sample(self, computed: _Computed, samples: Sequence[Sample]) -> Sample:
        received_ns = max(sample.received_ns for sample in samples)
        computed.time_ns = max(computed.time_ns, *(self._time_ns(sample) for sample in samples))
        value = computed.expression.compute({sample.pv: _number(sample) for sample in samples})
        worst = max(sample.severity for sample in samples)
        return Sample(
            pv=computed.pv,
            time_ns=computed.time_ns,
            value=value,
            value_type=ValueType.FLOAT64,
            severity=Severity.INVALID if math.isnan(value) else worst,
            status=0,
            protocol=self.protocol,
            received_ns=received_ns,
        )

    def _time_ns(self, sample: Sample) -> int:
        is_ahead = sample.time_ns > sample.received_ns + self._future_limit_ns
        return sample.received_ns if is_ahead else sample.time_ns


def _number(sample: Sample) -> float:
    value: object = sample.value
    return float(value) if isinstance(value, int | float) else math.nan
