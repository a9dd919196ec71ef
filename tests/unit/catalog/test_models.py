"""Values of the catalog refuse what cannot be."""

import pytest

from nualley.catalog import Quarantined, Replica, Run, Source, SourceState
from nualley.core import Digests, UsageError
from tests.unit.catalog.records import make_file, make_run


def test_a_run_is_named_by_detector_and_number() -> None:
    with pytest.raises(UsageError, match="'cenns-10-41' is not run 42 of 'cenns-10'") as caught:
        Run(run_id="cenns-10-41", detector="cenns-10", number=42)
    assert "cenns-10-42" in caught.value.do


def test_a_run_does_not_stop_before_it_starts() -> None:
    assert make_run(start_ns=5, stop_ns=5).stop_ns == 5
    with pytest.raises(UsageError, match="would stop at .* before it starts at"):
        make_run(start_ns=5, stop_ns=4)


@pytest.mark.parametrize("name", ["a\nb", "a\udcff", "a\\b"])
def test_a_name_has_to_be_escaped(name: str) -> None:
    for make in (
        lambda: make_file(make_run(), name),
        lambda: Replica(drive="d", path=name),
        lambda: Quarantined(path=name, reason="empty"),
        lambda: Quarantined(path="a", reason="empty", kept_at=name),
        lambda: Source(path=name, detector="a", state=SourceState.INGESTED, size_B=0, mtime_ns=0, inode=0),
    ):
        with pytest.raises(UsageError, match="is not an escaped name"):
            make()


def test_a_file_is_of_its_runs_detector() -> None:
    with pytest.raises(UsageError, match="'cenns-10-42' is not a run of 'coh-ar-750'"):
        type(make_file(make_run()))(
            run_id="cenns-10-42", detector="coh-ar-750", name="a", format="x", size_B=0, xxh3_128="", adler32=""
        )


def test_digests_of_a_file() -> None:
    assert make_file(make_run(), content=2).digests == Digests(160_192, f"{2:032x}", f"{2:08x}")
