"""Rows of the tables as values of the catalog, and back."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping

from nualley.catalog.models import (
    FileRecord,
    Note,
    Quarantined,
    Replica,
    Run,
    Source,
    SourceState,
    TimeSource,
)
from nualley.core import split_run_id, strict_text, to_json


def run_values(run: Run) -> dict[str, Any]:
    """Return the row of a run, without its tags."""
    return {
        "run_id": run.run_id,
        "detector": run.detector,
        "number": run.number,
        "start_ns": run.start_ns,
        "stop_ns": run.stop_ns,
        "time_source": str(run.time_source),
        "run_type": strict_text(run.run_type),
        "start_reason": strict_text(run.start_reason),
        "stop_reason": strict_text(run.stop_reason),
        "settings": to_json(run.settings, "settings"),
        "created_ns": run.created_ns,
    }


def to_run(row: RowMapping, tags: Sequence[str]) -> Run:
    """Return the run of a row and its tags."""
    values = dict(row) | {"time_source": TimeSource(row["time_source"])}
    return Run(**values, tags=tuple(sorted(tags)))


def file_values(file: FileRecord) -> dict[str, Any]:
    """Return the row of a file, without its number."""
    return {
        "run_id": file.run_id,
        "name": file.name,
        "format": file.format,
        "size_B": file.size_B,
        "xxh3_128": file.xxh3_128,
        "adler32": file.adler32,
        "n_events": file.n_events,
        "channels": to_json(file.channels, "channels"),
        "record_length": file.record_length,
        "defects": to_json(file.defects, "defects"),
        "n_defects": len(file.defects),
        "created_ns": file.created_ns,
        "stage": strict_text(file.stage),
    }


def to_file(row: RowMapping) -> FileRecord:
    """Return the file of a row."""
    values = dict(row)
    del values["n_defects"]
    values["channels"], values["defects"] = tuple(row["channels"]), tuple(row["defects"])
    return FileRecord(detector=split_run_id(row["run_id"])[0], **values)


def replica_values(replica: Replica) -> dict[str, Any]:
    """Return the row of a replica, without its numbers."""
    return {
        "drive": replica.drive,
        "path": replica.path,
        "state": str(replica.state),
        "verified_ns": replica.verified_ns,
        "created_ns": replica.created_ns,
    }


def to_note(row: RowMapping) -> Note:
    """Return the note of a row."""
    return Note(**row)


def quarantined_values(quarantined: Quarantined) -> dict[str, Any]:
    """Return the row of a refused file, without its number."""
    return {
        "path": quarantined.path,
        "reason": strict_text(quarantined.reason),
        "detector": quarantined.detector,
        "run_id": quarantined.run_id,
        "size_B": quarantined.size_B,
        "xxh3_128": quarantined.xxh3_128,
        "adler32": quarantined.adler32,
        "kept_at": quarantined.kept_at,
        "time_ns": quarantined.time_ns,
    }


def to_quarantined(row: RowMapping) -> Quarantined:
    """Return the refused file of a row."""
    return Quarantined(**row)


def source_values(source: Source) -> dict[str, Any]:
    """Return the row of a file in a drop directory."""
    return {
        "path": source.path,
        "detector": source.detector,
        "run_id": source.run_id,
        "state": str(source.state),
        "size_B": source.size_B,
        "mtime_ns": source.mtime_ns,
        "inode": source.inode,
        "time_ns": source.time_ns,
    }


def to_source(row: RowMapping) -> Source:
    """Return the file in a drop directory of a row."""
    return Source(**(dict(row) | {"state": SourceState(row["state"])}))
