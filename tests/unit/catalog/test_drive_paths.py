"""What lies on a drive is recorded below it, and moves with it; rows that older versions wrote are settled."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from nualley.catalog import Quarantined, ReplicaConflict, ReplicaState, Source, SourceState, Transfer
from nualley.catalog.adapters import schema, tables
from nualley.catalog.adapters.database import open_database
from nualley.catalog.adapters.sql import SqlCatalog, open_catalog
from nualley.catalog.drive_paths import DrivePaths
from tests.unit.catalog.records import make_file, make_replica, make_run

HERE = {"data1": Path("/disk/a"), "data2": Path("/disk/b")}
THERE = {"data1": Path("/disk/b"), "data2": Path("/disk/a")}
TRANSFER = Transfer(source="/disk/a", destination="/disk/b/x", source_drive="data1", drive="data2", host="daq1")


def rows(location: Path | str, column: Any = tables.replica.c.path) -> list[str]:
    opened = open_database(location, create=False)
    with opened.reading() as connection:
        found = list(connection.execute(select(column).order_by(*column.table.primary_key.columns)).scalars())
    opened.close()
    return found


def paths(catalog: SqlCatalog, file_id: int = 1) -> list[str]:
    return [replica.path for replica in catalog.replicas(file_id)]


def enter(catalog: SqlCatalog, *replicas: Any, name: str = "wave0.dat", content: int = 1) -> int:
    run = make_run()
    return catalog.add_file(run, make_file(run, name, content), replicas=replicas).record.file_id


# ---------------------------------------------------------------- values
@pytest.mark.parametrize("root", ["/", "/disk/a", "/disk/a/inner", r"/disk/\n\xff"])
@pytest.mark.parametrize("below", ["", "/x", "/x/y z", r"/\x0a"])
def test_a_path_comes_back_as_it_was(root: str, below: str) -> None:
    paths = DrivePaths({"data1": Path(root.encode("raw_unicode_escape").decode("unicode_escape"))})
    root = paths.root_by_name["data1"]
    path = (root.rstrip("/") + below) or "/"
    assert paths.recorded("data1", path) == f"data1:{below or '/'}"
    assert paths.told("data1", f"data1:{below or '/'}") == path


@pytest.mark.parametrize(
    ("drive", "path"),
    [
        ("data1", "/disk/ab/x"),
        ("data1", "/elsewhere/x"),
        ("data1", "/disk/a/../x"),
        ("data1", "data2:/x"),
        ("nas", "nas:/x"),
        ("gone", "gone:/x"),
        (None, "/disk/a/x"),
    ],
)
def test_what_lies_on_no_drive_that_is_known_stays_as_it_is(drive: str | None, path: str) -> None:
    paths = DrivePaths(HERE)
    assert paths.recorded(drive, path) == path
    assert paths.told(drive, path) == path


# ---------------------------------------------------------------- moving
def test_replicas_move_with_their_drives_also_where_two_change_places(any_location: Path | str) -> None:
    with open_catalog(any_location, drives=HERE) as catalog:
        enter(
            catalog,
            make_replica("data1", "/disk/a/x"),
            make_replica("data2", "/disk/b/x"),
            make_replica("nas", "nas:/x"),
        )
        catalog.transfers.begin(TRANSFER, [])
    assert rows(any_location) == ["data1:/x", "data2:/x", "nas:/x"]
    with open_catalog(any_location, drives=THERE) as catalog:
        assert paths(catalog) == ["/disk/b/x", "/disk/a/x", "nas:/x"]
        assert [placed.path for placed in catalog.placed_files("data1")] == ["/disk/b/x"]
        assert [file.name for file in catalog.files_at("/disk/b/x")] == ["wave0.dat"]
        assert catalog.files_at("/disk/c/x") == []
        found = catalog.replica_at("data1", "/disk/b/x")
        assert found is not None
        assert found.replica_id == 1
        assert catalog.replica_at("data1", "/disk/a/x") is None
        assert [each.path for each in catalog.transfers.known_below("data2", "/disk/a")] == ["/disk/a/x"]
        assert catalog.transfers.stages_below("data2", "/disk/a") == ["raw"]
        assert catalog.transfers.stages_below("data2", "/disk/b") == []
        assert [each.path for each in catalog.transfers.replicas_of_run("cenns-10-42")[1]] == paths(catalog)
        transfer = catalog.transfers.transfer(1)
        assert (transfer.source, transfer.destination) == ("/disk/b", "/disk/a/x")
        assert catalog.transfers.transfers() == [transfer]
        enter(catalog, make_replica("data1", "/disk/b/x"))
        assert paths(catalog) == ["/disk/b/x", "/disk/a/x", "nas:/x"], "the same place"
        with pytest.raises(ReplicaConflict, match=r"/disk/b/x on data1 is known to hold file 1"):
            enter(catalog, make_replica("data1", "/disk/b/x"), name="wave1.dat", content=2)


def test_one_drive_in_another_moves_by_itself(any_location: Path | str) -> None:
    with open_catalog(any_location, drives={"outer": Path("/disk"), "inner": Path("/disk/in")}) as catalog:
        enter(catalog, make_replica("outer", "/disk/x"), make_replica("inner", "/disk/in/x"))
        assert [file.file_id for file in catalog.files_at("/disk/in/x")] == [1]
    with open_catalog(any_location, drives={"outer": Path("/disk"), "inner": Path("/own")}) as catalog:
        assert paths(catalog) == ["/disk/x", "/own/x"]


def test_of_a_drive_that_nobody_names_it_is_told_where_on_it_a_replica_lies(any_location: Path | str) -> None:
    with open_catalog(any_location, drives=HERE) as catalog:
        enter(catalog, make_replica("data1", "/disk/a/x"))
    with open_catalog(any_location, drives={"data2": Path("/disk/a")}) as catalog:
        assert paths(catalog) == ["data1:/x"]
        assert catalog.files_at("/disk/a/x") == []


# ---------------------------------------------------------------- rows of old
def fill_old(location: Path | str, *, drives: Mapping[str, str], paths: Mapping[str, str]) -> None:
    """Enter replicas as older versions did, at paths of a machine."""
    with open_catalog(location) as catalog:
        for name, drive_id in drives.items():
            catalog.register_drive(name, drive_id)
        enter(catalog, *(make_replica(drive, path) for path, drive in paths.items()))
        catalog.transfers.begin(TRANSFER, [])


def test_rows_of_old_are_settled_when_the_catalog_is_opened_with_its_drives(any_location: Path | str) -> None:
    old = {
        "/disk/a/x": "data1",
        "/disk/ab/x": "data1",
        "/elsewhere/x": "data1",
        "/disk/b/x": "data2",
        "/disk/c/x": "new",
    }
    fill_old(any_location, drives={"data1": "i1", "data2": "i2"}, paths=old)
    with open_catalog(any_location, drives=HERE) as catalog:
        assert paths(catalog) == list(old), "nothing is told otherwise"
    assert rows(any_location) == ["data1:/x", "/disk/ab/x", "/elsewhere/x", "data2:/x", "/disk/c/x"]
    assert rows(any_location, tables.transfer.c.source) == ["data1:/"]
    assert rows(any_location, tables.transfer.c.destination) == ["data2:/x"]
    with open_catalog(any_location, drives=THERE) as catalog:
        assert paths(catalog)[0] == "/disk/b/x"
    with open_catalog(any_location, drives=HERE | {"new": Path("/disk/c")}) as catalog:
        assert catalog.replica_at("new", "/disk/c/x"), "found before it is settled"
        assert [each.path for each in catalog.transfers.known_below("new", "/disk/c")] == ["/disk/c/x"]
        catalog.register_drive("new", "i3")
        assert catalog.replica_at("new", "/disk/c/x")
    assert rows(any_location)[-1] == "new:/x"


def test_an_old_catalog_comes_up_with_all_that_it_held(tmp_path: Path, any_location: Path | str) -> None:
    """Drives of today, of then and of nobody, places outside of them, remotes, what is gone, and drop directories."""
    old = {
        "/disk/a/x": ("data1", ReplicaState.VERIFIED),
        "/disk/a/y": ("data1", ReplicaState.REMOVED),
        "/disk/a": ("data1", ReplicaState.DAMAGED),
        "/elsewhere/x": ("data1", ReplicaState.VERIFIED),
        "/disk/b/x": ("data2", ReplicaState.MISSING),
        "/disk/gone/x": ("gone", ReplicaState.VERIFIED),
        "/disk/a/of gone": ("gone", ReplicaState.UNVERIFIED),
        "/disk/unmarked/x": ("unmarked", ReplicaState.VERIFIED),
        "nas:/x": ("nas", ReplicaState.VERIFIED),
        "/disk/a/../no drive/x": ("data1", ReplicaState.VERIFIED),
    }
    quarantined = Quarantined(path=f"{tmp_path}/experiment/../drop/bad", reason="short", size_B=1)
    source = Source(path="/", detector="cenns-10", state=SourceState.INGESTED, size_B=3, mtime_ns=4, inode=5)
    drop = [f"{tmp_path}/{folder}/w" for folder in ("experiment/../drop", "plain", "experiment/../both", "both")]
    with open_catalog(any_location) as catalog:
        for name in ("data1", "data2", "gone"):
            catalog.register_drive(name, f"id of {name}")
        enter(catalog, *(make_replica(drive, path, state=state) for path, (drive, state) in old.items()))
        catalog.transfers.begin(TRANSFER, [])
        catalog.transfers.begin(replace(TRANSFER, source="/drop", source_drive=None, destination="/disk/gone/x"), [])
        catalog.add_quarantined(quarantined)
        for path in drop:
            catalog.put_source(replace(source, path=path))
        before, ends = catalog.replicas(1), catalog.transfers.transfers()
        used = catalog.usage(("drive",))
    opened = open_database(any_location, create=False)
    opened.write(lambda connection: schema.migrate(connection, "0007"))
    opened.close()

    drives = {**HERE, "new": Path("/disk/new")}
    with open_catalog(any_location, drives=drives) as catalog:
        assert catalog.replicas(1) == before
        assert [catalog.replica_at(each.drive, each.path) for each in before] == before
        assert catalog.transfers.transfers() == ends
        assert catalog.usage(("drive",)) == used
        assert catalog.drive_ids() == {name: f"id of {name}" for name in ("data1", "data2", "gone")}
        assert [each.path for each in catalog.quarantined()] == [f"{tmp_path}/drop/bad"]
        assert sorted(each.path for each in catalog.sources("cenns-10")) == sorted(
            [f"{tmp_path}/drop/w", f"{tmp_path}/plain/w", f"{tmp_path}/experiment/../both/w", f"{tmp_path}/both/w"]
        )
    assert rows(any_location)[:5] == ["data1:/x", "data1:/y", "data1:/", "/elsewhere/x", "data2:/x"]
    assert rows(any_location)[5:] == list(old)[5:], "what lies on no drive of today stays"
    with open_catalog(any_location, drives=HERE | {"gone": Path("/disk/gone")}) as catalog:
        assert catalog.replicas(1) == before, "it is named again"
    with open_catalog(any_location, drives=HERE | {"gone": Path("/new")}) as catalog:
        assert [each.path for each in catalog.replicas(1) if each.drive == "gone"] == ["/new/x", "/disk/a/of gone"]


def test_rows_that_went_over_the_folder_above_are_settled(tmp_path: Path, any_location: Path | str) -> None:
    (tmp_path / "real" / "experiment").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "experiment")
    spelled = {f"{tmp_path}/link/../drives/a/x": "data1", f"{tmp_path}/absent/../../b/x": "data2"}
    fill_old(any_location, drives={"data1": "i1", "data2": "i2"}, paths=spelled)
    drives = {"data1": tmp_path / "real" / "drives" / "a", "data2": tmp_path.parent / "b"}
    open_catalog(any_location, drives=drives).close()
    assert rows(any_location) == ["data1:/x", "data2:/x"]


def test_where_a_drive_was_before_can_be_said_once_more(any_location: Path | str) -> None:
    """Its files were adopted at the new path, and called missing at the old one."""
    fill_old(any_location, drives={"data1": "i1"}, paths={"/old/x": "data1", "/old/y": "data1"})
    with open_catalog(any_location, drives=HERE) as catalog:
        catalog.update_replica(1, state=ReplicaState.MISSING)
        enter(catalog, make_replica("data1", "/disk/a/x"))
        assert paths(catalog) == ["/old/x", "/old/y", "/disk/a/x"]
    open_catalog(any_location, drives={"data1": Path("/old")}).close()
    with open_catalog(any_location, drives=HERE) as catalog:
        assert paths(catalog) == ["/disk/a/y", "/disk/a/x"], "once"
    assert rows(any_location, tables.drive.c.path) == ["/disk/a"]


def test_a_row_that_may_not_be_taken_for_another_one_stays(any_location: Path | str) -> None:
    fill_old(any_location, drives={"data1": "i1"}, paths={"/old/x": "data1"})
    with open_catalog(any_location, drives=HERE) as catalog:
        catalog.update_replica(1, state=ReplicaState.MISSING)
        enter(catalog, make_replica("data1", "/disk/a/x"), name="other.dat", content=2)
    open_catalog(any_location, drives={"data1": Path("/old")}).close()
    assert rows(any_location) == ["/old/x", "data1:/x"]


def test_who_cannot_write_reads_rows_of_old_all_the_same(any_location: Path | str) -> None:
    fill_old(any_location, drives={"data1": "i1"}, paths={"/disk/a/x": "data1"})
    opened = open_database(any_location, create=True)
    opened.write(
        lambda connection: connection.execute(tables.moved.insert().values(target="x", time_ns=1, is_copy=True))
    )
    opened.close()
    with open_catalog(any_location, drives=HERE) as catalog:
        assert paths(catalog) == ["/disk/a/x"]
    with open_catalog(any_location, create=False, drives=HERE) as catalog:
        assert paths(catalog) == ["/disk/a/x"]
    assert rows(any_location) == ["/disk/a/x"]


def test_down_and_up_again(any_location: Path | str) -> None:
    root = {"data1": Path("/"), "data2": Path("/disk/b")}
    with open_catalog(any_location, drives=root) as catalog:
        for name in (*root, "unused"):
            catalog.register_drive(name, name)
        places = {"data1": "/x", "data2": "/disk/b/x", "nas": "nas:/x", "gone": "gone:/x"}
        enter(catalog, *(make_replica(drive, path) for drive, path in places.items()))
        enter(catalog, make_replica("data2", "/disk/b/y"), name="y")
        catalog.transfers.begin(
            Transfer(source="/", destination="/disk/b", source_drive="data1", drive="data2", host="h"), []
        )
    before = rows(any_location)
    assert before == ["data1:/x", "data2:/x", "nas:/x", "gone:/x", "data2:/y"]

    def twin(connection: Connection) -> None:
        is_gone = tables.replica.c.path == "gone:/x"
        connection.execute(update(tables.replica).where(is_gone).values(drive="data2", path="/disk/b/y"))

    opened = open_database(any_location, create=False)
    opened.write(twin)
    opened.write(lambda connection: schema.migrate(connection, "0007"))
    with opened.reading() as connection:
        found = connection.execute(select(tables.replica.c.path).order_by(tables.replica.c.replica_id))
        assert list(found.scalars()) == ["/x", "/disk/b/x", "nas:/x", "/disk/b/y", "data2:/y"]
        ends = connection.execute(select(tables.transfer.c.source, tables.transfer.c.destination)).one()
        assert tuple(ends) == ("/", "/disk/b")
    opened.close()
    open_catalog(any_location, drives=root).close()
    assert rows(any_location) == ["data1:/x", "data2:/x", "nas:/x", "/disk/b/y", "data2:/y"]
