"""Who takes what on the drives: by the newest scans, over all of them, and what nobody owns."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nualley.app.scanning import folder_of, scans_of
from nualley.app.site import Site
from nualley.core import NualleyError, UsageError, nearest
from nualley.storage import NoScan, Ownership, UnknownDrive, UnownedDirectory, Usage
from nualley.storage.adapters.directories import directories_file, quick_file, read_told
from nualley.storage.adapters.scan_rows import read_metadata
from nualley.storage.adapters.usage_files import (
    find_unowned,
    measure_usage,
    read_usage,
    usage_file,
    usage_files,
    write_usage,
)

DIMENSIONS = ("detector", "stage", "drive", "owner", "run", "month")
"""By what can be added up; what is kept for good lacks the run."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What was added up under one heading.

    Parameters
    ----------
    scan_ns : int or None
        When the scan began [ns since 1970 UTC]; None where several count.
    by : mapping of str to str, int or None
        The heading; None where nothing is said.
    n_files, size_B, blocks_B : int
        As in `nualley.storage.Usage`.
    """

    scan_ns: int | None
    by: Mapping[str, str | int | None]
    n_files: int
    size_B: int
    blocks_B: int


@dataclass(frozen=True, slots=True)
class Unowned:
    """What no rule matches on a drive.

    Parameters
    ----------
    drive : str
        The drive.
    scan_ns : int
        When the scan began [ns since 1970 UTC].
    total_B : int
        Bytes in all files of the drive [B].
    directories : sequence of UnownedDirectory
        The largest first.
    """

    drive: str
    scan_ns: int
    total_B: int
    directories: Sequence[UnownedDirectory]

    @property
    def size_B(self) -> int:
        """Bytes that nobody owns [B]."""
        return sum(directory.size_B for directory in self.directories)


def parse_dimensions(text: str) -> tuple[str, ...]:
    """Return by what is to be added up.

    Raises
    ------
    UsageError
        Where there is no such thing, or one stands twice.
    """
    words = tuple(text.split(","))
    for number, word in enumerate(words):
        if word not in DIMENSIONS:
            near = nearest(word, DIMENSIONS)
            hint = f"did you mean {near!r}? " if near else ""
            raise UsageError(
                f"{word!r} is nothing to add up by", where="--by", do=f"{hint}one or more of {','.join(DIMENSIONS)}"
            )
        if word in words[:number]:
            raise UsageError(f"{word!r} stands twice in {text!r}", where="--by", do="name it once")
    return words


def current_usage(site: Site, by: Sequence[str], drive: str | None = None) -> list[UsageRow]:
    """Return who takes what by the newest scan of each drive, the most first.

    Raises
    ------
    NoScan
        Where no drive was scanned yet.
    """
    sums: dict[tuple[str | int | None, ...], list[int]] = {}
    for name, scan in _newest(site, drive):
        _add(sums, name, _usages(site, name, scan, needs_run="run" in by), by)
    return [UsageRow(None, dict(zip(by, key, strict=True)), *found) for key, found in _ordered(sums)]


def usage_history(site: Site, by: Sequence[str], drive: str | None = None) -> list[UsageRow]:
    """Return who took what by each scan that ever was, the oldest first; with the rules of today where they are known.

    Raises
    ------
    UsageError
        Where it is asked for by run: that is not kept for good.
    NoScan
        Where no drive was scanned yet.
    """
    if "run" in by:
        raise UsageError("runs are not kept in the history", where="--by, --history", do="leave out run or --history")
    rows: list[UsageRow] = []
    for name in _drives(site, drive):
        digest = _ownership(site, name).digest
        for kept in usage_files(folder_of(site.configuration.store, name)).values():
            of_today = [path for path in kept if path.stem.endswith(f"-{digest}")]
            scan_ns, usages = read_usage((of_today or kept)[-1])
            sums: dict[tuple[str | int | None, ...], list[int]] = {}
            _add(sums, name, usages, by)
            rows += [UsageRow(scan_ns, dict(zip(by, key, strict=True)), *found) for key, found in _ordered(sums)]
    if not rows:
        raise _no_scan(site, drive)
    return sorted(rows, key=lambda row: row.scan_ns or 0)


def unowned(site: Site, drive: str | None = None) -> list[Unowned]:
    """Return what no rule matches, by the newest scan of each drive.

    Raises
    ------
    NoScan
        Where no drive was scanned yet.
    """
    found = []
    for name, scan in _newest(site, drive):
        told = read_metadata(scan)
        directories = find_unowned(scan, _ownership(site, name))
        found.append(Unowned(name, told["start_ns"], told["size_B"], directories))
    return found


@dataclass(frozen=True, slots=True)
class ScanRecord:
    """A full scan that is kept, and what quick looks knew.

    Parameters
    ----------
    told : mapping
        The footer of the scan, see docs/reference/scan-files.md.
    missed_B : int or None
        Bytes that quick looks had missed until then [B]; None where there was none before it.
    quick : mapping or None
        Of the newest scan of a drive: when the last quick look was (``time_ns``) and what it found (``size_B``).
    """

    told: Mapping[str, Any]
    missed_B: int | None
    quick: Mapping[str, Any] | None


def list_scans(site: Site, drive: str | None = None) -> list[ScanRecord]:
    """Return the scans that are kept, the newest of each drive first.

    Raises
    ------
    NoScan
        Where no drive was scanned yet.
    """
    records = []
    for name in _drives(site, drive):
        for number, scan in enumerate(scans_of(site, name)):
            quick = read_told(quick_file(scan.parent)) if number == 0 else {}
            missed_B = read_told(directories_file(scan)).get("missed_B")
            records.append(ScanRecord(read_metadata(scan), missed_B, quick if quick.get("scan") == scan.name else None))
    if not records:
        raise _no_scan(site, drive)
    return records


def not_scanned(site: Site) -> list[str]:
    """Return the drives of which there is no scan."""
    return [name for name in _drives(site, None) if not any(scans_of(site, name))]


def _usages(site: Site, drive: str, scan: Path, *, needs_run: bool) -> list[Usage]:
    ownership = _ownership(site, drive)
    kept = usage_file(scan, ownership.digest)
    if kept.exists() and not needs_run:
        return read_usage(kept)[1]
    usages = measure_usage(scan, ownership)
    if not kept.exists():
        # the rules are others than when it was scanned: kept for the next time, where this user may write
        with suppress(NualleyError, OSError):
            write_usage(scan, usages, ownership.digest)
    return usages


def _ownership(site: Site, drive: str) -> Ownership:
    return Ownership(site.configuration.storage.to_rules(), drive, tuple(site.configuration.detectors))


def _drives(site: Site, drive: str | None) -> list[str]:
    names = [known.name for known in site.configuration.storage.to_drives()]
    if drive is not None and drive not in names:
        raise UnknownDrive.named(drive, names, where="--drive")
    return [name for name in names if drive in (None, name)]


def _newest(site: Site, drive: str | None) -> Iterator[tuple[str, Path]]:
    found = [(name, next(scans_of(site, name), None)) for name in _drives(site, drive)]
    if not any(scan for _, scan in found):
        raise _no_scan(site, drive)
    yield from ((name, scan) for name, scan in found if scan)


def _no_scan(site: Site, drive: str | None) -> NoScan:
    what = f"{drive} was not scanned yet" if drive else "no drive was scanned yet"
    do = f"nualley drives scan {drive}" if drive else "nualley drives scan"
    return NoScan(what, where=str(site.configuration.store / "scans"), do=do)


def _add(
    sums: dict[tuple[str | int | None, ...], list[int]], drive: str, usages: Sequence[Usage], by: Sequence[str]
) -> None:
    for usage in usages:
        owner = usage.owner
        said = {"drive": drive, "month": usage.month, "detector": owner.detector, "stage": owner.stage}
        words = {**said, "run": owner.run, "owner": owner.owner}
        found = sums.setdefault(tuple(words[name] for name in by), [0, 0, 0])
        for number, value in enumerate((usage.n_files, usage.size_B, usage.blocks_B)):
            found[number] += value


def _ordered(
    sums: Mapping[tuple[str | int | None, ...], list[int]],
) -> list[tuple[tuple[str | int | None, ...], list[int]]]:
    return sorted(sums.items(), key=lambda item: (-item[1][1], str(item[0])))
