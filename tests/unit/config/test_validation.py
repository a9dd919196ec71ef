"""Every sort of wrong value: file, line, key, found, expected, nearest."""

import pytest

from tests.unit.config.conftest import Broken

HPGE = "detectors/hpge.toml"
POLICY = 'pv."DEMO:BEAM:POWER"'


def test_the_template_has_no_mistake(repository: Broken) -> None:
    assert repository.check() == []


def test_an_unknown_key_gets_the_nearest(repository: Broken) -> None:
    repository.replace("drives.toml", 'limit = "97 %"', 'limmit = "97 %"')
    mistake = repository.only()
    assert (mistake.file, mistake.key, mistake.nearest) == ("drives.toml", "drives.data1.limmit", "limit")
    assert mistake.line == repository.line("drives.toml", "limmit")
    assert mistake.found == "the key 'limmit'"
    assert mistake.expected == "one of path, role, limit, mounted, noted"


def test_a_misspelled_key_is_not_also_missing(repository: Broken) -> None:
    repository.replace(HPGE, "material =", "matterial =")
    mistake = repository.only()
    assert (mistake.key, mistake.nearest) == ("target.matterial", "material")


def test_a_missing_key_has_the_line_of_its_table(repository: Broken) -> None:
    repository.replace(HPGE, 'material = "Ge"', "")
    mistake = repository.only()
    assert (mistake.key, mistake.found) == ("target.material", "nothing")
    assert mistake.line == repository.line(HPGE, "[target]")
    assert mistake.expected.startswith("The material")


def test_a_missing_table_has_the_first_line(repository: Broken) -> None:
    repository.write("beam.toml", 'beam_on_min = "50 kW"\n')
    mistake = repository.only()
    assert (mistake.file, mistake.line, mistake.key) == ("beam.toml", 1, "power")


@pytest.mark.parametrize(
    ("file", "old", "new", "key", "expected", "nearest"),
    [
        ("drives.toml", 'role = "raw"', 'role = "rwa"', "drives.data1.role", "roles: raw", "raw"),
        (HPGE, 'mass = "unknown"', 'mass = "3 kgs"', "target.mass", '"14.6 kg"', "kg"),
        (HPGE, 'mass = "unknown"', "mass = 3", "target.mass", "3 is not a mass with its unit", ""),
        (HPGE, 'name = "HPGe"', "name = 3", "name", "text in quotes", ""),
        (HPGE, 'name = "HPGe"', 'name = ""', "name", "text that is not empty", ""),
        (HPGE, '[daq]\nformat = "wavedump"', 'daq = "wavedump"', "target.daq", "one of material, mass", ""),
        (HPGE, '# header = true   ', 'header = "perhaps" #', "daq.header", "true or false", ""),
        (HPGE, "# record_length = 10000", 'record_length = "many"', "daq.record_length", "a whole number", ""),
        (HPGE, '# sample_period = "4 ns"', "sample_bits = 12", "daq.sample_bits", "8 or 16", ""),
        (HPGE, '# sample_period = "4 ns"', 'channels = { x = "a" }', "daq.channels.x", "a whole number", ""),
        (HPGE, '# sample_period = "4 ns"', 'running = "On"', "daq.running", "a list: [...]", ""),
        (HPGE, '# sample_period = "4 ns"', "pvs = 3", "daq.pvs", "a table", ""),
        ("experiment.toml", "# port = 8710", "port = 99999", "web.port", "less than or equal to 65535", ""),
        ("experiment.toml", "# port = 8710", 'host = "0.0.0.0"', "web.host", "no accounts yet", ""),
        ("experiment.toml", "# settle_s = 60.0", "settle_s = inf #", "ingest.settle_s", "a finite number", ""),
        ("experiment.toml", "# settle_s = 60.0", 'settle = "60 s" #', "ingest.settle", "settle_s", "settle_s"),
        ("experiment.toml", "# sync_interval_ms = 50.0", "sync_interval_ms = 0 #", "archive.sync_interval_ms", "1", ""),
        ("experiment.toml", '"UTC"', '"America/NewYork"', "time_zone", "IANA", "America/New_York"),
        ("beam.toml", 'unit = "MW"', 'unit = "Mw"', "power.unit", "W, kW, MW", "MW"),
        ("pvs/beam.toml", "{ description", '{ mode = "often", description', f"{POLICY}.mode", "monitor", ""),
        ("pvs/beam.toml", "{ description", "{ descriptn", f"{POLICY}.descriptn", "protocol, mode", "description"),
        ("pvs/beam.toml", "[pv]", '[pv]\n"a b" = {}', 'pv."a b"', "cannot be the name of a PV", ""),
    ],
)  # fmt: skip
def test_wrong_values(repository: Broken, file: str, old: str, new: str, key: str, expected: str, nearest: str) -> None:
    repository.replace(file, old, new)
    mistake = repository.only()
    assert (mistake.file, mistake.key, mistake.nearest) == (file, key, nearest)
    assert mistake.line == repository.line(file, new.splitlines()[-1])
    assert expected in mistake.expected


