"""Rows as Parquet files, written whole and told apart from damaged ones by a digest of what they hold."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from nualley.core import DAY_NS, HOUR_NS, MINUTE_NS, format_time, make_folders, parse_time_ns, replacing
from nualley.exposure.models import Series
from nualley.exposure.rows import Parts, Rows, join_rows, sum_names, time_names

_FORMAT = b"1"
_PER_S = 1e9
_MOST_KEPT = 64
_DAY, _YEAR = len("2026-11-22"), len("2026")
_TIME_COLUMNS = {
    "beam_on_ns": "beam_on_s",
    "unknown_ns": "unknown_s",
    "rate_unknown_ns": "rate_unknown_s",
    "charge_unknown_ns": "charge_unknown_s",
    "live_unknown_ns": "live_unknown_s",
}
_SUM_COLUMNS = {
    "pot": "pot",
    "energy": "energy_J",
    "pulses": "n_pulses",
    "pot_charge": "pot_charge",
    "pot_beside_charge": "pot_beside_charge",
    "live": "live_s",
    "pot_live": "pot_live",
    "pot_live_unknown": "pot_live_unknown",
}
_NEEDS = {"pulses": "rate_unknown_ns", "pot_charge": "charge_unknown_ns"}
"""What is null, and not 0, where there is beam and the PV that would tell of it is not archived."""


@dataclass(frozen=True, slots=True)
class _Kept:
    state: tuple[int, int, int]
    rows: Rows | None


class RowFolder:
    """The port `RowFiles` as a folder: ``<width>/<series>/<year or day>.parquet``.

    Parameters
    ----------
    folder : Path
        ``store/exposure``; made when the first row is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[Path, _Kept] = {}
        self._damages: dict[Path, str] = {}

    @property
    def damages(self) -> list[str]:
        """What was found damaged so far; it counts as not there."""
        return list(self._damages.values())

    # -------------------------------------------------------------- reading
    def hours(self, series: Series, start_ns: int, stop_ns: int) -> Rows | None:
        """Return the rows of an hour in a stretch; see `nualley.exposure.ports.RowFiles`."""
        folder = self._of("1h", series)
        first, last = _name(start_ns)[:_YEAR], _name(max(stop_ns - 1, start_ns))[:_YEAR]
        paths = [path for path in _files(folder) if first <= path.stem <= last]
        found = [rows for path in paths if (rows := self._read(path, series, HOUR_NS)) is not None]
        return join_rows(found).within(start_ns, stop_ns) if found else None

    def minutes(self, series: Series, day_ns: int) -> Rows | None:
        """Return the rows of a minute of a UTC day; None where there are none."""
        path = self._of("1min", series) / f"{_name(day_ns)}.parquet"
        return self._read(path, series, MINUTE_NS)

    def days(self, series: Series) -> set[int]:
        """Return the UTC days of which there is a file of minutes, by their begin [ns since 1970 UTC]."""
        found = set()
        for path in _files(self._of("1min", series)):
            with suppress(ValueError):  # somebody else's file is not ours
                found.add(parse_time_ns(path.stem, 0))
        return found

    def size_B(self, series: Series) -> int:  # the unit
        """Return the bytes of a series' files [B]."""
        return sum(path.stat().st_size for width in ("1min", "1h") for path in _files(self._of(width, series)))

    def _of(self, width: str, series: Series) -> Path:
        return self._folder / width / series.name

    def _read(self, path: Path, series: Series, width_ns: int) -> Rows | None:
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        state = found.st_ino, found.st_size, found.st_mtime_ns
        kept = self._kept.get(path)
        if kept is None or kept.state != state:
            kept = _Kept(state, self._load(path, series, width_ns))
            if len(self._kept) >= _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[path] = kept
        return kept.rows

    def _load(self, path: Path, series: Series, width_ns: int) -> Rows | None:
        try:
            _check_regular(path)
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                table = file.read()
                metadata = file.schema_arrow.metadata or {}
            table.validate(full=True)
            if metadata.get(b"nualley.exposure.version") != _FORMAT:
                return None
            rows = _rows_from_table(table, width_ns, has_live=series.live_fraction is not None)
            said = metadata.get(b"nualley.exposure.digest", b"").decode("ascii", "replace")
            _check_digest(said, _digest(table, series, width_ns, path.stem))
        # Arrow has no error of its own for a file that is not what its footer says
        except (pa.ArrowException, LookupError, ValueError, TypeError, OSError) as error:
            self._damages[path] = f"{path}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            return None
        self._damages.pop(path, None)
        return rows

    # -------------------------------------------------------------- writing
    def put_minutes(self, series: Series, day_ns: int, rows: Rows) -> None:
        """Write the rows of a minute of a UTC day."""
        self._write(self._of("1min", series) / f"{_name(day_ns)}.parquet", series, rows)

    def put_hours(self, series: Series, rows: Mapping[int, Rows]) -> None:
        """Write the rows of an hour of some UTC days; those of other days stay."""
        by_year: dict[str, dict[int, Rows]] = {}
        for day_ns, found in rows.items():
            by_year.setdefault(_name(day_ns)[:_YEAR], {})[day_ns] = found
        for year, days in by_year.items():
            path = self._of("1h", series) / f"{year}.parquet"
            known = self._read(path, series, HOUR_NS)
            every = (_days_of(known) if known is not None else {}) | days
            self._write(path, series, join_rows([every[day_ns] for day_ns in sorted(every)]))

    def _write(self, path: Path, series: Series, rows: Rows) -> None:
        make_folders(path.parent)
        table = _table_from_rows(rows)
        metadata = {
            b"nualley.exposure.version": _FORMAT,
            b"nualley.exposure.series": series.name.encode(),
            b"nualley.exposure.live_fraction": (series.live_fraction or "").encode(),
            b"nualley.exposure.digest": _digest(table, series, rows.width_ns, path.stem).encode(),
        }
        with replacing(path) as part:
            pq.write_table(table.replace_schema_metadata(metadata), part, compression="zstd", write_page_checksum=True)


