"""What can be wrong with ingest."""

from collections.abc import Sequence

from nualley.catalog import Catalog, SourceState, TimeSource
from nualley.core import SECOND_NS, CheckResult, CheckState, Clock, escape_name, format_duration, unescape_name
from nualley.ingest import decide
from nualley.ingest.models import FoundFile, Stamp
from nualley.ingest.ports import DropFiles
from nualley.ingest.settings import IngestSettings
from nualley.storage import DropSettings

_N_NAMED = 3


class WaitingCheck:
    """Drop directories that cannot be read, and files in them that were not taken in for too long.

    Parameters
    ----------
    catalog : Catalog
        Knows which files are done.
    drop_files : DropFiles
        Walks through the directories.
    drops : sequence of DropSettings
        The directories.
    settings : IngestSettings
        How long is too long.
    clock : Clock
        Tells the time.
    """

    def __init__(
        self,
        catalog: Catalog,
        drop_files: DropFiles,
        drops: Sequence[DropSettings],
        *,
        settings: IngestSettings,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._drop_files = drop_files
        self._drops = drops
        self._settings = settings
        self._clock = clock

    def __call__(self) -> list[CheckResult]:
        """Look at every drop directory."""
        return [self._check(drop) for drop in self._drops]

    def _check(self, drop: DropSettings) -> CheckResult:
        name = f"ingest.drop.{drop.detector}"
        found = self._drop_files.walk(drop.path)
        if found.problems:
            problem = found.problems[0]
            more = f" and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
            return CheckResult(name, CheckState.FAILED, problem.what + more, problem.do)
        late = self._late(drop, found.files)
        if not late:
            return CheckResult(name, CheckState.OK, f"{len(found.files)} files in {_shown(drop)}, none waits too long")
        oldest = min(late, key=lambda file: file.stamp.mtime_ns)
        age = format_duration(self._clock.now_ns() - oldest.stamp.mtime_ns)
        return CheckResult(
            name,
            CheckState.WARNING,
            f"{len(late)} files in {_shown(drop)} were not taken in; the oldest, {escape_name(oldest.part)}, "
            f"rests since {age} (limit {self._settings.waiting_limit_s:g} s)",
            "see that 'nualley up worker' runs and what it says of them, or give 'nualley runs ingest'",
        )

    def _late(self, drop: DropSettings, files: Sequence[FoundFile]) -> list[FoundFile]:
        done = {
            unescape_name(source.path): Stamp(source.size_B, source.mtime_ns, source.inode)
            for source in self._catalog.sources(drop.detector)
        }
        limit_ns = self._clock.now_ns() - round(self._settings.waiting_limit_s * SECOND_NS)
        return [
            file
            for file in files
            if file.stamp.mtime_ns < limit_ns
            and done.get(file.path) != file.stamp
            and not decide.is_named(file.path.rpartition("/")[2], (*self._settings.ignored, *self._settings.sidecars))
        ]


def _shown(drop: DropSettings) -> str:
    return escape_name(str(drop.path))


class QuarantineCheck:
    """Files that were refused and lie where they were.

    Parameters
    ----------
    catalog : Catalog
        The record.
    drops : sequence of DropSettings
        The drop directories, whose detectors are looked at.
    """

    def __init__(self, catalog: Catalog, drops: Sequence[DropSettings]) -> None:
        self._catalog = catalog
        self._drops = drops

    def __call__(self) -> list[CheckResult]:
        """Count the refused files of every detector."""
        return [self._check(detector) for detector in sorted({drop.detector for drop in self._drops})]

    def _check(self, detector: str) -> CheckResult:
        name = f"ingest.quarantine.{detector}"
        standing = {
            source.path for source in self._catalog.sources(detector) if source.state is SourceState.QUARANTINED
        }
        if not standing:
            return CheckResult(name, CheckState.OK, "no file is in quarantine")
        reason_by_path = {row.path: row.reason for row in self._catalog.quarantined() if row.path in standing}
        reasons = "; ".join(list(reason_by_path.values())[-_N_NAMED:])
        return CheckResult(
            name,
            CheckState.WARNING,
            f"{len(standing)} files are in quarantine, the last: {reasons}",
            "look at each; take it in by hand (nualley runs ingest) or move it away",
        )


class RunTimesCheck:
    """Runs of which nobody knows when they were.

    Parameters
    ----------
    catalog : Catalog
        The record.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __call__(self) -> list[CheckResult]:
        """Count the runs without times."""
        unknown = [run.run_id for run in self._catalog.runs() if run.time_source is TimeSource.UNKNOWN]
        if not unknown:
            return [CheckResult("ingest.run_times", CheckState.OK, "every run has times")]
        named = ", ".join(unknown[:_N_NAMED]) + (", ..." if len(unknown) > _N_NAMED else "")
        return [
            CheckResult(
                "ingest.run_times",
                CheckState.WARNING,
                f"{len(unknown)} runs have no times, so no exposure: {named}",
                "archive the run PVs of detectors/<id>.toml, or: nualley runs times RUN --start T --stop T --reason X",
            )
        ]
