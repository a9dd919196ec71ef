"""What one file says of another."""

import pytest

from nualley.config import load
from tests.unit.config.conftest import FORMATS, Broken

HPGE = "detectors/hpge.toml"


def test_a_drop_of_an_unknown_detector(repository: Broken) -> None:
    repository.replace("drives.toml", 'detector = "hpge"', 'detector = "hpeg"')
    mistake = repository.only()
    assert (mistake.key, mistake.found, mistake.nearest) == ("drop[0].detector", '"hpeg"', "hpge")
    assert mistake.line == repository.line("drives.toml", "hpeg")
    assert mistake.expected == "a detector: hpge"


def test_a_person_for_an_unknown_detector(repository: Broken) -> None:
    repository.write("people.toml", '[people.ada]\nname = "Ada"\ndetectors = [\n  "hpge",\n  "hpg",\n]\n')
    mistake = repository.only()
    assert (mistake.key, mistake.line, mistake.nearest) == ("people.ada.detectors[1]", 5, "hpge")


def test_a_beam_pv_that_no_group_archives(repository: Broken) -> None:
    repository.replace("beam.toml", '\npv = "DEMO:BEAM:POWER"', '\npv = "DEMO:BEAM:POWR"')
    mistake = repository.only()
    assert (mistake.file, mistake.key, mistake.nearest) == ("beam.toml", "power.pv", "DEMO:BEAM:POWER")
    assert mistake.expected == "a PV that a file in pvs/ archives"


def test_a_daq_pv_that_no_group_archives(repository: Broken) -> None:
    repository.append(HPGE, '\n[daq.pvs]\nrun = "X:RUN"\n')
    mistake = repository.only()
    assert (mistake.file, mistake.key, mistake.found) == (HPGE, "daq.pvs.run", '"X:RUN"')


def test_a_heartbeat_need_not_be_archived_but_must_be_a_name(repository: Broken) -> None:
    repository.replace("experiment.toml", "\nauto_addr_list = false", '\nheartbeats = ["X:BEAT", "../x"]')
    mistake = repository.only()
    assert (mistake.key, mistake.found) == ("epics.heartbeats[1]", '"../x"')
    assert "the name of a PV" in mistake.expected


def test_a_group_that_could_not_be_read_whole_accuses_nobody(repository: Broken) -> None:
    repository.replace("pvs/beam.toml", '"DEMO:BEAM:POWER" =', "DEMO:BEAM:POWER =")
    assert [mistake.file for mistake in repository.check()] == ["pvs/beam.toml"]


def test_one_pv_in_two_groups(repository: Broken) -> None:
    repository.write("pvs/other.toml", '[pv]\n"DEMO:BEAM:POWER" = {}\n')
    mistake = repository.only()
    line = repository.line("pvs/beam.toml", '"DEMO:BEAM:POWER" =')
    assert (mistake.file, mistake.line) == ("pvs/other.toml", 2)
    assert f"pvs/beam.toml:{line} has it already" in mistake.expected


@pytest.mark.parametrize("pv", ["pva://DEMO:BEAM:POWER", "DEMO:BEAM:POWER.VAL", "ca://DEMO:BEAM:POWER.VAL"])
def test_one_pv_in_two_groups_by_other_names(repository: Broken, pv: str) -> None:
    repository.write("pvs/other.toml", f'[pv]\n"{pv}" = {{}}\n')
    mistake = repository.only()
    line = repository.line("pvs/beam.toml", '"DEMO:BEAM:POWER" =')
    assert (mistake.file, mistake.line, mistake.found) == ("pvs/other.toml", 2, f'"{pv}"')
    assert f"pvs/beam.toml:{line} has it already" in mistake.expected


def test_one_pv_twice_in_a_group(repository: Broken) -> None:
    repository.append("pvs/beam.toml", '"pva://DEMO:BEAM:POWER.VAL" = {}\n')
    mistake = repository.only()
    assert mistake.line == repository.line("pvs/beam.toml", "pva://")
    assert mistake.expected == "each PV once (pva://DEMO:BEAM:POWER.VAL is the same PV as DEMO:BEAM:POWER)"


def test_a_protocol_before_a_name_and_another_in_its_policy(repository: Broken) -> None:
    repository.append("pvs/beam.toml", '"pva://X" = { description = "x", protocol = "ca" }\n')
    mistake = repository.only()
    assert (mistake.file, mistake.line) == ("pvs/beam.toml", repository.line("pvs/beam.toml", 'protocol = "ca" }'))
    assert (mistake.key, mistake.found) == ('pv."pva://X".protocol', '"ca"')
    assert mistake.expected == "leave one of them out (pva://X asks for pva, and protocol for ca)"


def test_a_pv_with_a_protocol_before_its_name_is_found_by_its_name(repository: Broken) -> None:
    repository.replace("pvs/beam.toml", '"DEMO:BEAM:POWER" =', '"pva://DEMO:BEAM:POWER" =')
    repository.append("pvs/beam.toml", '"X" = { protocol = "computed", expression = "2 * DEMO:BEAM:POWER" }\n')
    repository.append("pvs/beam.toml", '"Y" = { only_while = "DEMO:BEAM:POWER > 0" }\n')
    assert repository.check() == []
    assert load(repository.directory, {}, FORMATS).pv_groups["beam"].pv["DEMO:BEAM:POWER"].protocol == "pva"