def _check_regular(path: Path) -> None:
    if not path.is_file():  # a pipe in its place would be waited for without end
        raise ValueError("it is no regular file")


def _check_digest(said: str, found: str) -> None:
    if said != found:
        raise ValueError(f"its digest is {found}, {said or 'none'} was written")


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.parquet"))


def _name(time_ns: int) -> str:
    return format_time(time_ns, digits=0)[:_DAY]


def _days_of(rows: Rows) -> dict[int, Rows]:
    days = rows.start_ns // DAY_NS * DAY_NS
    firsts = np.flatnonzero(np.append(True, days[1:] != days[:-1])[: days.size]).tolist()
    bounds = zip(firsts, [*firsts[1:], days.size], strict=True)
    return {int(days[a]): rows.take(slice(a, b)) for a, b in bounds}


def _table_from_rows(rows: Rows) -> pa.Table:
    beam_on_ns = rows.times_ns["beam_on_ns"]
    columns: dict[str, pa.Array] = {"start_ns": pa.array(rows.start_ns)}
    for name, parts in rows.sums.items():
        value = parts.rounded() / _PER_S
        is_absent = (value == 0) & (rows.times_ns[_NEEDS[name]] == 0) & (beam_on_ns > 0) if name in _NEEDS else None
        columns[_SUM_COLUMNS[name]] = pa.array(value, mask=is_absent)
    for name, time_ns in rows.times_ns.items():
        columns[_TIME_COLUMNS[name]] = pa.array(time_ns / _PER_S)
    for name, parts in rows.sums.items():
        offsets = pa.array(parts.offsets, pa.int32())
        columns[f"{_SUM_COLUMNS[name]}_parts"] = pa.ListArray.from_arrays(offsets, pa.array(parts.parts))
    columns["footing"] = pa.array(rows.footing, pa.string()).dictionary_encode()
    return pa.table(columns)


def _rows_from_table(table: pa.Table, width_ns: int, *, has_live: bool) -> Rows:
    start_ns = table["start_ns"].to_numpy()
    if start_ns.size and ((start_ns % width_ns).any() or (np.diff(start_ns) <= 0).any()):
        raise ValueError("its rows are not in order")
    return Rows(
        width_ns,
        start_ns,
        tuple(table["footing"].to_pylist()),
        {
            # whole nanoseconds: seconds of an hour hold them to the ns
            name: np.rint(table[_TIME_COLUMNS[name]].to_numpy() * _PER_S).astype(np.int64)
            for name in time_names(has_live=has_live)
        },
        {name: _parts(table[f"{_SUM_COLUMNS[name]}_parts"]) for name in sum_names(has_live=has_live)},
    )


def _parts(column: pa.ChunkedArray) -> Parts:
    lists = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return Parts(offsets - offsets[0], lists.flatten().to_numpy())


def _digest(table: pa.Table, series: Series, width_ns: int, name: str) -> str:
    """Return a digest of all that a file says, and of which file it is: one under another name is damaged, too."""
    found = xxhash.xxh3_128(f"{series.name} {series.live_fraction} {width_ns} {name} {table.num_rows}".encode())
    for field in table.schema:
        found.update(f" {field.name} ".encode())
        for part in _plain(table[field.name]):
            found.update(np.ascontiguousarray(part).tobytes())
    return str(found.hexdigest())


def _plain(column: pa.ChunkedArray) -> Sequence[NDArray[np.generic]]:
    if pa.types.is_list(column.type):
        parts = _parts(column)
        return parts.offsets, parts.parts
    if pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
        return (np.frombuffer("\n".join(column.to_pylist()).encode(), dtype=np.uint8),)
    return column.is_null().to_numpy(), column.fill_null(0).to_numpy()
