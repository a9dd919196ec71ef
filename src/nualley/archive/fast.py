"""The short way of plain numbers: many samples at once, as long as nothing about them has to be decided one by one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nualley.archive.decide import EARLIEST_NS, fingerprint
from nualley.archive.pv_record import Tail
from nualley.pv import Samples, ValueType

_NUMBERS = (ValueType.FLOAT64, ValueType.INT64, ValueType.ENUM)
_LONG_WAY = -1
_NEVER_NS = -(2**63)
_LARGEST_ENUM = 2**31


@dataclass(frozen=True, slots=True)
class Sorted:
    """Which samples of a batch go the short way.

    Parameters
    ----------
    codes : ndarray of int32, shape (n,)
        PV of each sample.
    is_fast : ndarray of bool, shape (n,)
        Whether it does; all samples of a PV in a batch go the same way, so that their order stays.
    """

    codes: NDArray[np.int32]
    is_fast: NDArray[np.bool_]


class FastLane:
    """What has to be known of each PV to take its samples in without looking at each.

    A PV is on the short way while it is archived, not in doubt, of one type of number, and has a sample already. A
    batch of its samples goes that way where their stamps rise and none would be refused or filtered.

    Parameters
    ----------
    future_limit_ns : int
        How far ahead of the receipt a stamp may be [ns].
    """

    def __init__(self, future_limit_ns: int) -> None:
        self._future_limit_ns = future_limit_ns
        self._codes_by_list: dict[int, tuple[Sequence[str], NDArray[np.int32]]] = {}
        self._type = np.zeros(0, dtype=np.int8)
        self._ioc = np.zeros(0, dtype=np.int32)
        self._time_ns = np.zeros(0, dtype=np.int64)
        self._value = np.zeros(0, dtype=np.int64)
        self._severity = np.zeros(0, dtype=np.int8)
        self._status = np.zeros(0, dtype=np.int16)
        self._is_ahead = np.zeros(0, dtype=bool)
        self._iocs: list[str] = []

    def codes(self, pvs: Sequence[str], code_of: "dict[str, int]") -> NDArray[np.int32]:
        """Return the codes of a source's list of names, which only grows.

        Parameters
        ----------
        pvs : sequence of str
            The list.
        code_of : dict of str to int
            Code by name, of every name in it.
        """
        _, known = self._codes_by_list.get(id(pvs), (pvs, np.zeros(0, dtype=np.int32)))
        if known.size < len(pvs):
            more = np.array([code_of[name] for name in pvs[known.size :]], dtype=np.int32)
            known = np.concatenate([known, more])
            self._codes_by_list[id(pvs)] = (pvs, known)  # holds the list, so that no other gets its id
        return known

    def n_known(self, pvs: Sequence[str]) -> int:
        """Return how many names of a list have codes here."""
        found = self._codes_by_list.get(id(pvs))
        return 0 if found is None else found[1].size

    def enter(self, code: int, value_type: ValueType, time_ns: int, ioc: str) -> None:
        """Put a PV on the short way; its newest stored sample has this time."""
        self._grow(code)
        if ioc not in self._iocs:
            self._iocs.append(ioc)
        self._type[code] = _NUMBERS.index(value_type) if value_type in _NUMBERS else _LONG_WAY
        self._ioc[code] = self._iocs.index(ioc)
        self._time_ns[code] = time_ns
        self._is_ahead[code] = False

    def leave(self, code: int) -> None:
        """Take a PV off the short way."""
        if code < self._type.size:
            self._type[code] = _LONG_WAY

    def tail(self, code: int) -> Tail | None:
        """Return a PV's newest sample where it went the short way, and forget that it did; else None."""
        if code >= self._is_ahead.size or not self._is_ahead[code]:
            return None
        self._is_ahead[code] = False
        raw = self._value[code : code + 1]
        value = float(raw.view(np.float64)[0]) if self._type[code] == 0 else int(raw[0])
        print_ = fingerprint(value, int(self._severity[code]), int(self._status[code]))
        return Tail(int(self._time_ns[code]), print_)

    def sort(self, samples: Samples, codes: NDArray[np.int32]) -> Sorted:
        """Say which samples of a batch go the short way.

        Parameters
        ----------
        samples : Samples
            The batch.
        codes : ndarray of int32, shape (n,)
            PV of each.
        """
        if samples.value_type not in _NUMBERS:
            return Sorted(codes, np.zeros(codes.size, dtype=bool))
        self._grow(int(codes.max()))
        order = np.argsort(codes, kind="stable")
        sorted_codes, times_ns = codes[order], samples.time_ns[order]
        is_first = np.append(True, sorted_codes[1:] != sorted_codes[:-1])
        before_ns = np.where(is_first, self._time_ns[sorted_codes], np.append(_NEVER_NS, times_ns[:-1]))
        is_good = (times_ns > before_ns) & (times_ns >= EARLIEST_NS)
        is_good &= times_ns <= samples.received_ns[order] + self._future_limit_ns
        is_good &= self._type[sorted_codes] == _NUMBERS.index(samples.value_type)
        if samples.value_type is ValueType.ENUM:  # the column is narrower
            is_good &= np.abs(samples.value[order]) < _LARGEST_ENUM
        if is_good.all():
            return Sorted(codes, np.ones(codes.size, dtype=bool))
        is_slow = np.zeros(self._type.size, dtype=bool)
        is_slow[sorted_codes[~is_good]] = True
        return Sorted(codes, ~is_slow[codes])

    def take(self, samples: Samples, found: Sorted) -> dict[str, int]:
        """Remember the newest of the samples that went the short way; return when each of their IOCs was heard."""
        rows = np.flatnonzero(found.is_fast)
        codes = found.codes[rows]
        # where a PV is there several times, the last one stays
        self._time_ns[codes] = samples.time_ns[rows]
        value = samples.value[rows]
        self._value[codes] = value.view(np.int64) if value.dtype == np.float64 else value
        self._severity[codes], self._status[codes] = samples.severity[rows], samples.status[rows]
        self._is_ahead[codes] = True
        heard = np.full(len(self._iocs), _NEVER_NS, dtype=np.int64)
        np.maximum.at(heard, self._ioc[codes], samples.received_ns[rows])
        return {ioc: int(ns) for ioc, ns in zip(self._iocs, heard, strict=True) if ioc and ns != _NEVER_NS}

    def _grow(self, code: int) -> None:
        more = code + 1 - self._type.size
        if more <= 0:
            return
        more = max(more, self._type.size, 64)
        self._type = np.concatenate([self._type, np.full(more, _LONG_WAY, dtype=np.int8)])
        for name in ("_ioc", "_time_ns", "_value", "_severity", "_status", "_is_ahead"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros(more, dtype=old.dtype)]))
