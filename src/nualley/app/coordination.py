"""What a data coordinator looks at: drives, bytes, copies, runs and run lists, each with what is to be done."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from nualley.app.forecast import forecast_drives
from nualley.app.removals import Removed, purge_states, removed
from nualley.app.run_checks import RunFacts, RunProblem, examine_runs
from nualley.app.scanning import scans_of
from nualley.app.site import Site
from nualley.app.usage import Unowned, UsageRow, current_usage, unowned, usage_history
from nualley.catalog import Totals, Transfer, TransferCount
from nualley.core import DAY_NS, NualleyError
from nualley.exposure import Amounts, Delivered
from nualley.replicas import PurgeReport, transfer_json
from nualley.storage import DriveUsage, FillForecast
from nualley.storage.adapters.fill_files import FillFolder
from nualley.storage.adapters.scan_rows import read_metadata
from nualley.storage.fill_history import histories_of

WEEK_DAYS = 7
"""A report looks back so far [d]."""

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Generic[_Row]):
    """One part of what a coordinator looks at.

    Parameters
    ----------
    rows : tuple
        What was found, the most urgent first.
    trouble : str
        Why it could not be looked at; empty where it was.
    do : str
        What to do about that.
    """

    rows: tuple[_Row, ...] = ()
    trouble: str = ""
    do: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveOutlook:
    """How a drive stands, and when it will be full.

    Parameters
    ----------
    usage : DriveUsage
        How full it is.
    growth_B : int or None
        By how much it grew over the days of the report [B]; None where nobody watched it then.
    forecast : FillForecast or None
        When it will be full; None where nothing can be said yet.
    no_forecast : str
        Why nothing can be said.
    scan_ns : int or None
        When the newest scan began [ns since 1970 UTC]; None where there is none.
    """

    usage: DriveUsage
    growth_B: int | None = None
    forecast: FillForecast | None = None
    no_forecast: str = ""
    scan_ns: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        usage, forecast = self.usage, self.forecast
        dates = ("full_10", "full_50", "gross_10", "gross_50")
        said = {name: getattr(forecast, name) if forecast else None for name in dates}
        return {
            "drive": usage.drive.name,
            "is_mounted": usage.is_mounted,
            "is_writable": usage.is_writable,
            "error": usage.error,
            "used_B": usage.used_B,
            "available_B": usage.available_B,
            "fill_fraction": usage.fill_fraction if usage.is_mounted else None,
            "limit_fraction": usage.drive.limit_fraction,
            "growth_B": self.growth_B,
            **{name: day.isoformat() if day else None for name, day in said.items()},
            "no_forecast": self.no_forecast,
            "scan_ns": self.scan_ns,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorCopies:
    """How well the files of a detector are kept.

    Parameters
    ----------
    detector : str
        Its id.
    n_runs, n_files, n_replicas, n_verified : int
        Runs, files, places where they lie, and those of them that were read back and compared.
    size_B : int
        Bytes, each file once [B].
    n_short : int
        Runs with a file that has fewer verified replicas than its stage should have; drives on one device hold one.
    """

    detector: str
    n_runs: int = 0
    n_files: int = 0
    n_replicas: int = 0
    n_verified: int = 0
    size_B: int = 0
    n_short: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        names = ("detector", "n_runs", "n_files", "n_replicas", "n_verified", "size_B", "n_short")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTransfer:
    """A transfer of which not all is there.

    Parameters
    ----------
    transfer : Transfer
        Which one.
    count : TransferCount
        How far its files are.
    """

    transfer: Transfer
    count: TransferCount

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return transfer_json(self.transfer, self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleList:
    """A run list that says something else by now than it did.

    Parameters
    ----------
    name : str
        The frozen selection.
    n_gone, n_new : int
        Pieces that would no longer be selected today, and those that would be as well.
    remark : str
        What else is to be known of it; empty where there is nothing.
    """

    name: str
    n_gone: int
    n_new: int
    remark: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {"name": self.name, "n_gone": self.n_gone, "n_new": self.n_new, "remark": self.remark}


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorWeek:
    """What a detector recorded over the days of the report.

    Parameters
    ----------
    detector : str
        Its id.
    n_runs, n_files, n_events : int
        Runs that overlap these days, with all their files and events.
    size_B : int
        Bytes of the files [B].
    amounts : Amounts
        What these runs got of the beam.
    """

    detector: str
    n_runs: int
    n_files: int
    n_events: int
    size_B: int
    amounts: Amounts

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        names = ("detector", "n_runs", "n_files", "n_events", "size_B")
        return {**{name: getattr(self, name) for name in names}, **self.amounts.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordination:
    """All that a coordinator looks at; a part that cannot be looked at says why, and the others are there.

    Parameters
    ----------
    experiment : str
        Its name.
    start_ns, stop_ns : int
        The days of the report, up to now [ns since 1970 UTC].
    delivered : Part of Delivered
        What the accelerator delivered over these days: one row.
    week : Part of DetectorWeek
        What each detector recorded.
    drives : Part of DriveOutlook
        Drives, the fullest first.
    usage, history : Part of UsageRow
        Who takes what by the newest scans, by detector and stage; by each scan that ever was, by drive, too.
    unowned : Part of Unowned
        Bytes that nobody owns, by drive.
    copies : Part of DetectorCopies
        How well the files of each detector are kept.
    transfers : Part of OpenTransfer
        Transfers that are not finished, the oldest first.
    removed : Part of Removed
        What was taken away over these days, and what lies in the trash.
    purges : Part of PurgeReport
        Drop directories whose files go by themselves, and the last look at each.
    problems : Part of RunProblem
        Runs without replicas or times, and what else is doubtful about runs and flags.
    run_lists : Part of StaleList
        Frozen run lists that would be others today.
    """

    experiment: str
    start_ns: int
    stop_ns: int
    delivered: Part[Delivered]
    week: Part[DetectorWeek]
    drives: Part[DriveOutlook]
    usage: Part[UsageRow]
    history: Part[UsageRow]
    unowned: Part[Unowned]
    copies: Part[DetectorCopies]
    transfers: Part[OpenTransfer]
    removed: Part[Removed]
    purges: Part[PurgeReport]
    problems: Part[RunProblem]
    run_lists: Part[StaleList]

    def troubles(self) -> list[str]:
        """Return why parts could not be looked at; the same reason once."""
        parts: tuple[Part[Any], ...] = (
            *(self.delivered, self.week, self.drives, self.usage, self.history, self.unowned),
            *(self.copies, self.transfers, self.removed, self.purges, self.problems, self.run_lists),
        )
        return list(dict.fromkeys(part.trouble for part in parts if part.trouble))

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        parts: Mapping[str, tuple[Part[Any], Callable[[Any], Any]]] = {
            "delivered": (self.delivered, Delivered.to_json),
            "week": (self.week, DetectorWeek.to_json),
            "drives": (self.drives, DriveOutlook.to_json),
            "usage": (self.usage, usage_json),
            "history": (self.history, usage_json),
            "unowned": (self.unowned, unowned_json),
            "copies": (self.copies, DetectorCopies.to_json),
            "transfers": (self.transfers, OpenTransfer.to_json),
            "removed": (self.removed, Removed.to_json),
            "purges": (self.purges, PurgeReport.to_json),
            "problems": (self.problems, RunProblem.to_json),
            "run_lists": (self.run_lists, StaleList.to_json),
        }
        return {
            "experiment": self.experiment,
            "start_ns": self.start_ns,
            "stop_ns": self.stop_ns,
            **{
                name: {"rows": [to_json(row) for row in part.rows], "trouble": part.trouble, "do": part.do}
                for name, (part, to_json) in parts.items()
            },
        }


def coordinate(site: Site, n_days: int = WEEK_DAYS, *, stop_ns: int | None = None) -> Coordination:
    """Look at all that a coordinator wants to know.

    Parameters
    ----------
    site : Site
        The experiment; in the thread that uses its archive's reader.
    n_days : int
        How far back the account of what was recorded goes [d], >= 1.
    stop_ns : int, optional
        Where it ends [ns since 1970 UTC]; now by default. Drives, copies and run lists are as of now.

    Returns
    -------
    Coordination
        Each part with its rows, or with why there are none.
    """
    stop_ns = site.clock.now_ns() if stop_ns is None else stop_ns
    start_ns = stop_ns - n_days * DAY_NS
    facts = RunFacts(site)
    return Coordination(
        experiment=site.configuration.experiment.name,
        start_ns=start_ns,
        stop_ns=stop_ns,
        delivered=_part(lambda: [site.exposures().delivered(start_ns, stop_ns)]),
        week=_part(lambda: _weeks(facts, start_ns, stop_ns)),
        drives=_part(lambda: _outlooks(site, n_days)),
        usage=_part(lambda: current_usage(site, ("detector", "stage"))),
        history=_part(lambda: usage_history(site, ("detector", "stage", "drive"))),
        unowned=_part(lambda: [found for found in unowned(site) if found.directories]),
        copies=_part(lambda: _copies(facts)),
        transfers=_part(lambda: _open_transfers(site)),
        removed=_part(lambda: removed(site, start_ns, stop_ns)),
        purges=_part(lambda: purge_states(site)),
        problems=_part(lambda: examine_runs(facts)[2]),
        run_lists=_part(lambda: list(_stale_lists(site))),
    )


def usage_json(row: UsageRow) -> dict[str, Any]:
    """Return who takes what as a JSON object."""
    return {"scan_ns": row.scan_ns, **row.by, "n_files": row.n_files, "size_B": row.size_B, "blocks_B": row.blocks_B}


def unowned_json(found: Unowned) -> dict[str, Any]:
    """Return what nobody owns on a drive as a JSON object."""
    return {
        "drive": found.drive,
        "scan_ns": found.scan_ns,
        "total_B": found.total_B,
        "unowned_B": found.size_B,
        "n_directories": len(found.directories),
    }


def _part(look: Callable[[], Sequence[_Row]]) -> Part[_Row]:
    try:
        return Part(rows=tuple(look()))
    except NualleyError as error:
        return Part(trouble=error.what, do=error.do)


def _weeks(facts: RunFacts, start_ns: int, stop_ns: int) -> list[DetectorWeek]:
    site, totals = facts.site, facts.totals_by_run
    meant = {run.run_id for run in site.catalog().runs(start_ns=start_ns, stop_ns=stop_ns)}
    report = site.exposures().summed([row for row in facts.exposures.runs if row.run_id in meant])
    runs: dict[str, list[Totals]] = {}
    for row in report.runs:
        runs.setdefault(row.detector, []).append(totals.get(row.run_id, Totals()))
    return [
        DetectorWeek(
            detector=detector,
            n_runs=len(runs[detector]),
            n_files=sum(found.n_files for found in runs[detector]),
            n_events=sum(found.n_events for found in runs[detector]),
            size_B=sum(found.size_B for found in runs[detector]),
            amounts=amounts,
        )
        for detector, amounts in report.known_sums.items()
    ]


def _outlooks(site: Site, n_days: int) -> list[DriveOutlook]:
    usages = site.drive_usages()
    histories = histories_of(FillFolder(site.fill_folder).days())
    forecasts, errors = forecast_drives(site)
    by_drive = {forecast.drive: forecast for forecast in forecasts}
    found = []
    for usage in usages:
        name = usage.drive.name
        used_B = histories[name].used_B.tolist() if name in histories else []
        found.append(
            DriveOutlook(
                usage=usage,
                growth_B=int(used_B[-1] - used_B[-1 - n_days]) if len(used_B) > n_days else None,
                forecast=by_drive.get(name),
                no_forecast=errors[name].what if name in errors else "",
                scan_ns=read_metadata(scan)["start_ns"] if (scan := next(scans_of(site, name), None)) else None,
            )
        )
    return sorted(found, key=lambda each: (each.usage.is_mounted, -_fill(each.usage)))


def _fill(usage: DriveUsage) -> float:
    return usage.fill_fraction if usage.capacity_B else 0.0


def _copies(facts: RunFacts) -> list[DetectorCopies]:
    by_detector: dict[str, list[Totals]] = {}
    for run in facts.runs:
        by_detector.setdefault(run.detector, []).append(facts.totals_by_run.get(run.run_id, Totals()))
    site = facts.site
    homes = {
        usage.drive.name: min(usage.drive.name, *usage.shares_with)
        for usage in site.drive_usages()
        if usage.shares_with
    }
    short = site.catalog().count_short(site.configuration.replicas.n_copies_by_stage, homes)
    n_short = Counter(run.detector for run in facts.runs if run.run_id in short)
    copies = [
        DetectorCopies(
            detector=detector,
            n_runs=len(found),
            n_files=sum(each.n_files for each in found),
            n_replicas=sum(each.n_replicas for each in found),
            n_verified=sum(each.n_verified_replicas for each in found),
            size_B=sum(each.size_B for each in found),
            n_short=n_short[detector],
        )
        for detector, found in by_detector.items()
    ]
    return sorted(copies, key=lambda each: (-each.n_short, each.detector))


def _open_transfers(site: Site) -> list[OpenTransfer]:
    transfers = site.catalog().transfers
    unfinished = transfers.transfers(is_open=True)
    return [OpenTransfer(transfer=each, count=transfers.count(each.transfer_id)) for each in unfinished]


def _stale_lists(site: Site) -> Iterable[StaleList]:
    selections = site.selections()
    for definition in selections.definitions():
        difference = selections.today(definition.name)
        if difference is not None and (definition.remark or not difference.is_same):
            yield StaleList(
                name=definition.name,
                n_gone=len(difference.only_left),
                n_new=len(difference.only_right),
                remark=definition.remark,
            )
