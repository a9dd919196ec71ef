"""Average traces of runs as Parquet files, one a run: open, durable, and checked when they are read."""

import hashlib
import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nualley.core import make_folders, replacing
from nualley.exposure.errors import KeptTraceDamagedError
from nualley.exposure.kept_trace import KeptTrace
from nualley.exposure.models import RunTrace, TraceSource
from nualley.physics import TraceRule

_SCHEMA = pa.schema([pa.field(name, pa.float64(), nullable=False) for name in ("time_us", "mean", "rms")])
_FACTS, _SHA256 = b"nualley.trace", b"nualley.trace.sha256"


class TraceFolder:
    """The port `KeptTraces` as a folder: ``<detector>/<run_id>.parquet``.

    Parameters
    ----------
    folder : Path
        ``store/exposure/traces``; made when the first is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, run_id: str) -> Path:
        return self._folder / run_id.rpartition("-")[0] / f"{run_id}.parquet"

    def find(self, run_id: str) -> KeptTrace | None:
        """Return the average that is kept of a run; see `nualley.exposure.ports.KeptTraces`."""
        path = self._path(run_id)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                table = file.read()
            return _kept(table)
        except FileNotFoundError:
            return None
        # Arrow has no error of its own for a file that is not what its footer says
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise KeptTraceDamagedError(
                f"the kept trace of run {run_id} is not as it was written: {str(error).partition(chr(10))[0]}",
                where=str(path),
                do="put a backup of this one file back, or move it away: it is made again from what the archive tells",
            ) from error

    def keep(self, kept: KeptTrace) -> None:
        """Keep one durably; see `nualley.exposure.ports.KeptTraces`."""
        path = self._path(kept.trace.run_id)
        make_folders(path.parent)
        # what was kept goes: what takes its place is read back first
        with replacing(path, check=lambda part: _kept(pq.read_table(part))) as part:
            pq.write_table(_table(kept), part, compression="zstd", write_page_checksum=True)


def _table(kept: KeptTrace) -> pa.Table:
    trace = kept.trace
    columns = [pa.array(column) for column in (trace.time_us, trace.mean, trace.rms)]
    facts = json.dumps(
        {
            "run_id": trace.run_id,
            "start_ns": trace.start_ns,
            "stop_ns": trace.stop_ns,
            "unit": trace.unit,
            "n": trace.n,
            "n_vetoed": trace.n_vetoed,
            "n_cut": trace.n_cut,
            "source": str(trace.source),
            "pv": kept.pv,
            "sample_period_ns": kept.sample_period_ns,
            "rule": astuple(kept.rule),
        }
    ).encode()
    return pa.table(columns, schema=_SCHEMA).replace_schema_metadata({_FACTS: facts, _SHA256: _digest(facts)})


def _digest(facts: bytes) -> bytes:
    # pages have checksums, what stands in the footer has none
    return hashlib.sha256(facts).hexdigest().encode()


def _kept(table: pa.Table) -> KeptTrace:
    metadata = table.schema.metadata or {}
    if _digest(metadata[_FACTS]) != metadata[_SHA256]:
        raise ValueError("what it says of itself has another checksum")
    facts: dict[str, Any] = json.loads(metadata[_FACTS])
    pv, period_ns, rule, source = (facts.pop(name) for name in ("pv", "sample_period_ns", "rule", "source"))
    facts |= {name: np.asarray(table[name].to_numpy(), dtype=np.float64) for name in _SCHEMA.names}
    return KeptTrace(RunTrace(**facts, source=TraceSource(source)), pv, period_ns, TraceRule(*rule))
