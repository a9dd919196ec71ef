"""When runs were, as the archive tells."""

import pytest

from nualley.app.ingest import PvRunTimes
from nualley.archive.errors import SealedFileDamagedError
from nualley.core import UnreachableError
from tests.unit.exposure.fakes import FakeArchive, FakeClock, FakePv, at, detector


class Damaged(FakeArchive):
    """An archive of which a file is damaged."""

    def read(self, pv, start_ns, stop_ns):
        raise SealedFileDamagedError("a sealed file is not as it was written", where="day/x.parquet", do="look")


def test_a_damaged_archive_cannot_be_asked_and_that_is_logged(capsys):
    found = PvRunTimes(Damaged({}), {"a": detector("a")}, FakeClock(at(100)))
    with pytest.raises(UnreachableError, match="a sealed file is not as it was written"):
        found.find("a", 7)
    assert "the times of a run cannot be read" in capsys.readouterr().out


def test_a_run_is_found_by_its_number():
    pvs = {"a:RUN": FakePv([(5.0, 7.0), (50.0, 8.0)]), "a:STATE": FakePv([(0.0, "Running")])}
    found = PvRunTimes(FakeArchive(pvs), {"a": detector("a")}, FakeClock(at(100))).find("a", 7)
    assert found is not None
    assert (found.start_ns, found.stop_ns) == (at(5), at(50))
