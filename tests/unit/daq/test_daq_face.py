"""The face of daq: its names, and how little it imports."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from nualley import daq


def test_every_name_of_the_face_is_there_and_documented() -> None:
    for name in daq.__all__:
        assert getattr(daq, name).__doc__


def test_the_face_imports_nothing_heavy() -> None:
    program = (
        "import sys, nualley.daq, nualley.testing;"
        "print(sorted({'numpy', 'pyarrow', 'h5py', 'hdf5plugin'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "wrong",
    [{"record_length": 0}, {"sample_bits": 12}, {"channel": -1}, {"sample_period_ns": 0}, {"chan": 1}],
)
def test_settings_refuse_what_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        daq.DaqSettings(**wrong)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in daq.DaqSettings.model_fields.values())


def test_a_defect_is_json_as_commands_print_it() -> None:
    defect = daq.Defect(daq.DefectKind.TRUNCATED_EVENT, 7, "why")
    assert defect.to_json() == {"kind": "truncated-event", "offset_B": 7, "detail": "why"}