def test_a_person_with_a_wrong_role(repository: Broken) -> None:
    repository.write("people.toml", '[people.ada]\nname = "Ada"\nroles = ["expert", "shiftr"]\n')
    mistake = repository.only()
    assert (mistake.key, mistake.line, mistake.nearest) == ("people.ada.roles[1]", 3, "shifter")


def test_an_element_of_a_dated_list_has_its_own_line(repository: Broken) -> None:
    repository.replace(HPGE, 'mass = "unknown"', 'mass = [\n  { value = "1 kg" },\n  { value = "2 lb" },\n]')
    mistake = repository.only()
    assert (mistake.key, mistake.line) == ("target.mass[1].value", repository.line(HPGE, "2 lb"))


def test_overlapping_validity_has_the_line_of_the_later_entry(repository: Broken) -> None:
    repository.replace(
        HPGE,
        'distance = { value = "unknown", source = "unknown" }',
        'distance = [\n  { value = "20 m", to = 2020-01-01 },\n  { value = "21 m", from = 2019-12-31 },\n]',
    )
    mistake = repository.only()
    assert (mistake.key, mistake.line) == ("distance[1].from", repository.line(HPGE, "21 m"))
    assert "2020-01-01T00:00:00Z, where the entry before it stops" in mistake.expected


def test_the_id_cannot_stand_in_the_file(repository: Broken) -> None:
    repository.replace(HPGE, 'name = "HPGe"', 'id = "hpge"\nname = "HPGe"')
    mistake = repository.only()
    assert (mistake.key, mistake.line) == ("id", repository.line(HPGE, "id ="))
    assert "id" not in mistake.expected.split()[2:]


def test_a_bad_file_name_is_named(repository: Broken) -> None:
    path = repository.directory / HPGE
    path.rename(path.with_name("HP_Ge.toml"))
    repository.replace("drives.toml", '"hpge"         ', '"HP_Ge"')
    mistake = repository.only()
    assert (mistake.file, mistake.line, mistake.nearest) == ("detectors/HP_Ge.toml", None, "hp-ge")
    assert mistake.found == "the file name 'HP_Ge'"


def test_a_mistake_of_a_whole_table_has_its_line(repository: Broken) -> None:
    repository.replace("beam.toml", 'value = "1000 MeV"', "")
    mistake = repository.only()
    assert (mistake.key, mistake.line) == ("proton_energy", repository.line("beam.toml", "[proton_energy]"))
    assert "neither 'pv' nor 'value'" in mistake.expected


def test_what_a_syntax_error_hides_is_not_missing(repository: Broken) -> None:
    repository.replace("beam.toml", '"1000 MeV"', "1000 MeV")
    repository.replace(HPGE, 'material = "Ge"', "material = Ge")
    mistakes = repository.check()
    assert [(mistake.file, mistake.found) for mistake in mistakes] == [
        ("beam.toml", "value = 1000 MeV"),
        (HPGE, "material = Ge"),
    ]


def test_a_syntax_error_hides_no_other_mistake(repository: Broken) -> None:
    repository.replace(HPGE, 'material = "Ge"', "material = Ge")
    repository.replace(HPGE, 'format = "wavedump"', 'format = "wavdump"')
    repository.replace(HPGE, 'name = "HPGe"', "name = 3")
    assert [mistake.line for mistake in repository.check()] == [
        repository.line(HPGE, "name = 3"),
        repository.line(HPGE, "material = Ge"),
        repository.line(HPGE, "wavdump"),
    ]
