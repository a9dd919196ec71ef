"""Bit rot, zeroed blocks and torn tails in every kind of file: the rest is served, the damage is named (exit 5)."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from nualley.app.archive import open_archive_reader, open_archive_writer, open_compactor, verify_archive
from nualley.app.site import open_site
from nualley.archive import bins
from nualley.archive.wal import SEGMENT_HEADER, survey
from nualley.cli.main import main
from nualley.core import SECOND_NS, parse_time_ns
from nualley.pv import Connection, Life, Sample, ValueType

pytestmark = pytest.mark.fault

BEGIN_NS = parse_time_ns("2026-11-01T00:00:00Z", 0)
STRETCH = ("--from", "2026-11-01T00:00:00Z", "--to", "2026-11-01T02:00:00Z")
N = 120
BLOCK_B = 512


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Two hours of two PVs and something kept aside, sealed once an hour; return the archive's folder."""
    monkeypatch.delenv("NUALLEY_EXPERIMENT", raising=False)
    monkeypatch.setattr(bins, "LARGEST_RAW_ROWS", 0)
    experiment = tmp_path / "experiment"
    assert main(["init", str(experiment)]) == 0
    monkeypatch.chdir(experiment)
    folder = open_site(experiment).archive_folder
    writer = open_archive_writer(folder)
    emit = writer.recorder.receive
    for pv in ("P", "Q"):
        emit(Connection(pv, True, "ioc", BEGIN_NS, BEGIN_NS, "ca"))
    for minute in range(N):
        time_ns = BEGIN_NS + minute * 60 * SECOND_NS
        emit(Sample("P", time_ns, minute / 7, ValueType.FLOAT64, 0, 0, "ca", time_ns))
        emit(Sample("Q", time_ns, f"word {minute}", ValueType.STRING, 0, 0, "ca", time_ns))
        emit(Sample("P", 5, 0.0, ValueType.FLOAT64, 0, 0, "ca", time_ns))  # a clock that was never set
        emit(Life("ioc", time_ns))
        if minute % 60 == 59:
            writer.seal()
    writer.close()
    return folder


def zero_size(raw: bytearray) -> bytearray:
    return raw[:0]


def zeroed_footer(raw: bytearray) -> bytearray:
    raw[-BLOCK_B:] = bytes(len(raw[-BLOCK_B:]))
    return raw


def zeroed_pages(raw: bytearray) -> bytearray:
    raw[4:200] = bytes(196)  # behind the magic: data pages
    return raw


def zeroed_whole(raw: bytearray) -> bytearray:
    return bytearray(len(raw))


def flipped(raw: bytearray) -> bytearray:
    raw[60] ^= 0x08
    return raw


