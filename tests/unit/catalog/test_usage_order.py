"""Sums of all that a catalog tells apart come in one order, whatever the language of the server."""

from itertools import product

from nualley.catalog import FileUsage
from nualley.catalog.adapters.sql import SqlCatalog
from nualley.catalog.models import USAGE_KEYS
from tests.unit.catalog.records import make_file, make_replica, make_run

# where each begins like another, or a server's language would take capitals and signs otherwise
DETECTORS = ("b", "ab", "a-b", "a")
DRIVES = ("a", "a!", "a b", "ab", "B", "a-b", "é")


def test_sums_by_all_four_are_ordered_as_the_names_are(any_catalog: SqlCatalog) -> None:
    for number, (detector, drive) in enumerate(product(DETECTORS, DRIVES)):
        run = make_run(number, detector)
        file = make_file(run, content=number, stage="hit" if number % 3 else "raw")
        any_catalog.add_file(run, file, replicas=[make_replica(drive, f"/{detector}/{drive}")])
    usage = any_catalog.usage(USAGE_KEYS)
    assert len(usage) == len(DETECTORS) * len(DRIVES)
    assert all(isinstance(each, FileUsage) for each in usage)
    assert usage == sorted(usage)
    assert {each.detector for each in usage} == set(DETECTORS)
    assert sum(each.n_files for each in usage) == len(usage)
