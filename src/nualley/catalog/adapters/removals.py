"""`catalog.ports.Removals` on SQLite or PostgreSQL."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, select

from nualley.catalog.adapters import records, tables
from nualley.catalog.adapters.database import Database
from nualley.catalog.adapters.guarded import GuardedDatabase
from nualley.catalog.errors import ReplicaNeeded
from nualley.catalog.models import Activity, ReplicaState


class SqlRemovals:
    """Replicas that are taken away on purpose, in a database.

    Parameters
    ----------
    database : Database
        Open, with tables of this version.
    """

    def __init__(self, database: Database) -> None:
        guarded = GuardedDatabase(database)
        self._write, self._reading = guarded.write, guarded.reading

    def remove(self, replica_id: int, *, kept: Sequence[int], activity: Activity | None = None) -> None:
        """Enter that a verified replica is one no longer, and what was done, in one transaction.

        Writers follow each other: of two who would each take a replica because of the other one, the second is refused.
        """

        def work(connection: Connection) -> None:
            if replica_id in kept or not {replica_id, *kept} <= _verified_beside(connection, replica_id):
                raise ReplicaNeeded(
                    f"replica {replica_id} cannot go: it, or one that would stay, is not verified any more",
                    where=f"replica {replica_id}",
                    do="read them again: nualley drives scrub",
                )
            records.set_replica_state(connection, replica_id, state=ReplicaState.REMOVED, verified_ns=None)
            if activity is not None:
                records.put_activity(connection, activity)

        self._write(work)

    def put_back(self, replica_id: int, *, state: ReplicaState, activity: Activity | None = None) -> None:
        """Enter that a replica which was removed is there again, in the state that it had."""

        def work(connection: Connection) -> None:
            if records.is_removed(connection, replica_id):
                records.set_replica_state(connection, replica_id, state=state, verified_ns=None)
                if activity is not None:
                    records.put_activity(connection, activity)

        self._write(work)

    def stages(self, drive: str) -> Mapping[int, str]:
        """Return the stages of all files of which a replica is or was on a drive, by the number of the file."""
        replica, file = tables.replica.c, tables.file.c
        query = select(file.file_id, file.stage).join(tables.replica, file.file_id == replica.file_id)
        with self._reading() as connection:
            return {number: str(stage) for number, stage in connection.execute(query.where(replica.drive == drive))}

    def newest_ns(self) -> int | None:
        """Return the newest time that anything was entered for [ns since 1970 UTC]; None where nothing was."""
        columns = (
            tables.activity.c.stop_ns,
            tables.replica.c.verified_ns,
            tables.replica.c.created_ns,
            tables.source.c.time_ns,
        )
        with self._reading() as connection:
            found = [connection.execute(select(func.max(column))).scalar() for column in columns]
        return max((int(each) for each in found if each is not None), default=None)


def _verified_beside(connection: Connection, replica_id: int) -> set[int]:
    """Return the verified replicas of the same file, the one itself among them."""
    replica = tables.replica.c
    of_file = select(replica.file_id).where(replica.replica_id == replica_id).scalar_subquery()
    is_verified = replica.state == str(ReplicaState.VERIFIED)
    return set(connection.execute(select(replica.replica_id).where(replica.file_id == of_file, is_verified)).scalars())
