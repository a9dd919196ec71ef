"""Records of an older nualley, which folded a commit type by type: what was received last counts."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from nualley.archive.directory import DirectoryCache, Snapshot
from nualley.archive.errors import SealedFileDamagedError
from nualley.archive.ports import ColumnFiles, Index
from nualley.archive.pv_record import PvRecord
from nualley.archive.registry import last_sample
from nualley.archive.rows import in_order
from nualley.archive.sealed import Level, RowGroup, SealedState
from nualley.pv import PvProtocol

_EVER_NS = 2**63 - 1


def mended(state: SealedState, index: Index, files: ColumnFiles) -> SealedState:
    """Return a state whose records are in the order of receipt; what is sealed next keeps it so.

    Only of a PV that has samples of another type behind the last one that its record tells of, files are read.

    Parameters
    ----------
    state : SealedState
        As the index has it.
    index : Index
        Where its files are listed.
    files : ColumnFiles
        Sealed rows.
    """
    if state.is_by_receipt:
        return state
    sealed = index.snapshot(DirectoryCache())
    records = tuple(_mended(record, sealed, files) for record in state.records)
    return replace(state, records=records, is_by_receipt=True)


def _mended(record: PvRecord, sealed: Snapshot, files: ColumnFiles) -> PvRecord:
    if record.last is None:
        return record
    found, since_ns = record, record.last.time_ns
    for group in sealed.groups(record.name, Level.RAW, since_ns, _EVER_NS):
        # what is of its own type was folded in the order of receipt
        if group.value_type is not record.value_type and (group.last_sample_ns or 0) >= since_ns:
            found = _newer(found, group, files)
    seq = found.last.seq if found.last else -1
    return replace(found, synced_seq=max(found.synced_seq, seq))


def _newer(record: PvRecord, group: RowGroup, files: ColumnFiles) -> PvRecord:
    try:
        rows = files.read(group)
    except (SealedFileDamagedError, FileNotFoundError):  # told of where it is read
        return record
    is_live = pc.and_(
        pc.equal(rows["kind"].cast(pa.string()), "sample"),
        pc.not_equal(rows["protocol"].cast(pa.string()), str(PvProtocol.IMPORT)),
    )
    samples = in_order(rows.filter(is_live))
    if not samples.num_rows or record.last is None:
        return record
    (batch,) = samples.slice(samples.num_rows - 1).combine_chunks().to_batches()
    last = last_sample(batch, 0)
    if (last.time_ns, last.seq) <= (record.last.time_ns, record.last.seq):
        return record
    return replace(record, value_type=group.value_type, last=last)
