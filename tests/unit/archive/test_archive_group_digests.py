"""Whatever byte of a row group is changed, the file is damaged; nothing else than was written is ever read."""

import itertools
import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nualley.archive.adapters import group_digests
from nualley.archive.adapters.column_files import ParquetFolder
from nualley.archive.adapters.group_digests import KEY, GroupDigests, is_as_written
from nualley.archive.errors import SealedFileDamagedError
from nualley.archive.sealed import Level

BEGIN_NS = 1_800_000_000 * 10**9


@pytest.fixture
def sealed(bench):
    """Two PVs over an hour, sealed."""
    bench.emit(bench.connect("P"), bench.connect("Q"))
    for step in range(60):
        bench.clock.advance(60)
        bench.emit(bench.sample("P", step / 7), bench.sample("Q", float(step)))
    bench.commit()
    bench.seal()
    return bench


EACH = 3  # a third of all bytes, others each time: a digest takes them alike


def groups_of(sealed, level):
    return sealed.reader().snapshot().groups("P", level, 0, 2**62)


@pytest.mark.parametrize("level", [Level.RAW, Level.MINUTE])
def test_no_byte_of_a_row_group_can_be_another(sealed, level, seed):
    group = max(groups_of(sealed, level), key=lambda each: each.n_rows)
    folder, path = ParquetFolder(sealed.folder), sealed.folder / group.path
    whole = path.read_bytes()
    table = folder.read(group)
    start_B = len(b"PAR1")
    assert group.place.start_B - start_B > 100
    for at in range(start_B + seed % EACH, group.place.start_B, EACH):
        raw = bytearray(whole)
        raw[at] = 0 if whole[at] else 1
        path.write_bytes(raw)
        with pytest.raises(SealedFileDamagedError, match="other bytes than were written"):
            folder.read(group)
    path.write_bytes(whole)
    assert folder.read(group) == table


def test_no_byte_of_what_the_footer_says_of_it_can_be_another(sealed, monkeypatch, seed):
    group = max(groups_of(sealed, Level.RAW), key=lambda each: each.n_rows)
    folder, path, place = ParquetFolder(sealed.folder), sealed.folder / group.path, group.place
    # Arrow may ask for any amount of memory for it, or read what is not there
    monkeypatch.setattr(pq, "read_metadata", None)
    whole = path.read_bytes()
    begins_B = (place.start_B, place.group_B, place.tail_B)
    ends_B = (place.list_B, place.group_stop_B, place.stop_B)
    for at in itertools.islice(itertools.chain.from_iterable(map(range, begins_B, ends_B)), seed % EACH, None, EACH):
        raw = bytearray(whole)
        raw[at] ^= 0x80
        path.write_bytes(raw)
        with pytest.raises(SealedFileDamagedError, match="footer has other bytes than were written"):
            folder.read(group)


def test_a_footer_without_digest_that_tells_of_terabytes_is_damage_and_no_lack_of_memory(sealed):
    group = max(groups_of(sealed, Level.RAW), key=lambda each: each.n_rows)
    old = replace(group, place=replace(group.place, rest_xxh3=0, group_xxh3=0))
    folder, path = ParquetFolder(sealed.folder), sealed.folder / group.path
    assert folder.read(old) == folder.read(group)
    raw = path.read_bytes()
    record = pq.read_metadata(path).metadata[KEY]
    size = record[12:24]
    path.write_bytes(raw.replace(record, record[:12] + b"f" + size[1:] + record[24:]))
    with pytest.raises(SealedFileDamagedError, match="other bytes than were written"):
        folder.read(old)


def test_a_file_of_an_older_nualley_has_no_digests_and_is_read(tmp_path):
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "old.parquet")
    with (tmp_path / "old.parquet").open("rb") as file:
        assert is_as_written(file, pq.read_metadata(tmp_path / "old.parquet"))


@pytest.mark.parametrize("n_groups", [1, 2, 7])
def test_each_row_group_is_found_by_where_it_begins(tmp_path, n_groups):
    path = tmp_path / "some.parquet"
    parts = [pa.table({"a": np.arange(part, part + 50)}) for part in range(n_groups)]
    with pq.ParquetWriter(path, parts[0].schema) as writer, path.open("rb") as file:
        digests = GroupDigests(os.fstat(file.fileno()).st_size)
        for part in parts:
            writer.write_table(part)
            digests.add(file)
        writer.add_key_value_metadata({KEY: digests.text()})
    text = pq.read_metadata(path).metadata[KEY]
    with pq.ParquetFile(path) as written:
        for number in range(n_groups):
            begin_B = written.metadata.row_group(number).column(0).dictionary_page_offset
            assert group_digests._find(text, begin_B) is not None
            assert group_digests._find(text, begin_B + 1) is None
    assert group_digests._find(text[:-1], begin_B) is None, "a record that was cut is none"
