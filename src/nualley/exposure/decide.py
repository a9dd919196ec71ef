"""What integrals say of a run, and to which fate each stretch of time belongs."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

from nualley.core import SECOND_NS, Interval, IntervalSet, format_duration
from nualley.exposure.integral import Sums
from nualley.exposure.models import Amounts, DefectKind, ExposureDefect, Fate, LedgerPart
from nualley.exposure.ports import RecordedRun
from nualley.exposure.sources import BeamSources
from nualley.physics import JOULE_PER_GWH

CHARGE_TOLERANCE = 0.02
"""Protons by charge and by power may differ by this part of the latter."""

OPEN_GRACE_NS = 10 * SECOND_NS
"""How far behind the clock the last proof of life may be [ns] and still mean "not told yet" instead of "not known":
the time in which a hung IOC is noticed."""


def known_until_ns(now_ns: int, alive_until_ns: int) -> int:
    """Return where an interval that goes on is cut for now.

    Parameters
    ----------
    now_ns : int
        The time now [ns since 1970 UTC].
    alive_until_ns : int
        Last proof that the beam's values still held [ns since 1970 UTC].

    Returns
    -------
    int
        That proof, where it is fresh; else now: a beam that nobody heard of for longer is unknown, not late.
    """
    return min(now_ns, alive_until_ns) if now_ns - alive_until_ns <= OPEN_GRACE_NS else now_ns


def run_interval(run: RecordedRun, until_ns: int) -> tuple[Interval | None, str]:
    """Return when a run was, or why that is not known.

    Parameters
    ----------
    run : RecordedRun
        The run. Only the run PVs can tell that one without a stop still goes on; where times were given by hand, its
        stop is not known, and no protons are made up for it.
    until_ns : int
        Where a run that goes on is cut for now [ns since 1970 UTC].

    Returns
    -------
    interval : Interval or None
        Its bounds.
    reason : str
        Why there are none; empty where there are.
    """
    if run.start_ns is None:
        return None, f"its start is not known (time_source {run.time_source})"
    if run.stop_ns is not None:
        return Interval(run.start_ns, run.stop_ns), ""
    if run.time_source != "pv":
        return None, f"its stop is not known (time_source {run.time_source})"
    return Interval(run.start_ns, max(run.start_ns, until_ns)), ""


def beam_amounts(sums: Sums, sources: BeamSources) -> Amounts:
    """Return what the accelerator delivered, whoever recorded it.

    Parameters
    ----------
    sums : Sums
        Exact integrals.
    sources : BeamSources
        What is archived of the beam.

    Returns
    -------
    Amounts
        Without live time.
    """
    has_pulses = sources.rate_Hz and not _is_all(sums.rate_unknown_ns, sums.beam_on_ns)
    has_charge = sources.charge_C and has_pulses and not _is_all(sums.charge_unknown_ns, sums.beam_on_ns)
    return Amounts(
        pot=_per_s(sums.pot),
        energy_GWh=float(sums.energy / SECOND_NS / Fraction(JOULE_PER_GWH)),
        beam_on_s=sums.beam_on_ns / 1e9,
        unknown_s=sums.unknown_ns / 1e9,
        n_pulses=round(sums.pulses / SECOND_NS) if has_pulses else None,
        pot_charge=_per_s(sums.pot_charge) if has_charge else None,
    )


def run_amounts(sums: Sums, sources: BeamSources, *, has_live_fraction: bool) -> Amounts:
    """Return what a run got.

    Parameters
    ----------
    sums : Sums
        Exact integrals over the run.
    sources : BeamSources
        What is archived of the beam.
    has_live_fraction : bool
        Whether the detector has a PV of its live fraction.

    Returns
    -------
    Amounts
        ``pot_live`` is None, and ``livetime_s`` lacks only the pauses, where dead time is known nowhere.
    """
    beam = beam_amounts(sums, sources)
    has_live = has_live_fraction and not _is_all(sums.live_unknown_ns, sums.counted_ns)
    return Amounts(
        pot=beam.pot,
        pot_live=_per_s(sums.pot_live) if has_live else None,
        energy_GWh=beam.energy_GWh,
        beam_on_s=beam.beam_on_s,
        livetime_s=float(sums.live / SECOND_NS) if has_live else sums.counted_ns / 1e9,
        unknown_s=beam.unknown_s,
        n_pulses=beam.n_pulses,
        pot_charge=beam.pot_charge,
    )


def run_defects(sums: Sums) -> tuple[ExposureDefect, ...]:
    """Return what is doubtful about a run's exposure."""
    found = []
    if sums.unknown_ns:
        detail = (
            f"the beam is not known in {_seconds(sums.unknown_ns)} of {_seconds(sums.duration_ns)}:"
            " protons of then are not counted"
        )
        found.append(ExposureDefect(DefectKind.BEAM_UNKNOWN, detail))
    if sums.live_unknown_ns:
        is_all = _is_all(sums.live_unknown_ns, sums.counted_ns)
        effect = (
            "pot_live is null, livetime_s is without pauses only" if is_all else "livetime_s and pot_live lack them"
        )
        detail = (
            f"the live fraction is not known in {_seconds(sums.live_unknown_ns)} of {_seconds(sums.counted_ns)} outside"
            f" of pauses, in which {_per_s(sums.pot_live_unknown):.6g} protons came: {effect}"
        )
        found.append(ExposureDefect(DefectKind.DEAD_TIME_UNKNOWN, detail))
    if sums.rate_unknown_ns:
        detail = (
            f"the pulse rate is not known in {_seconds(sums.rate_unknown_ns)} of {_seconds(sums.beam_on_ns)} of beam:"
            f" {_effect('n_pulses', sums.rate_unknown_ns, sums.beam_on_ns)}"
        )
        found.append(ExposureDefect(DefectKind.RATE_UNKNOWN, detail))
    return (*found, *_charge_defects(sums))


