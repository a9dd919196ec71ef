"""Files of which there are too few verified replicas, on SQLite and on PostgreSQL."""

from nualley.catalog import Catalog, ReplicaState
from tests.unit.catalog.records import make_file, make_replica, make_run

RAW_TWICE = {"raw": 2, "sim": 0}


def test_a_file_is_short_where_its_stage_wants_more_verified_replicas(any_catalog: Catalog) -> None:
    damaged = {"state": ReplicaState.DAMAGED}
    for number, (stage, n_good, n_bad) in enumerate(
        [("raw", 2, 0), ("hit", 1, 1), ("raw", 1, 1), ("hit", 0, 1), ("sim", 0, 0)]
    ):
        run = make_run(number=number)
        for name in ("a", "b"):
            places = [f"/{number}/{name}{place}" for place in range(n_good + n_bad)]
            replicas = [
                make_replica(f"data{place}", path, **({} if place < n_good else damaged))
                for place, path in enumerate(places)
            ]
            any_catalog.add_file(run, make_file(run, name, stage=stage), replicas=replicas)
    short = {run_id.rpartition("-")[2]: n for run_id, n in any_catalog.count_short(RAW_TWICE, {}).items()}
    assert short == {"2": 2, "3": 2}
    on_one = {"data0": "data0", "data1": "data0"}
    short = {run_id.rpartition("-")[2]: n for run_id, n in any_catalog.count_short(RAW_TWICE, on_one).items()}
    assert short == {"0": 2, "2": 2, "3": 2}, "drives on one device hold one"
    assert len(any_catalog.count_short({}, {})) == 2, "one is wanted where nothing is said"