def test_what_is_computed_by_default_is_not_with_a_protocol_before_its_name(repository: Broken) -> None:
    repository.write("pvs/x.toml", '[defaults]\nprotocol = "computed"\n\n[pv]\n"pva://X" = { expression = "NOPE" }\n')
    assert repository.only().expected == "expression only with protocol computed (protocol is pva)"


def test_a_format_that_is_not_installed(repository: Broken) -> None:
    repository.replace(HPGE, 'format = "wavedump"', 'format = "wavdump"')
    mistake = repository.only()
    assert (mistake.key, mistake.nearest) == ("daq.format", "wavedump")
    assert mistake.expected == "a raw format: cohar750-hdf5, wavedump"


def test_more_copies_than_drives(repository: Broken) -> None:
    repository.replace("experiment.toml", "copies = 1", "copies = 2")
    mistake = repository.only()
    assert (mistake.key, mistake.found) == ("ingest.copies", "2")
    assert mistake.expected.startswith("at most 1")


def test_copies_from_the_environment_are_counted_too(repository: Broken) -> None:
    mistake = repository.only(NUALLEY_INGEST__COPIES="3")
    assert (mistake.file, mistake.key) == ("environment", "NUALLEY_INGEST__COPIES")


def test_a_drive_for_other_data_holds_no_copies(repository: Broken) -> None:
    repository.append("drives.toml", '\n[drives.data2]\npath = "drives/data2"\nrole = "user"\n')
    repository.replace("experiment.toml", "copies = 1", "copies = 2")
    assert repository.only().expected.startswith("at most 1")


def test_a_drive_with_a_misspelled_role_is_not_held_against_the_copies(repository: Broken) -> None:
    repository.replace("drives.toml", 'role = "raw"', 'role = "rwa"')
    assert repository.only().key == "drives.data1.role"


def test_values_of_a_wrong_shape_are_passed_over(repository: Broken) -> None:
    repository.write("drives.toml", "drop = 3\ndrives = [1]\n")
    repository.write("people.toml", "people = [1, 2]\n")
    assert {(mistake.file, mistake.key) for mistake in repository.check()} == {
        ("drives.toml", "drop"),
        ("drives.toml", "drives"),
        ("people.toml", "people"),
    }


@pytest.mark.parametrize("value", ["0x" + "f" * 5000, "9" * 30])
def test_copies_beyond_all_measure(repository: Broken, value: str) -> None:
    repository.replace("experiment.toml", "copies = 1", f"copies = {value}")
    assert repository.only().expected.startswith("at most 1")


def test_copies_in_digits_that_are_no_number(repository: Broken) -> None:
    assert repository.only(NUALLEY_INGEST__COPIES="\u00b2").expected == "a whole number"


def test_a_condition_on_a_pv_that_no_group_archives(repository: Broken) -> None:
    repository.replace("pvs/beam.toml", "{ description", '{ only_while = "DEMO:BEAM:POWR > 1", description')
    mistake = repository.only()
    assert mistake.key.endswith("only_while")
    assert (mistake.expected, mistake.nearest) == ("a PV that a file in pvs/ archives", "DEMO:BEAM:POWER")


@pytest.mark.parametrize("url", ["postgresql://ada:hunter2@db/x", "postgresql://ada@db/x?password=hunter2"])
def test_a_password_of_the_catalog_stands_in_no_file(repository: Broken, url: str) -> None:
    repository.replace("experiment.toml", "[catalog]", f'[catalog]\nurl = "{url}"')
    mistake = repository.only()
    assert (mistake.key, "PGPASSWORD" in mistake.expected) == ("catalog.url", True)
    assert "hunter2" not in str(mistake)


def test_a_password_of_the_catalog_may_stand_in_the_environment(repository: Broken) -> None:
    url = "postgresql://ada:hunter2@db/x"
    assert load(repository.directory, {"NUALLEY_CATALOG__URL": url}, FORMATS).catalog.url.endswith("hunter2@db/x")


@pytest.mark.parametrize(
    "name", ["push_tokens_file", "manage_tokens_file", "catalog_tokens_file", "catalog_write_tokens_file"]
)
def test_tokens_stand_outside_of_the_repository(repository: Broken, name: str) -> None:
    repository.replace("experiment.toml", "[web]", f'[web]\n{name} = "tokens"')
    mistake = repository.only()
    assert (mistake.key, "secrets do not belong into git" in mistake.expected) == (f"web.{name}", True)


REMOTE = '[remotes.nas]\nrclone = "lab:path"\n'


def test_a_placement_on_an_unknown_remote(repository: Broken) -> None:
    repository.append("drives.toml", f"\n{REMOTE}")
    repository.append("experiment.toml", '\n[replicas.placement.raw]\ncopies = 2\nremotes = ["nsa"]\n')
    mistake = repository.only()
    assert (mistake.file, mistake.key, mistake.nearest) == (
        "experiment.toml",
        "replicas.placement.raw.remotes[0]",
        "nas",
    )
    assert mistake.expected == "a remote of drives.toml: nas"


def test_a_file_of_rclone_in_the_repository(repository: Broken) -> None:
    repository.append("drives.toml", f'\n{REMOTE}rclone_config = "rclone.conf"\n')
    mistake = repository.only()
    assert mistake.key == "remotes.nas.rclone_config"
    assert mistake.expected == "a file outside of the experiment repository: secrets do not belong into git"


def test_a_remote_called_as_a_drive(repository: Broken) -> None:
    repository.append("drives.toml", '\n[remotes.data1]\nrclone = "lab:path"\n')
    assert "'data1' is the name of a drive and of a remote" in str(repository.only())
