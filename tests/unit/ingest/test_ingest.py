"""Files taken in by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from nualley.catalog import CatalogUnreachable, ReplicaState, TimeSource
from nualley.core import SECOND_NS, ExitCode, UsageError
from nualley.ingest import (
    CopiesMissing,
    FileRefused,
    IngestSettings,
    NothingToIngest,
    OtherBytes,
    Outcome,
    PathMissing,
    RunNumberUnknown,
    RunTime,
)
from nualley.ingest.errors import OwnFile, ReplicaDamaged, ReplicaLost, ReplicaUnproven, Skipped
from nualley.storage import (
    DestinationConflict,
    DigestMismatch,
    DriveFull,
    DropSettings,
    NoDriveFits,
    SourceChanged,
    SourceVanished,
)
from tests.unit.ingest.world import DROP, NOW_NS, World, digests_of, drop_problem

DATA = b"RAWee!"


# ---------------------------------------------------------------- what is recorded
def test_a_file_is_counted_copied_and_recorded(world: World) -> None:
    path = world.put("run00042/wave0.dat", b"RAWee")
    report = world.ingest.ingest_paths([path], "cenns-10")
    digests = digests_of(b"RAWee")
    assert report.run_id == "cenns-10-42"
    assert report.exit_code is ExitCode.DONE
    (found,) = report.to_json()["files"]
    assert found == {
        "path": "/drop/run00042/wave0.dat",
        "format": "raw",
        "n_events": 2,
        "channels": [0],
        "record_length": 1,
        "size_B": 5,
        "xxh3_128": digests.xxh3_128,
        "adler32": digests.adler32,
        "defects": [],
        "run_id": "cenns-10-42",
        "outcome": "ingested",
        "replicas": [{"drive": "data1", "path": "/data1/cenns-10/raw/42/wave0.dat", "state": "verified"}],
        "error": None,
    }
    (record,) = world.catalog.files("cenns-10-42")
    assert (record.n_events, record.digests, record.format) == (2, digests, "raw")
    (replica,) = world.catalog.replicas(record.file_id)
    assert (replica.state, replica.verified_ns) == (ReplicaState.VERIFIED, NOW_NS)
    assert world.files.is_durable(Path(replica.path))
    assert world.files.get(path) == b"RAWee"  # the source stays
    assert world.catalog.run("cenns-10-42").settings == {"gain": 2}


def test_what_was_done_is_an_activity(world: World) -> None:
    world.ingest.ingest_paths([world.put("run1/wave0.dat")], "cenns-10")
    (activity,) = world.catalog.activities()
    assert (activity.kind, activity.inputs, activity.outputs) == (
        "ingest",
        ("/drop/run1/wave0.dat",),
        ("file:cenns-10-1/wave0.dat",),
    )
    assert (activity.code, activity.configuration, activity.host) == ("0.1.0", "abc", "daq1")


def test_defects_are_taken_in_and_end_in_exit_code_5(world: World) -> None:
    report = world.ingest.ingest_paths([world.put("run1/wave0.dat", DATA)], "cenns-10")
    assert report.exit_code is ExitCode.NOT_INTACT
    assert report.files[0].outcome is Outcome.INGESTED
    (record,) = world.catalog.files("cenns-10-1")
    assert record.defects == ({"kind": "garbage", "offset_B": 5, "detail": "1 B of garbage"},)
    assert "garbage at 5 B: 1 B of garbage" in str(report)


def test_sidecars_are_files_of_the_run_without_events(world: World) -> None:
    world.put("run1/wave0.dat")
    world.put("run1/WaveDumpConfig.txt", b"")
    report = world.ingest.ingest_paths([DROP / "run1"], "cenns-10")
    assert report.exit_code is ExitCode.DONE
    found = {file["path"]: (file["format"], file["n_events"], file["defects"]) for file in report.to_json()["files"]}
    assert found == {
        "/drop/run1/WaveDumpConfig.txt": ("sidecar", 0, []),
        "/drop/run1/wave0.dat": ("raw", 2, []),
    }


def test_temporary_files_of_a_directory_are_not_taken_unless_named(world: World) -> None:
    world.put("run1/wave0.dat")
    hidden = world.put("run1/.wave0.dat.Ab3")
    world.put("run1/wave1.dat.part")
    report = world.ingest.ingest_paths([DROP / "run1"], "cenns-10")
    assert len(report.files) == 1
    assert [problem.what for problem in report.problems] == [
        "skipped: /drop/run1/.wave0.dat.Ab3 is hidden",
        "skipped: /drop/run1/wave1.dat.part is still being written",
    ]
    assert report.exit_code is ExitCode.DONE
    assert len(world.ingest.ingest_paths([hidden], "cenns-10").files) == 1


def test_a_name_that_the_settings_ignore_is_said_too(world: World) -> None:
    world.settings = IngestSettings(ignored=("*.log",))
    world.start()
    world.put("run1/daq.log")
    with pytest.raises(NothingToIngest, match=r"no file to take in /drop; skipped: /drop/run1/daq.log is named by ign"):
        world.ingest.ingest_paths([DROP], "cenns-10")


def test_a_link_that_is_found_itself_is_a_row(world: World) -> None:
    world.put("run1/wave0.dat")
    world.drop_files.skipped = (Skipped("skipped: /drop/latest is a link to /drop/run1", where="/drop/latest"),)
    report = world.ingest.ingest_paths([DROP], "cenns-10")
    assert report.to_json()["problems"][0]["what"] == "skipped: /drop/latest is a link to /drop/run1"
    assert report.exit_code is ExitCode.DONE
    assert world.poll().n_ignored == 1


def test_names_that_are_no_text_keep_their_bytes(world: World) -> None:
    path = world.put("run1/a\n\udcff.dat")
    report = world.ingest.ingest_paths([path], "cenns-10")
    assert report.files[0].path == "/drop/run1/a\\x0a\\xff.dat"
    assert world.files.get(Path("/data1/cenns-10/raw/1/a\n\udcff.dat")) == b"RAWee"
    assert world.catalog.files("cenns-10-1")[0].name == "a\\x0a\\xff.dat"


def test_progress_counts_over_all_copies(world: World) -> None:
    world.settings = IngestSettings(copies=2)
    world.start()
    told: list[tuple[str, int, int]] = []
    path = world.put("run1/wave0.dat")
    world.ingest.ingest_paths([path], "cenns-10", progress=lambda *step: told.append(step))
    assert told == [("wave0.dat", done_B, 20) for done_B in (5, 10, 15, 20)]


def test_progress_may_stop_a_copy_and_nothing_is_left(world: World) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    path = world.put("run1/wave0.dat")
    with pytest.raises(KeyboardInterrupt):
        world.ingest.ingest_paths([path], "cenns-10", progress=stop)
    assert set(world.files.names) == {path}
    assert world.ingest.ingest_paths([path], "cenns-10").exit_code is ExitCode.DONE


def test_a_report_for_people_counts_in_words(world: World) -> None:
    world.put("run1/a.dat", b"RAWe!")
    world.put("run1/b.dat", b"RAWee")
    lines = str(world.ingest.ingest_paths([DROP], "cenns-10")).splitlines()
    assert lines[:4] == [
        "cenns-10-1 (run number: path), 3 events",
        "ingested      /drop/run1/a.dat  raw, 1 event of 1 samples, channels 0, 1 defect, 5 B, 1 copy",
        "  garbage at 4 B: 1 B of garbage",
        "ingested      /drop/run1/b.dat  raw, 2 events of 1 samples, channels 0, 5 B, 1 copy",
    ]


# ---------------------------------------------------------------- again, and other bytes
def test_the_same_again_changes_nothing(world: World) -> None:
    path = world.put("run1/wave0.dat")
    first = world.ingest.ingest_paths([path], "cenns-10")
    world.files.calls.clear()
    again = world.ingest.ingest_paths([path], "cenns-10")
    assert again.exit_code is ExitCode.DONE
    assert again.files[0].outcome is Outcome.ALREADY_THERE
    assert again.files[0].replicas == first.files[0].replicas
    assert not world.files.names_of("write")
    assert len(world.catalog.activities()) == 1


def test_other_bytes_under_the_same_name_are_quarantined_and_left_in_place(world: World) -> None:
    world.ingest.ingest_paths([world.put("run1/wave0.dat", b"RAWee")], "cenns-10")
    newcomer = world.put("again/run1/wave0.dat", b"RAWeee")
    report = world.ingest.ingest_paths([newcomer], "cenns-10")
    (found,) = report.files
    assert report.exit_code is ExitCode.NOT_INTACT
    assert found.outcome is Outcome.QUARANTINED
    assert isinstance(found.error, OtherBytes)
    assert found.summary is not None
    assert found.summary.n_events == 3
    (row,) = world.catalog.quarantined()
    assert (row.path, row.size_B, row.xxh3_128) == ("/drop/again/run1/wave0.dat", 6, digests_of(b"RAWeee").xxh3_128)
    assert row.run_id == "cenns-10-1"
    assert "has other bytes than wave0.dat of run cenns-10-1" in row.reason
    assert world.files.get(newcomer) == b"RAWeee"
    assert world.files.get(Path("/data1/cenns-10/raw/1/wave0.dat")) == b"RAWee"


def test_a_taken_place_that_the_catalog_does_not_know_is_quarantine(world: World) -> None:
    world.files.put(Path("/data2/cenns-10/raw/1/wave0.dat"), b"stranger")
    path = world.put("run1/wave0.dat")
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert found.outcome is Outcome.QUARANTINED
    assert isinstance(found.error, DestinationConflict)
    assert world.files.get(path) == b"RAWee"
    assert not world.catalog.runs()


@pytest.mark.parametrize(("data", "kind"), [(b"", "empty"), (b"junk", "unknown-format")])
def test_empty_and_unknown_files_are_quarantined(world: World, data: bytes, kind: str) -> None:
    path = world.put("run1/wave0.dat", data)
    report = world.ingest.ingest_paths([path], "cenns-10")
    assert report.exit_code is ExitCode.NOT_INTACT
    (found,) = report.files
    assert found.outcome is Outcome.QUARANTINED
    assert isinstance(found.error, FileRefused)
    assert report.to_json()["files"][0]["defects"][0]["kind"] == kind
    assert world.catalog.quarantined()[0].adler32 == digests_of(data).adler32
    assert world.copies_of("wave0.dat") == []
    assert not world.catalog.runs()


def test_one_bad_file_blocks_no_other(world: World) -> None:
    for name, data in {"a.dat": b"", "b.dat": b"LOCKED", "c.dat": b"RAWe"}.items():
        world.put(f"run1/{name}", data)
    report = world.ingest.ingest_paths([DROP], "cenns-10")
    assert [file.outcome for file in report.files] == [Outcome.QUARANTINED, Outcome.FAILED, Outcome.INGESTED]
    assert report.files[1].to_json()["error"]["what"] == "/drop/run1/b.dat cannot be read: Permission denied"
    assert report.files[1].to_json()["format"] is None


def test_where_the_catalog_fails_nothing_goes_on(world: World) -> None:
    path = world.put("run1/wave0.dat")
    world.catalog.fails_with = CatalogUnreachable("locked", where="catalog", do="wait")
    with pytest.raises(CatalogUnreachable, match="locked"):
        world.ingest.ingest_paths([path], "cenns-10", run=1)


# ---------------------------------------------------------------- what became of the replicas since
FIRST, SECOND = Path("/data1/cenns-10/raw/1/wave0.dat"), Path("/data2/cenns-10/raw/1/wave0.dat")


def taken(world: World, *, n_drives: int = 2) -> Path:
    """Take a file in once, on a world of so many drives."""
    for name in list(world.volumes)[n_drives:]:
        del world.volumes[name]
    path = world.put("run1/wave0.dat", b"RAWee")
    world.ingest.ingest_paths([path], "cenns-10")
    world.clock.advance(10)
    return path


def states(world: World) -> dict[str, str]:
    return {row.path: row.state.value for row in world.catalog.replica_by_id.values()}


def test_all_files_of_a_run_go_to_the_drive_of_the_first_while_it_has_room() -> None:
    world = World(n_drives=3, settings=IngestSettings(copies=1, settle_s=60, poll_s=2))
    data1, data2 = world.volumes["data1"], world.volumes["data2"]
    paths = [world.put(f"run1/wave{number}.dat", b"RAW%d" % number) for number in range(4)]
    world.ingest.ingest_paths(paths[:1], "cenns-10")
    assert {row.drive for row in world.catalog.replica_by_id.values()} == {"data1"}
    data1.room_B -= 1000  # by now others have more room
    world.start()
    world.ingest.ingest_paths(paths[1:3], "cenns-10")
    assert {row.drive for row in world.catalog.replica_by_id.values()} == {"data1"}
    data1.room_B, data2.room_B = 2, data2.room_B - 10
    report = world.ingest.ingest_paths(paths[3:], "cenns-10")
    assert [replica.drive for replica in report.files[0].replicas] == ["data3"], "the one with most room then"
    other = world.put("run2/wave0.dat", b"RAW")
    world.ingest.ingest_paths([other], "cenns-10")
    assert {row.drive for row in world.catalog.replica_by_id.values()} == {"data1", "data3"}


def test_a_replica_is_read_back_and_its_proof_dated_anew(world: World) -> None:
    path = taken(world)
    world.files.calls.clear()
    report = world.ingest.ingest_paths([path], "cenns-10")
    assert report.exit_code is ExitCode.DONE
    assert report.files[0].replicas[0].verified_ns == world.clock.time_ns
    assert world.files.names_of("drop_cache") == [FIRST]  # the drive is asked, not memory
    assert not world.files.names_of("write")


def test_an_altered_byte_in_a_replica_is_found_and_a_copy_made_on_another_drive(world: World) -> None:
    path = taken(world)
    world.files.rot(FIRST, b"RAWed")
    report = world.ingest.ingest_paths([path], "cenns-10")
    assert report.exit_code is ExitCode.NOT_INTACT
    (problem,) = report.problems
    assert isinstance(problem, ReplicaDamaged)
    assert problem.what.startswith("the replica of cenns-10-1/wave0.dat on data1 is damaged: it holds xxh3_128 ")
    assert report.to_json()["problems"][0]["code"] == 5
    assert states(world) == {str(FIRST): "damaged", str(SECOND): "verified"}
    assert (world.files.get(FIRST), world.files.get(SECOND)) == (b"RAWed", b"RAWee")  # evidence stays untouched


def test_without_another_drive_the_damaged_file_is_set_aside(world: World) -> None:
    path = taken(world, n_drives=1)
    world.files.put(FIRST, b"RAW")
    world.files.put(FIRST.with_name("wave0.dat.damaged-20261118T110650Z"), b"of the same second")
    report = world.ingest.ingest_paths([path], "cenns-10")
    assert report.exit_code is ExitCode.NOT_INTACT
    assert report.files[0].error is None
    aside = FIRST.with_name("wave0.dat.damaged-20261118T110650Z-1")
    assert (world.files.get(aside), world.files.get(FIRST)) == (b"RAW", b"RAWee")
    assert states(world) == {str(FIRST): "verified"}
    (kept,) = world.catalog.quarantined()
    assert (kept.path, kept.kept_at, kept.size_B, kept.run_id) == (str(FIRST), str(aside), 3, "cenns-10-1")
    assert kept.reason == "a damaged replica on data1 was set aside for a new copy"
    assert len(world.catalog.activities()) == 2
    again = world.ingest.ingest_paths([path], "cenns-10")
    assert again.exit_code is ExitCode.DONE


def test_a_damaged_file_that_cannot_be_set_aside_stays(world: World) -> None:
    path = taken(world, n_drives=1)
    world.files.rot(FIRST, b"RAWxx")

    def refuse(call: str, _at: Path) -> None:
        if call == "move":
            raise OSError(30, "Read-only file system")

    world.files.hook = refuse
    report = world.ingest.ingest_paths([path], "cenns-10")
    (found,) = report.files
    assert found.outcome is Outcome.FAILED
    assert "cannot be set aside: Read-only file system" in str(found.error)
    assert isinstance(report.problems[0], ReplicaDamaged)  # told although no copy could be made
    assert report.exit_code is ExitCode.NOT_INTACT
    assert world.files.get(FIRST) == b"RAWxx"


def test_a_replica_that_is_gone_is_told(world: World) -> None:
    path = taken(world)
    del world.files.names[FIRST]
    report = world.ingest.ingest_paths([path], "cenns-10")
    assert isinstance(report.problems[0], ReplicaLost)
    assert "on data1 is missing: nothing is at /data1/cenns-10/raw/1/wave0.dat" in report.problems[0].what
    assert report.exit_code is ExitCode.NOT_INTACT
    assert states(world) == {str(FIRST): "verified"}
    assert world.files.get(FIRST) == b"RAWee"


def test_a_replica_on_a_missing_drive_is_not_called_verified_anew(world: World) -> None:
    path = taken(world)
    before = dict(world.catalog.replica_by_id)
    world.volumes["data1"].is_mounted = False
    report = world.ingest.ingest_paths([path], "cenns-10")
    assert isinstance(report.problems[0], ReplicaUnproven)
    assert "on data1 was not read: the drive is missing: nothing is mounted there" in report.problems[0].what
    assert report.exit_code is ExitCode.UNREACHABLE
    assert world.catalog.replica_by_id == before
    assert world.copies_of("wave0.dat") == [str(FIRST)]
    del world.volumes["data1"]
    report = world.ingest.ingest_paths([path], "cenns-10")
    assert "drives.toml names no such drive" in report.problems[0].what


def test_a_replica_on_a_remote_is_nobody_elses_problem(world: World) -> None:
    path = taken(world)
    (known,) = world.catalog.replica_by_id.values()
    remote = replace(known, replica_id=99, drive="nas", path="nas:/cenns-10/raw/1/wave0.dat")
    world.catalog.replica_by_id[99] = remote
    report = world.ingest.ingest_paths([path], "cenns-10")
    assert report.problems == ()
    assert report.exit_code is ExitCode.DONE
    assert world.catalog.replica_by_id[99] == remote


def test_a_replica_on_a_drive_that_nobody_names_any_more_is_told(world: World) -> None:
    """It is told as it is recorded, below its drive, which looks as if it were on a remote."""
    path = taken(world)
    (known,) = world.catalog.replica_by_id.values()
    lost = replace(known, replica_id=99, drive="data9", path="data9:/cenns-10/raw/1/wave0.dat")
    world.catalog.replica_by_id[99] = lost
    report = world.ingest.ingest_paths([path], "cenns-10")
    assert "on data9 was not read: the drive is missing: drives.toml names no such drive" in report.problems[0].what
    assert world.catalog.replica_by_id[99] == lost


def test_a_replica_that_the_drive_does_not_give_back_is_not_verified(world: World) -> None:
    path = taken(world)

    def fail(call: str, at: Path) -> None:
        if call == "read" and at == FIRST:
            raise OSError(5, "Input/output error")

    world.files.hook = fail
    report = world.ingest.ingest_paths([path], "cenns-10")
    assert "Input/output error" in report.problems[0].what
    assert states(world) == {str(FIRST): "unverified", str(SECOND): "verified"}


def test_a_folder_that_may_not_be_searched_proves_nothing(world: World) -> None:
    path = taken(world)

    def refuse(call: str, at: Path) -> None:
        if call == "state" and at == FIRST:
            raise OSError(13, "Permission denied")

    world.files.hook = refuse
    report = world.ingest.ingest_paths([path], "cenns-10")
    assert "was not read: Permission denied" in report.problems[0].what
    assert states(world) == {str(FIRST): "verified"}


# ---------------------------------------------------------------- nualley's own files
@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/data1/cenns-10/raw/1/wave0.dat", "the replicas on drive data1"),
        ("/store/quarantine/wave0.dat", "the store /store"),
    ],
)
def test_what_nualley_keeps_is_not_taken_in_again(world: World, path: str, place: str) -> None:
    world.files.put(Path(path), b"RAWee")
    for named in (Path(path), Path(path).parent):
        with pytest.raises(OwnFile, match=f"{path} lies in {place}") as caught:
            world.ingest.ingest_paths([named], "cenns-10")
        assert caught.value.exit_code is ExitCode.USAGE
    assert not world.catalog.runs()


def test_a_folder_of_the_same_shape_on_a_drive_is_somebody_else_s(world: World) -> None:
    world.files.put(Path("/data1/buffer/raw/1/wave0.dat"), b"RAWee")
    (found,) = world.ingest.ingest_paths([Path("/data1/buffer/raw/1/wave0.dat")], "cenns-10", run=1).files
    assert found.outcome is Outcome.INGESTED


def test_the_watcher_takes_nothing_from_there_either(world: World) -> None:
    world.drops = [DropSettings(path=Path("/data1"), detector="cenns-10")]
    world.start()
    world.files.put(Path("/data1/cenns-10/raw/9/run1.dat"), b"RAWee")
    (found,) = world.settle().files
    assert isinstance(found.error, OwnFile)
    assert not world.catalog.file_by_id


def test_a_source_that_is_the_replica_is_no_copy(world: World) -> None:
    path = world.put("run1/wave0.dat", b"RAWee")
    world.files.names[FIRST] = world.files.names[path]
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert isinstance(found.error, OwnFile)
    assert found.exit_code is ExitCode.USAGE
    assert not world.catalog.file_by_id


# ---------------------------------------------------------------- drives on one file system
def test_two_drives_on_one_file_system_hold_one_copy(world: World) -> None:
    world.settings = IngestSettings(copies=2)
    world.start()
    world.volumes["data1"].shares_with, world.volumes["data2"].shares_with = ("data2",), ("data1",)
    path = world.put("run1/wave0.dat")
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert isinstance(found.error, CopiesMissing)
    assert "data2 is on one device with data1" in found.error.what
    assert world.copies_of("wave0.dat") == [str(FIRST)]


def test_only_drives_that_are_written_to_are_registered(world: World) -> None:
    taken(world)
    assert world.drives.registered == ["data1"]


# ---------------------------------------------------------------- the source changes
def test_a_file_that_vanishes_is_told(world: World) -> None:
    path = world.put("run1/wave0.dat")
    world.files.hook = lambda call, _at: world.files.names.pop(path, None) if call == "raw" else None
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert found.outcome is Outcome.FAILED
    assert isinstance(found.error, SourceVanished)
    assert found.error.what == "/drop/run1/wave0.dat is not there any more"


@pytest.mark.parametrize("moment", ["raw", "open_part", "link", "sync_directory"])
def test_a_file_that_grows_meanwhile_is_not_recorded(world: World, moment: str) -> None:
    path = world.put("run1/wave0.dat")

    def grow(call: str, _at: Path) -> None:
        if call == moment:
            world.files.hook = lambda *_: None
            world.put("run1/wave0.dat", b"RAWeee")

    world.files.hook = grow
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert found.outcome is Outcome.FAILED
    assert isinstance(found.error, SourceChanged)
    assert "changed while it was" in found.error.what
    assert not world.catalog.file_by_id
    assert not world.catalog.source_by_path


def change_silently(world: World, moment: tuple[str, Path], data: bytes) -> None:
    """Let the bytes of the source change at a moment without a trace in its state, as a write through a map may."""

    def change(call: str, at: Path) -> None:
        if (call, at) == moment:
            world.files.names[DROP / "run1" / "wave0.dat"].data[:] = data

    world.files.hook = change


def test_bytes_that_change_between_two_copies_are_noticed(world: World) -> None:
    world.settings = IngestSettings(copies=2)
    world.start()
    path = world.put("run1/wave0.dat", b"RAWee")
    change_silently(world, ("open_part", Path("/data2/cenns-10/raw/1/.wave0.dat.part")), b"RAWeX")
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert isinstance(found.error, DigestMismatch)
    assert not world.catalog.file_by_id


def test_bytes_that_change_between_comparison_and_copy_are_noticed(world: World) -> None:
    path = world.put("run1/wave0.dat", b"RAWee")
    world.ingest.ingest_paths([path], "cenns-10")
    world.settings = IngestSettings(copies=2)
    world.start()
    change_silently(world, ("open_part", Path("/data2/cenns-10/raw/1/.wave0.dat.part")), b"RAWeX")
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert isinstance(found.error, DigestMismatch)
    assert world.copies_of("wave0.dat") == ["/data1/cenns-10/raw/1/wave0.dat"]


def test_a_refused_file_that_changes_meanwhile_is_not_judged(world: World) -> None:
    path = world.put("run1/wave0.dat", b"junk")

    def grow(call: str, _at: Path) -> None:
        if call == "raw" and world.raw_files.n_reads == 1:
            world.put("run1/wave0.dat", b"RAWe")

    world.files.hook = grow
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert isinstance(found.error, SourceChanged)
    assert not world.catalog.quarantined()
    assert not world.catalog.source_by_path


# ---------------------------------------------------------------- drives
def test_copies_lie_on_different_drives(world: World) -> None:
    world.settings = IngestSettings(copies=2)
    world.start()
    world.ingest.ingest_paths([world.put("run1/wave0.dat")], "cenns-10")
    assert world.copies_of("wave0.dat") == ["/data1/cenns-10/raw/1/wave0.dat", "/data2/cenns-10/raw/1/wave0.dat"]
    assert {replica.drive for replica in world.catalog.replica_by_id.values()} == {"data1", "data2"}


def test_too_few_drives_are_told_and_what_there_is_is_recorded(world: World) -> None:
    world.settings = IngestSettings(copies=3)
    world.start()
    path = world.put("run1/wave0.dat")
    report = world.ingest.ingest_paths([path], "cenns-10")
    (found,) = report.files
    assert report.exit_code is ExitCode.FAILED
    assert found.outcome is Outcome.INGESTED
    assert isinstance(found.error, CopiesMissing)
    assert found.error.what.startswith("2 of 3 copies are there: no drive takes")
    assert len(world.catalog.replica_by_id) == 2
    assert not world.catalog.source_by_path  # so that the third is made later


def test_a_missing_replica_is_completed_with_the_same_bytes(world: World) -> None:
    path = world.put("run1/wave0.dat")
    world.ingest.ingest_paths([path], "cenns-10")
    world.settings = IngestSettings(copies=2)
    world.start()
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert found.outcome is Outcome.ALREADY_THERE
    assert [replica.drive for replica in found.replicas] == ["data1", "data2"]


def test_a_replica_that_is_gone_is_marked_and_made_again(world: World) -> None:
    path = world.put("run1/wave0.dat")
    world.ingest.ingest_paths([path], "cenns-10")
    del world.files.names[Path("/data1/cenns-10/raw/1/wave0.dat")]
    world.volumes["data1"].is_writable = False
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert [(replica.drive, replica.state.value) for replica in found.replicas] == [
        ("data1", "missing"),
        ("data2", "verified"),
    ]
    world.volumes["data1"].is_writable = True
    world.settings = IngestSettings(copies=2)
    world.start()
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert {(replica.drive, replica.state.value) for replica in found.replicas} == {
        ("data1", "verified"),
        ("data2", "verified"),
    }


def test_a_replica_on_an_unmounted_drive_counts(world: World) -> None:
    path = world.put("run1/wave0.dat")
    world.ingest.ingest_paths([path], "cenns-10")
    world.volumes["data1"].is_mounted = False
    del world.files.names[Path("/data1/cenns-10/raw/1/wave0.dat")]
    world.files.calls.clear()
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert found.outcome is Outcome.ALREADY_THERE
    assert not world.files.names_of("write")


def test_a_drive_with_a_damaged_replica_is_left_alone(world: World) -> None:
    path = world.put("run1/wave0.dat")
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    world.catalog.update_replica(found.replicas[0].replica_id, state=ReplicaState.DAMAGED)
    world.files.put(Path("/data1/cenns-10/raw/1/wave0.dat"), b"rotten")
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert found.outcome is Outcome.ALREADY_THERE
    assert [(replica.drive, replica.state.value) for replica in found.replicas] == [
        ("data1", "damaged"),
        ("data2", "verified"),
    ]


def test_a_full_drive_passes_the_file_on_to_the_next(world: World) -> None:
    def fill(call: str, at: Path) -> None:
        if call == "write" and at.is_relative_to("/data1"):
            raise OSError(28, "No space left on device")

    world.files.hook = fill
    (found,) = world.ingest.ingest_paths([world.put("run1/wave0.dat")], "cenns-10").files
    assert found.outcome is Outcome.INGESTED
    assert found.error is None
    assert world.copies_of("wave0.dat") == ["/data2/cenns-10/raw/1/wave0.dat"]


def test_where_every_drive_is_full_the_first_refusal_is_told(world: World) -> None:
    def fill(call: str, at: Path) -> None:
        if call == "write":
            raise OSError(28, "No space left on device")

    path = world.put("run1/wave0.dat")
    world.files.hook = fill
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert found.outcome is Outcome.FAILED
    assert isinstance(found.error, DriveFull)
    assert "data1" in found.error.what
    assert set(world.files.names) == {path}


def test_no_drive_at_all_is_told(world: World) -> None:
    for volume in world.volumes.values():
        volume.is_writable = False
    (found,) = world.ingest.ingest_paths([world.put("run1/wave0.dat")], "cenns-10").files
    assert isinstance(found.error, NoDriveFits)
    assert "data1 is read-only; data2 is read-only" in found.error.what


def test_a_second_drive_whose_place_is_taken_costs_one_copy_only(world: World) -> None:
    world.settings = IngestSettings(copies=2)
    world.start()
    path = world.put("run1/wave0.dat")
    world.ingest.ingest_paths([path], "cenns-10")
    world.catalog.replica_by_id.popitem()
    world.files.put(Path("/data2/cenns-10/raw/1/wave0.dat"), b"stranger")
    (found,) = world.ingest.ingest_paths([path], "cenns-10").files
    assert found.is_recorded
    assert isinstance(found.error, CopiesMissing)
    assert "/data2/cenns-10/raw/1/wave0.dat is taken" in found.error.what


def test_a_copy_that_was_made_before_a_kill_is_used_wherever_it_lies(world: World) -> None:
    world.files.put(Path("/data2/cenns-10/raw/1/wave0.dat"), b"RAWee")
    world.files.put(Path("/data1/cenns-10/raw/1/.wave0.dat.part"), b"RA")
    world.ingest.ingest_paths([world.put("run1/wave0.dat")], "cenns-10")
    assert world.copies_of("wave0.dat") == ["/data2/cenns-10/raw/1/wave0.dat"]
    assert world.copies_of(".wave0.dat.part") == []
    assert [replica.drive for replica in world.catalog.replica_by_id.values()] == ["data2"]


# ---------------------------------------------------------------- whose run
def test_a_given_number_wins(world: World) -> None:
    report = world.ingest.ingest_paths([world.put("run1/wave0.dat")], "cenns-10", run=7)
    assert (report.run_id, report.number_source) == ("cenns-10-7", "given")


def test_a_negative_number_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="run number -1 is negative"):
        world.ingest.ingest_paths([world.put("run1/wave0.dat")], "cenns-10", run=-1)


def test_without_any_number_the_next_is_used_once_and_said(world: World) -> None:
    world.ingest.ingest_paths([world.put("run41/wave0.dat")], "cenns-10")
    path = world.put("hpge/wave0.dat", b"RAWeeee")
    report = world.ingest.ingest_paths([path], "cenns-10")
    assert (report.run_id, report.number_source) == ("cenns-10-42", "next")
    assert report.to_json()["number_source"] == "next"
    again = world.ingest.ingest_paths([path], "cenns-10")
    assert (again.run_id, again.number_source) == ("cenns-10-42", "known")
    assert again.files[0].outcome is Outcome.ALREADY_THERE


def test_the_first_number_is_one(world: World) -> None:
    assert world.ingest.ingest_paths([world.put("wave0.dat")], "cenns-10").run_id == "cenns-10-1"


def test_the_sidecar_does_not_decide_which_run_it_is(world: World) -> None:
    world.put("a/WaveDumpConfig.txt", b"RAWe")
    world.put("a/wave0.dat", b"RAWe")
    world.put("b/WaveDumpConfig.txt", b"RAWe")
    world.put("b/wave0.dat", b"RAWee")
    assert world.ingest.ingest_paths([DROP / "a"], "cenns-10").run_id == "cenns-10-1"
    assert world.ingest.ingest_paths([DROP / "b"], "cenns-10").run_id == "cenns-10-2"


def test_files_of_several_runs_name_their_own(world: World) -> None:
    world.put("run1/wave0.dat")
    world.put("run2/wave0.dat")
    report = world.ingest.ingest_paths([DROP], "cenns-10")
    assert report.run_id is None
    assert [file.run_id for file in report.files] == ["cenns-10-1", "cenns-10-2"]
    assert "several runs" in str(report)


def test_some_files_with_and_some_without_a_number_are_refused(world: World) -> None:
    world.put("run1/wave0.dat")
    world.put("wave0.dat")
    with pytest.raises(RunNumberUnknown, match="1 of 2 files name no run in their path: /drop/wave0.dat") as caught:
        world.ingest.ingest_paths([DROP], "cenns-10")
    assert caught.value.exit_code is ExitCode.USAGE
    assert not world.catalog.runs()


# ---------------------------------------------------------------- which files
def test_paths_that_are_not_there_stop_everything(world: World) -> None:
    path = world.put("run1/wave0.dat")
    with pytest.raises(PathMissing, match="there is nothing at /nowhere, /a\\\\xff"):
        world.ingest.ingest_paths([path, Path("/nowhere"), Path("/a\udcff")], "cenns-10")
    assert not world.catalog.runs()


def test_an_empty_directory_is_told(world: World) -> None:
    world.files.directories.add(DROP / "run1")
    with pytest.raises(NothingToIngest, match="there is no file to take in /drop/run1"):
        world.ingest.ingest_paths([DROP / "run1"], "cenns-10")


def test_what_could_not_be_looked_at_is_told(world: World) -> None:
    world.put("run1/wave0.dat")
    world.drop_files.problem_by_folder[DROP] = drop_problem(DROP / "run2")
    report = world.ingest.ingest_paths([DROP], "cenns-10")
    assert report.exit_code is ExitCode.FAILED
    assert report.to_json()["problems"][0]["what"] == "/drop/run2 cannot be read: Permission denied"


def test_a_directory_of_which_nothing_can_be_read_is_an_error(world: World) -> None:
    world.files.directories.add(DROP / "run1")
    world.drop_files.problem_by_folder[DROP / "run1"] = drop_problem(DROP / "run1")
    with pytest.raises(OSError, match="/drop/run1 cannot be read"):
        world.ingest.ingest_paths([DROP / "run1"], "cenns-10")


# ---------------------------------------------------------------- when the run was
def times(world: World, run_id: str = "cenns-10-1") -> tuple[int | None, int | None, str]:
    run = world.catalog.run(run_id)
    return run.start_ns, run.stop_ns, run.time_source.value


def test_times_come_from_the_run_pvs(world: World) -> None:
    world.tell_run(1, -100, -50)
    world.ingest.ingest_paths([world.put("run1/wave0.dat")], "cenns-10")
    assert times(world) == (NOW_NS - 100 * SECOND_NS, NOW_NS - 50 * SECOND_NS, "pv")


def test_given_times_are_used_where_the_pvs_do_not_tell(world: World) -> None:
    path = world.put("run1/wave0.dat")
    report = world.ingest.ingest_paths([path], "cenns-10", start_ns=10, stop_ns=20)
    assert times(world) == (10, 20, "given")
    assert report.notes == (
        "run cenns-10-1 has the times 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:00.000Z (UTC, by given)",
    )
    assert report.n_events == report.to_json()["n_events"] == report.files[0].summary.n_events


def test_unknown_times_that_are_given_later_are_used_and_that_is_said(world: World) -> None:
    path = world.put("run1/wave0.dat")
    assert "the times of run cenns-10-1 are unknown" in world.ingest.ingest_paths([path], "cenns-10").notes[0]
    report = world.ingest.ingest_paths([path], "cenns-10", start_ns=0, stop_ns=SECOND_NS)
    assert times(world) == (0, SECOND_NS, "given")
    note = "run cenns-10-1 has the times 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:01.000Z (UTC, by given)"
    assert report.notes == (note,)
    assert report.to_json()["notes"] == [note]


def test_given_times_that_are_not_used_say_how_to_correct_them(world: World) -> None:
    path = world.put("run1/wave0.dat")
    world.ingest.ingest_paths([path], "cenns-10", start_ns=10, stop_ns=20)
    report = world.ingest.ingest_paths([path], "cenns-10", start_ns=10, stop_ns=30)
    assert times(world) == (10, 20, "given")
    (note,) = report.notes
    assert note.startswith("--start and --stop were not used: run cenns-10-1 has the times ")
    assert note.endswith("; to correct them: nualley runs times cenns-10-1 --start T --stop T --reason TEXT")


def test_a_run_at_the_time_of_another_is_told(world: World) -> None:
    world.ingest.ingest_paths([world.put("run1/wave0.dat", b"RAWe1")], "cenns-10", start_ns=10, stop_ns=20)
    world.ingest.ingest_paths([world.put("run2/wave0.dat", b"RAWe2")], "cenns-10", start_ns=20, stop_ns=30)
    report = world.ingest.ingest_paths([world.put("run3/wave0.dat", b"RAWe3")], "cenns-10", start_ns=15, stop_ns=20)
    assert report.notes[1:] == ("run cenns-10-3 overlaps cenns-10-1: nualley runs times RUN corrects wrong times",)


def test_a_run_that_has_not_ended_overlaps_what_begins_later(world: World) -> None:
    world.ingest.ingest_paths([world.put("run1/wave0.dat", b"RAWe1")], "cenns-10")
    world.catalog.update_run_times("cenns-10-1", start_ns=10, stop_ns=None, time_source=TimeSource.GIVEN)
    report = world.ingest.ingest_paths([world.put("run2/wave0.dat", b"RAWe2")], "cenns-10", start_ns=20, stop_ns=30)
    overlap = "overlaps cenns-10-1 (not ended): nualley runs times RUN corrects wrong times"
    assert report.notes[1:] == (f"run cenns-10-2 {overlap}",)
    report = world.ingest.ingest_paths([world.put("run3/wave0.dat", b"RAWe3")], "cenns-10", start_ns=5, stop_ns=10)
    assert len(report.notes) == 1, "what was over before it began has nothing to do with it"
    world.catalog.update_run_times("cenns-10-2", start_ns=20, stop_ns=None, time_source=TimeSource.GIVEN)
    report = world.ingest.ingest_paths([world.put("run2/wave0.dat", b"RAWe2")], "cenns-10")
    assert report.notes[-1] == f"run cenns-10-2 (not ended) {overlap}"


def test_bytes_that_another_run_holds_are_told(world: World) -> None:
    world.ingest.ingest_paths([world.put("run1/wave0.dat", b"RAWe")], "cenns-10", start_ns=10, stop_ns=20)
    path = world.put("run2/wave9.dat", b"RAWe")
    report = world.ingest.ingest_paths([path], "cenns-10", start_ns=20, stop_ns=30)
    assert report.notes[1:] == (f"{path} holds the same bytes as cenns-10-1/wave0.dat",)
    assert report.exit_code == 0
    again = world.ingest.ingest_paths([path], "cenns-10")
    assert again.notes == report.notes[1:], "the file itself is no other"


def test_the_run_pvs_win_over_given_times_and_that_is_said(world: World) -> None:
    world.tell_run(1, -100, -50)
    report = world.ingest.ingest_paths([world.put("run1/wave0.dat")], "cenns-10", start_ns=10, stop_ns=20)
    assert times(world)[2] == "pv"
    assert report.notes[0] == (
        "--start and --stop were not used: run cenns-10-1 has the times 2026-11-18T11:05:00.000Z to "
        "2026-11-18T11:05:50.000Z (UTC, by pv); to correct them: "
        "nualley runs times cenns-10-1 --start T --stop T --reason TEXT"
    )


def test_unknown_times_stay_null_and_are_told(world: World) -> None:
    report = world.ingest.ingest_paths([world.put("run1/wave0.dat")], "cenns-10")
    assert times(world) == (None, None, "unknown")
    assert report.notes == (
        "the times of run cenns-10-1 are unknown: no archived run PV tells, and no --start and --stop were given",
    )


def test_an_archive_that_does_not_answer_leaves_them_unknown_until_a_later_ingest(world: World) -> None:
    world.run_times.is_reachable = False
    world.tell_run(1, -100, -50)
    path = world.put("run1/wave0.dat")
    world.ingest.ingest_paths([path], "cenns-10")
    assert times(world) == (None, None, "unknown")
    world.run_times.is_reachable = True
    world.ingest.ingest_paths([path], "cenns-10")
    assert times(world)[2] == "pv"


def test_given_times_complete_a_run_without(world: World) -> None:
    path = world.put("run1/wave0.dat")
    world.ingest.ingest_paths([path], "cenns-10")
    world.ingest.ingest_paths([path], "cenns-10", start_ns=10, stop_ns=20)
    assert times(world) == (10, 20, "given")


def test_the_stop_of_an_open_run_comes_later(world: World) -> None:
    path = world.put("run1/wave0.dat")
    world.tell_run(1, -100, None)
    world.ingest.ingest_paths([path], "cenns-10")
    assert times(world) == (NOW_NS - 100 * SECOND_NS, None, "pv")
    world.tell_run(1, -100, -50)
    world.ingest.ingest_paths([path], "cenns-10")
    assert times(world) == (NOW_NS - 100 * SECOND_NS, NOW_NS - 50 * SECOND_NS, "pv")


def test_what_is_uncertain_of_the_times_is_noted_once(world: World) -> None:
    world.run_times.time_by_run["cenns-10", 1] = RunTime(10, 20, NOW_NS, start_uncertain_s=3.5)
    path = world.put("run1/wave0.dat")
    for _ in range(2):
        world.ingest.ingest_paths([path], "cenns-10")
    (note,) = world.catalog.notes("cenns-10-1")
    assert note.author == "nualley"
    assert note.text == "its start may lie up to 3.500 s earlier: the run PV was not heard for so long"


@pytest.mark.parametrize(
    ("start_ns", "stop_ns", "message"),
    [
        (10, None, "--stop is missing"),
        (None, 10, "--start is missing"),
        (
            1800 * SECOND_NS,
            0,
            "the run would stop at 1970-01-01T00:00:00.000Z, 30 min before it starts at 1970-01-01T00:30:00.000Z",
        ),
        (20, 20, "the run would stop at 1970-01-01T00:00:00.000Z, when it starts"),
    ],
)
def test_times_that_cannot_be_are_refused(
    world: World, start_ns: int | None, stop_ns: int | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        world.ingest.ingest_paths([world.put("run1/wave0.dat")], "cenns-10", start_ns=start_ns, stop_ns=stop_ns)
    assert not world.catalog.runs()
