"""A move of the catalog that is killed at any moment: nothing or all is there, and the same call finishes it."""

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nualley.catalog.adapters.moves import move
from nualley.catalog.adapters.sql import open_catalog
from nualley.catalog.errors import CatalogMoved
from nualley.catalog.settings import parse_location
from nualley.testing.postgres import PostgresServer
from tests.unit.catalog.records import NOW_NS, make_activity, make_file, make_replica, make_run

pytestmark = pytest.mark.fault

NUMBERS = itertools.count()
N_RUNS = 5
# dies after a table was copied, before the copy is committed, or before the source is marked
CHILD = """
import os, signal, sys
from nualley.catalog.adapters import copying, moves
from nualley.catalog.settings import parse_location
source, target, moment = sys.argv[1:]
copy_table, go_on = copying._copy_table, copying.copy_verified

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def table(source, target, rows, report):
    copy_table(source, target, rows, report)
    if rows.name == moment:
        die()

def verified(*arguments):
    go_on(*arguments)
    if moment == "verified":
        die()

copying._copy_table, moves.copy_verified = table, verified
if moment == "mark":
    moves.insert = die
moves.move(parse_location(source), parse_location(target), now_ns=1)
"""


@pytest.mark.parametrize("moment", ["run", "replica", "verified", "mark"])
@pytest.mark.parametrize("direction", ["to the server", "from the server"])
def test_a_move_that_is_killed(tmp_path: Path, postgres: PostgresServer, moment: str, direction: str) -> None:
    file, server = str(tmp_path / "catalog.sqlite"), postgres.create(f"killed{next(NUMBERS)}")
    source, target = (file, server) if direction == "to the server" else (server, file)
    with open_catalog(parse_location(source)) as catalog:
        for number in range(N_RUNS):
            run = make_run(number)
            place = make_replica(path=f"/data1/{number}")
            catalog.add_file(run, make_file(run), replicas=[place], activity=make_activity(inputs=("x",)))
    done = subprocess.run([sys.executable, "-c", CHILD, source, target, moment], check=False)
    assert done.returncode == -signal.SIGKILL
    with open_catalog(parse_location(target)) as catalog:
        assert len(catalog.runs()) == (N_RUNS if moment == "mark" else 0)
    again = move(parse_location(source), parse_location(target), now_ns=NOW_NS)
    assert (again.was_there, again.content.n_rows_by_table["run"]) == (moment == "mark", N_RUNS)
    with open_catalog(parse_location(source)) as old, pytest.raises(CatalogMoved):
        old.add_tag("cenns-10-1", "x")
    with open_catalog(parse_location(target)) as catalog:
        assert len(catalog.runs()) == N_RUNS
        catalog.add_tag("cenns-10-1", "x")