def cut(raw: bytearray) -> bytearray:
    return raw[: len(raw) // 2]


def other(raw: bytearray) -> bytearray:
    return bytearray(b"PAR1" * (len(raw) // 4))


DAMAGES = [zero_size, zeroed_footer, zeroed_pages, zeroed_whole, flipped, cut, other]
KINDS = {
    "day": ("day/*/float64-*.parquet", ("get", "P")),
    "month": ("month/*/float64-*.parquet", ("get", "P")),
    "1min": ("tier/1min/*/float64-*.parquet", ("get", "P", "--bins", "60")),
    "1h": ("tier/1h/*/float64-*.parquet", ("get", "P", "--bins", "1")),
    "quarantine": ("quarantine/*/float64-*.parquet", ("quarantine", "P")),
}


def damaged_file(folder: Path, pattern: str, damage: Callable[[bytearray], bytearray]) -> str:
    path = min(folder.glob(pattern))
    path.write_bytes(damage(bytearray(path.read_bytes())))
    return str(path.relative_to(folder))


def said(capsys, *words: str, code: int):
    assert main(["archive", *words]) == code
    return capsys.readouterr()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_named_and_hides_nothing_else(archive, capsys, kind, damage):
    pattern, words = KINDS[kind]
    if kind == "month":
        compactor = open_compactor(archive)
        for job in compactor.due(is_all=True):
            compactor.run(job)
    capsys.readouterr()
    path = damaged_file(archive, pattern, damage)
    found = json.loads(said(capsys, "verify", "--json", code=5).out)
    assert ([entry["path"] for entry in found["damaged"]], found["missing"]) == ([path], [])
    stretch = () if kind == "quarantine" else STRETCH
    told = said(capsys, *words, *stretch, "--json", code=5)
    assert path in told.err
    assert json.loads(told.out)
    # what is not in that file is told as if nothing were
    columns = json.loads(said(capsys, "get", "Q", *STRETCH, "--json", code=0).out)["columns"]
    assert [value for value in columns["value"] if value] == [f"word {minute}" for minute in range(N)]
    if kind == "day":
        rows = json.loads(said(capsys, "get", "P", *STRETCH, "--json", code=5).out)["columns"]
        values = [value for value, row in zip(rows["value"], rows["kind"], strict=True) if row == "sample"]
        assert values == [minute / 7 for minute in range(60, N)]
        assert "gap" in rows["kind"], "what the file held is unknown and not as it was before"
    if kind in ("1min", "1h"):
        n = json.loads(told.out)["columns"]["n"]
        assert n == [N // len(n)] * len(n), "the samples tell what their cells do not"


def test_a_damaged_file_is_never_merged_into_a_whole_one(archive, capsys):
    path = damaged_file(archive, "day/*/float64-*.parquet", zeroed_pages)
    compactor = open_compactor(archive)
    done = [compactor.run(job) for job in compactor.due(is_all=True)]
    assert [path in found.damage for found in done if found.damage] == [True]
    assert (archive / path).exists(), "evidence"
    assert not verify_archive(archive).is_intact


def test_random_damage_to_any_sealed_file_is_told_or_does_no_harm(archive, seed, is_soak):
    rng = random.Random(seed)
    expected = open_archive_reader(archive).read("P", 0, 2**62).to_pylist()
    cells = open_archive_reader(archive).bins("P", BEGIN_NS, BEGIN_NS + N * 60 * SECOND_NS, 4).to_pylist()
    paths = sorted(archive.rglob("float64-*.parquet"))
    for _ in range(2000 if is_soak else 150):
        path = rng.choice(paths)
        whole = path.read_bytes()
        raw, at = bytearray(whole), rng.randrange(len(whole))
        length = rng.choice([1, 1, 16, BLOCK_B, 4096])
        raw[at : at + length] = rng.choice([bytes, rng.randbytes])(len(raw[at : at + length]))
        path.write_bytes(raw)
        reader = open_archive_reader(archive)
        rows = reader.read("P", 0, 2**62).to_pylist()
        bins_ = reader.bins("P", BEGIN_NS, BEGIN_NS + N * 60 * SECOND_NS, 4).to_pylist()
        if not reader.damages():
            assert (rows, bins_) == (expected, cells), f"{path.name}: {length} B at {at} changed what is told"
        if raw != whole:
            assert not verify_archive(archive).is_intact
        path.write_bytes(whole)


# ------------------------------------------------------------------ the log
def log_of(folder: Path, n_commits: int = 8) -> tuple[Path, list[int]]:
    """Write commits of a second each into a new log; return its file and where each of them begins [B]."""
    writer = open_archive_writer(folder)
    edges_B = []
    for number in range(n_commits):
        time_ns = BEGIN_NS + number * SECOND_NS
        writer.recorder.receive(Sample("P", time_ns, float(number), ValueType.FLOAT64, 0, 0, "ca", time_ns))
        edges_B.append(writer.log.position.offset_B)
        writer.recorder.commit()
    writer.log.close()
    (path,) = (folder / "wal" / "0").glob("*.wal")
    return path, [*edges_B, path.stat().st_size]


def values_of(folder: Path) -> list[float]:
    rows = open_archive_reader(folder).read("P", 0, 2**62).to_pylist()
    return [row["value"] for row in rows if row["kind"] == "sample"]


@pytest.mark.parametrize("n_bytes", [1, 13, 4096])
def test_garbage_behind_the_last_commit_is_a_torn_tail_and_nobody_is_told(tmp_path, n_bytes):
    path, _ = log_of(tmp_path)
    with path.open("ab") as file:
        file.write(b"\xa5" * n_bytes)
    assert values_of(tmp_path) == [float(number) for number in range(8)]
    writer = open_archive_writer(tmp_path)
    writer.recorder.receive(Sample("P", BEGIN_NS + 60 * SECOND_NS, 8.0, ValueType.FLOAT64, 0, 0, "ca", BEGIN_NS))
    writer.close()
    assert values_of(tmp_path) == [float(number) for number in range(9)]
    assert open_archive_reader(tmp_path).losses() == []
    assert list((tmp_path / "quarantine").glob("*.damaged")) == []


@pytest.mark.parametrize("zeroed", [range(2, 3), range(2, 5), range(1), range(6, 8)], ids=str)
@pytest.mark.parametrize("then", ["read", "start"])
def test_zeroed_blocks_in_the_log_are_a_loss_and_the_rest_is_served(tmp_path, zeroed, then):
    path, edges_B = log_of(tmp_path)
    raw = bytearray(path.read_bytes())
    start_B, stop_B = edges_B[zeroed.start], edges_B[zeroed.stop]
    raw[start_B:stop_B] = bytes(stop_B - start_B)
    path.write_bytes(raw)
    if then == "start":
        open_archive_writer(tmp_path).close()
        kept = [file.stat().st_size for file in (tmp_path / "quarantine").glob("*.damaged")]
        assert sum(kept) == stop_B - start_B, "evidence"
    left = [float(number) for number in range(8) if number not in zeroed]
    assert 0 in zeroed or values_of(tmp_path) == left
    reader = open_archive_reader(tmp_path)
    assert sum(loss.n_commits for loss in reader.losses()) == len(zeroed)
    assert (reader.ledger().received, reader.ledger().stored) == (8, len(left))
    assert not reader.ledger().is_balanced


def test_a_bit_flipped_in_every_byte_of_a_real_log_is_told(tmp_path):
    path, edges_B = log_of(tmp_path, 3)
    whole = path.read_bytes()
    for position in range(SEGMENT_HEADER.size, len(whole)):
        raw = bytearray(whole)
        raw[position] ^= 1 << (position % 8)
        found = survey(bytes(raw), SEGMENT_HEADER.size)
        (hit,) = [number for number in range(3) if edges_B[number] <= position < edges_B[number + 1]]
        lost = [*found.damaged, *([(found.intact_B, len(raw))] if found.intact_B < len(raw) else [])]
        assert lost == [(edges_B[hit], edges_B[hit + 1])], f"byte {position}"
        if position % 7 == 0:
            path.write_bytes(raw)
            reader = open_archive_reader(tmp_path)
            assert [loss.n_commits for loss in reader.losses()] == [1]
            assert reader.ledger().stored == 2
