"""Adoption under any order, repetition and stop: the same files become known, and what is entered stays true."""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nualley.core import digest_file, escape_name, unescape_name
from nualley.replicas import Adopted, Candidate, TransferStopped
from nualley.storage import Ownership, OwnershipRule
from tests.unit.replicas.test_adoption import adopt
from tests.unit.replicas.world import DETECTOR, World

OWNERSHIP = Ownership([OwnershipRule("{detector}/{stage:raw}/{run}")], "", [DETECTOR])
PLACES = st.tuples(
    st.sampled_from(["data1", "data2"]),
    st.sampled_from([f"{DETECTOR}/raw/1", f"{DETECTOR}/raw/1/more", f"{DETECTOR}/raw/2", "users/me"]),
    st.sampled_from(["a.dat", "b.dat"]),
)
CONTENT = st.sampled_from([b"", b"abc", b"aXc", bytes(3000)])
ORDERS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 4)), max_size=6)


def put(world: World, place: tuple[str, str, str], data: bytes) -> None:
    path = world.folder.joinpath(*place)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def candidates(world: World) -> list[Candidate]:
    """Return what a rule names and the catalog does not know."""
    found = []
    for drive in ("data1", "data2"):
        for path in sorted((world.folder / drive).rglob("*.dat")):
            owner = OWNERSHIP.owner_of(os.fsencode(path.parent.relative_to(world.folder / drive)))
            text = escape_name(os.fspath(path))
            if owner.run is None or world.catalog.replica_at(drive, text) is not None:
                continue
            assert owner.detector
            assert owner.stage
            found.append(Candidate(drive, text, owner.detector, owner.stage, owner.run, path.stat().st_size))
    return found


def known(world: World) -> dict[str, tuple[str, frozenset[str]]]:
    """Return every file of the catalog, its digest and its places, each read anew."""
    files = {}
    for run in world.catalog.runs():
        for file in world.catalog.files(run.run_id):
            places = world.catalog.replicas(file.file_id)
            for place in places:
                assert digest_file(Path(unescape_name(place.path))) == file.digests
            below = frozenset(os.path.relpath(place.path, world.folder) for place in places)
            files[f"{file.run_id}/{file.name}"] = (file.xxh3_128, below)
    return files


def adopt_some(world: World, wanted: Sequence[Candidate], n_asked: int) -> list[Adopted]:
    """Adopt until somebody has asked so often."""
    left = [n_asked]

    def should_stop() -> bool:
        left[0] -= 1
        return left[0] < 0

    with contextlib.suppress(TransferStopped):
        return adopt(world, list(wanted), should_stop=should_stop)
    return []


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.sets(PLACES, max_size=8), ORDERS)
def test_any_order_repetition_and_stop_makes_the_same_files_known(
    places: set[tuple[str, str, str]], orders: list[tuple[int, int]]
) -> None:
    """Where no two files differ that claim one name."""
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as two,
        World(Path(one)) as at_once,
        World(Path(two)) as piecemeal,
    ):
        for place in places:
            for world in (at_once, piecemeal):
                put(world, place, f"{place[1][:10]}{place[2]}".encode())
        first = adopt(at_once, candidates(at_once))
        assert {each.result for each in first} <= {"adopted", "replica"}
        everything = candidates(piecemeal)
        for start, n_asked in orders:
            adopt_some(piecemeal, everything[start:] + everything[:1], n_asked)
            known(piecemeal)
        adopt(piecemeal, everything[::-1])
        assert known(piecemeal) == known(at_once)
        assert len(known(at_once)) == len({(place[1][:10], place[2]) for place in places if place[1][0] != "u"})
        for world in (at_once, piecemeal):
            before = known(world)
            assert candidates(world) == []
            adopt(world, everything if world is piecemeal else [])
            assert known(world) == before


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(PLACES, CONTENT), max_size=8), ORDERS)
def test_files_that_claim_one_name_never_replace_each_other(
    files: list[tuple[tuple[str, str, str], bytes]], orders: list[tuple[int, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world:
        for number, (place, data) in enumerate(files):
            if world.catalog.replica_at(place[0], os.fspath(world.folder.joinpath(*place))) is None:
                put(world, place, data)
            if number < len(orders):
                before = known(world)
                adopt_some(world, candidates(world), orders[number][1])
                after = known(world)
                for name, (digest, below) in before.items():
                    assert after[name][0] == digest
                    assert below <= after[name][1]
        found = adopt(world, candidates(world))
        last = known(world)
        refused = {each.candidate.path for each in found if each.result == "refused"}
        assert {each.path for each in candidates(world)} == refused
        again = adopt(world, candidates(world)[::-1])
        assert {(each.candidate, each.detail) for each in again} == {
            (each.candidate, each.detail) for each in found if each.result == "refused"
        }
        assert known(world) == last