def overlap_defects(intervals: Mapping[str, Interval]) -> dict[str, tuple[ExposureDefect, ...]]:
    """Say which runs of one detector cannot both be right: it takes one run at a time.

    Parameters
    ----------
    intervals : mapping of str to Interval
        Run id -> when it was.

    Returns
    -------
    dict of str to tuple of ExposureDefect
        Run id -> one defect for each run that it overlaps; runs that overlap none do not occur.
    """
    found: dict[str, list[ExposureDefect]] = {}
    earlier: list[tuple[str, Interval]] = []
    for run_id, interval in sorted(intervals.items(), key=lambda item: (item[1].start_ns, item[1].stop_ns)):
        earlier = [(other, before) for other, before in earlier if before.stop_ns > interval.start_ns]
        for other, before in earlier:
            shared_ns = min(before.stop_ns, interval.stop_ns) - interval.start_ns
            if shared_ns:
                for one, two in ((run_id, other), (other, run_id)):
                    detail = f"{_seconds(shared_ns)} of it are also in {two}: in sums they count once"
                    found.setdefault(one, []).append(ExposureDefect(DefectKind.OVERLAP, detail))
        earlier.append((run_id, interval))
    return {run_id: tuple(defects) for run_id, defects in found.items()}


def _charge_defects(sums: Sums) -> list[ExposureDefect]:
    found = []
    if sums.charge_unknown_ns:
        detail = (
            f"the charge per pulse is not known in {_seconds(sums.charge_unknown_ns)} of"
            f" {_seconds(sums.beam_on_ns)} of beam:"
            f" {_effect('pot_charge', sums.charge_unknown_ns, sums.beam_on_ns)}"
        )
        found.append(ExposureDefect(DefectKind.CHARGE_UNKNOWN, detail))
    if abs(sums.pot_charge - sums.pot_beside_charge) > Fraction(CHARGE_TOLERANCE) * sums.pot_beside_charge:
        difference = float((sums.pot_charge - sums.pot_beside_charge) / sums.pot_beside_charge)
        detail = (
            f"{_per_s(sums.pot_charge):.6g} protons by charge, {_per_s(sums.pot_beside_charge):.6g} by power over the"
            f" same {_seconds(sums.beam_on_ns - sums.charge_unknown_ns)}: {difference:+.2%}, expected within"
            f" {CHARGE_TOLERANCE:.0%}"
        )
        found.append(ExposureDefect(DefectKind.CHARGE_DIFFERS, detail))
    return found


def fates(
    whole: Interval, *, runs: IntervalSet, paused: IntervalSet, taking: IntervalSet, dark: IntervalSet
) -> dict[Fate, IntervalSet]:
    """Divide an interval by what became of its protons, for one detector.

    Parameters
    ----------
    whole : Interval
        The interval.
    runs : IntervalSet
        Recorded runs.
    paused : IntervalSet
        When the DAQ said that it held.
    taking : IntervalSet
        When the DAQ said that it took data: outside of a recorded run, nobody knows (yet) whether they were kept.
    dark : IntervalSet
        When the DAQ was not heard.

    Returns
    -------
    dict of Fate to IntervalSet
        Disjoint; together the whole.
    """
    everything = IntervalSet((whole,))
    inside = runs & everything
    outside = everything - inside
    held = inside & paused
    unknown = outside & (taking | dark)
    return {
        Fate.RECORDED: inside - held,
        Fate.NO_RUN: outside - unknown,
        Fate.DAQ_PAUSED: held,
        Fate.UNKNOWN: unknown,
    }


def whole_protons(sums: Sequence[Sums]) -> list[int]:
    """Round protons of several parts to whole ones, so that they add up to the rounded total.

    Parameters
    ----------
    sums : sequence of Sums
        Exact integrals of the parts.

    Returns
    -------
    list of int
        Each within one proton of its exact value; their sum is the exact sum, rounded once.

    Examples
    --------
    >>> half = Sums(pot=Fraction(500_000_000))
    >>> whole_protons([half, half, half])
    [0, 1, 1]
    """
    exact = Fraction(0)
    edges = [0]
    for part in sums:
        exact += part.pot
        edges.append(round(exact / SECOND_NS))
    return [after - before for before, after in pairwise(edges)]


def ledger_parts(sums_by_fate: Mapping[Fate, Sums]) -> dict[Fate, LedgerPart]:
    """Return the account of each fate, in whole protons that add up."""
    whole = whole_protons(list(sums_by_fate.values()))
    return {fate: _part(sums, pot) for (fate, sums), pot in zip(sums_by_fate.items(), whole, strict=True)}


def ledger_total(sums: Sums) -> LedgerPart:
    """Return the account of everything delivered."""
    return _part(sums, round(sums.pot / SECOND_NS))


def _part(sums: Sums, pot: int) -> LedgerPart:
    return LedgerPart(pot=pot, duration_ns=sums.duration_ns, beam_on_ns=sums.beam_on_ns, unknown_ns=sums.unknown_ns)


def _per_s(integral: Fraction) -> float:
    return float(integral / SECOND_NS)


def _is_all(unknown_ns: int, all_ns: int) -> bool:
    return all_ns > 0 and unknown_ns == all_ns


def _effect(quantity: str, unknown_ns: int, all_ns: int) -> str:
    return f"{quantity} is null" if _is_all(unknown_ns, all_ns) else f"{quantity} lacks them"


def _seconds(duration_ns: int) -> str:
    return format_duration(duration_ns / 1e9)
