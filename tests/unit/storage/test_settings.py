"""``drives.toml`` as settings."""

import tomllib
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from nualley.core import DAY_NS
from nualley.storage import Drive, DriveRole, Remote, RemoteKind, StorageSettings

TEXT = """
replica_path = "{drive}/{detector}/raw/{run}/{name}"

[drives.data1]
path = "/data1"
role = "raw"
limit = "95 %"
noted = {size = "124 TiB", used = "95 %", on = 2021-05-01, source = "table of 2021"}

[drives.local]
path = "drive"
mounted = true

[[drop]]
path = "drop/cenns-10"
detector = "cenns-10"
purge = {copies = 2, min_age = "7d"}

[[drop]]
path = "/daq"
detector = "coh-ar-750"
"""


def load(text: str) -> StorageSettings:
    return StorageSettings.model_validate(tomllib.loads(text))


def test_a_full_file() -> None:
    settings = load(TEXT).resolve(Path("/experiment"))
    data1, local = settings.to_drives()
    assert data1.role is DriveRole.RAW
    assert data1.limit_fraction == 0.95
    assert data1.noted is not None
    assert (data1.noted.size_B, data1.noted.used_fraction) == (124 * 2**40, 0.95)
    assert (data1.noted.on, data1.noted.source) == (date(2021, 5, 1), "table of 2021")
    assert local == Drive("local", Path("/experiment/drive"), must_be_mounted=True)
    assert [drop.path for drop in settings.drop] == [Path("/experiment/drop/cenns-10"), Path("/daq")]
    assert settings.drop[0].purge is not None
    assert (settings.drop[0].purge.copies, settings.drop[0].purge.min_age_ns) == (2, 7 * DAY_NS)
    assert settings.drop[1].purge is None


def test_an_empty_file() -> None:
    settings = load("")
    assert settings.to_drives() == ()
    assert settings.replica_path == "{drive}/{detector}/raw/{run}/{name}"


def test_defaults_of_a_drive() -> None:
    (drive,) = load('[drives.d]\npath = "d"').to_drives()
    assert (drive.role, drive.limit_fraction, drive.must_be_mounted, drive.noted) == (DriveRole.ANY, 0.97, False, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[drives.d]\npath = "d"\nlimit = 97', 'such as "97 %"'),
        ('[drives.d]\npath = "d"\nlimit = "97 TiB"', "unit of size"),
        ('[drives.d]\npath = "d"\nlimit = "140 %"', "is no part of a drive"),
        ('[drives.d]\npath = "d"\nlimit = "0 %"', "greater than 0"),
        ('[drives.d]\npath = "d"\nrole = "rwa"', "did you mean 'raw'"),
        ('[drives.d]\npath = "d"\nrole = "zzzzzz"', "roles: raw, processed, simulation, user, any"),
        ('[drives.d]\npath = "d"\ncolour = "red"', "colour"),
        ('[drives.d]\nrole = "raw"', "path"),
        ('[drives."a/b"]\npath = "d"', "is not a name for a drive"),
        ('[drives.d]\npath = "d"\nnoted = {size = 124, used = "9 %"}', 'such as "124 TiB"'),
        ('[drives.d]\npath = "d"\nnoted = {size = "124 TiB", used = "190 %"}', "is no part of a drive"),
        ('[[drop]]\npath = "d"\ndetector = "a"\npurge = {copies = 1, min_age = "7d"}', "greater than or equal to 2"),
        ('[[drop]]\npath = "d"\ndetector = "a"\npurge = {min_age = 7}', 'such as "7d"'),
        ('[[drop]]\npath = "d"\ndetector = "a"\npurge = {min_age = "7"}', "is not a duration"),
        ('replica_path = "{drive}/{detectr}/{run}/{name}"', "did you mean {detector}?"),
        ('replica_path = "{drive}/{zzzz}/{run}/{name}"', "keys: drive, detector, run, name"),
        ('replica_path = "{drive}/{detector}/{name}"', "lacks {run}"),
        ('replica_path = "{drive}/{detector!r}/{run}/{name}"', "has a format"),
        ('replica_path = "{drive}/{detector}/{run:>9}/{name}"', "has a format"),
        ('replica_path = "{drive}/{detector}/{run}/{name"', "expected '}'"),
        ('replica_path = "/data/{drive}/{detector}/{run}/{name}"', "must begin with {drive}/"),
        ('replica_path = "{drive}/{detector}/{name}/{run}"', "end with /{name}"),
        ('replica_path = "{drive}/../{detector}/{run}/{name}"', "'..' part"),
        ('replica_path = "{drive}//{detector}/{run}/{name}"', "empty"),
        ('replica_path = "{drive}/{detector}{run}/{name}"', "two runs could share"),
        ("unknown = 1", "unknown"),
    ],
)
def test_a_mistake_is_told_with_its_remedy(text: str, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        load(text)
    assert expected in str(caught.value)


def test_every_field_is_described() -> None:
    schema = StorageSettings.model_json_schema()
    for model in (schema, *schema["$defs"].values()):
        for name, field in model.get("properties", {}).items():
            assert field.get("description") or "$ref" in field, name


def test_remotes_are_values() -> None:
    text = """
[remotes.nas]
rclone = "lab-nas:coherent/raw"
rclone_config = "../rclone.conf"

[remotes.grid]
xrootd = "root://se.example.org:1094//store/coherent"
"""
    settings = StorageSettings.model_validate(tomllib.loads(text)).resolve(Path("/experiment"))
    assert settings.to_remotes() == (
        Remote("nas", RemoteKind.RCLONE, "lab-nas:coherent/raw", Path("/rclone.conf")),
        Remote("grid", RemoteKind.XROOTD, "root://se.example.org:1094//store/coherent"),
    )


def test_no_path_goes_over_a_folder_above() -> None:
    settings = load(
        '[drives.data1]\npath = "../drives/data1"\n[[drop]]\npath = "../../drop"\ndetector = "cenns-10"\n'
    ).resolve(Path("/experiment/of/mine"))
    assert [drive.path for drive in settings.to_drives()] == [Path("/experiment/of/drives/data1")]
    assert [drop.path for drop in settings.drop] == [Path("/experiment/drop")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('rclone = ":sftp,host=nas,pass=secret:path"', "is no place of rclone"),
        ('rclone = "nas,pass=secret:path"', "is no place of rclone"),
        ('rclone = "/data"', 'write "NAME:path"'),
        ('xrootd = "root://ada:secret@se.example.org//store"', "is no address of an XRootD server"),
        ('xrootd = "https://se.example.org//store"', "is no address of an XRootD server"),
        ("", "it names no place"),
        ('rclone = "a:"\nxrootd = "root://h//p"', "it names two places"),
        ('xrootd = "root://h//p"\nrclone_config = "x"', "rclone_config goes with rclone"),
    ],
)
def test_a_remote_that_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        StorageSettings.model_validate(tomllib.loads(f"[remotes.nas]\n{text}"))
