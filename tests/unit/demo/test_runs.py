"""Runs of the demo's DAQs: numbers that are never used twice, pauses, files."""

import json

import numpy as np
import pytest

from nualley.demo.control import ControlReceiver, ControlSender, DaqState, is_listening
from nualley.demo.runs import DIGITIZERS, RUN_WRITERS, next_number, note_number, planned_pause


def test_the_first_run_is_1(tmp_path):
    assert next_number(tmp_path / "absent", tmp_path / "state.json") == 1


def test_numbers_go_on_from_folders_and_from_the_state_file(tmp_path):
    drop, state = tmp_path / "drop", tmp_path / "state.json"
    for name in ("run00041", "run00007", "notes", "run12x"):
        (drop / name).mkdir(parents=True)
    assert next_number(drop, state) == 42
    note_number(state, 99)  # its folder was taken away
    assert next_number(drop, state) == 100
    assert json.loads(state.read_text()) == {"run": 99}
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["state.json"]


def test_about_every_fifth_run_has_a_short_pause_in_its_middle():
    pauses = [planned_pause(1, number, 10.0) for number in range(1000)]
    found = [pause for pause in pauses if pause]
    assert 150 < len(found) < 250
    assert all(2.5 <= pause.start_s < pause.stop_s <= 7.5 for pause in found)
    assert all(pause.stop_s - pause.start_s == pytest.approx(1.0) for pause in found)
    assert planned_pause(1, 7, 10.0) == planned_pause(1, 7, 10.0)


@pytest.mark.parametrize("name", RUN_WRITERS)
def test_a_run_is_files_in_its_own_folder(tmp_path, name):
    folder = tmp_path / "run00042"
    folder.mkdir()
    digitizer = DIGITIZERS[name]
    writer = RUN_WRITERS[name](folder, digitizer)
    writer.write(np.full((3, digitizer.channels, digitizer.record_length), 7, dtype=np.uint16), [0, 8_000, 16_000])
    writer.close(truncated=False)
    names = {"wavedump": {"WaveDumpConfig.txt", "wave0.dat", "wave1.dat"}, "cohar750-hdf5": {"run00042.h5"}}
    assert {path.name for path in folder.iterdir()} == names[name]


def test_a_truncated_run_ends_in_half_an_event_in_its_first_file(tmp_path):
    digitizer = DIGITIZERS["wavedump"]
    writer = RUN_WRITERS["wavedump"](tmp_path, digitizer)
    writer.write(np.zeros((2, 2, digitizer.record_length), dtype=np.uint16), [0, 1])
    writer.close(truncated=True)
    event_B = 24 + 2 * digitizer.record_length
    assert (tmp_path / "wave1.dat").stat().st_size == 2 * event_B
    assert 2 * event_B < (tmp_path / "wave0.dat").stat().st_size < 3 * event_B


STATE = DaqState("CENNS10", "Running", 42, 0.97, 8.0)


def test_states_reach_the_ioc_and_only_the_newest_of_several_counts():
    name = "nualley-test-control"
    receiver, sender = ControlReceiver(name), ControlSender(name)
    assert is_listening(name)
    assert receiver.receive(0.0) == {}
    other = DaqState("AR750", "Stopped", 1, 0.0, 0.0)
    for state in (DaqState("CENNS10", "Stopped", 41, 0.0, 0.0), other, STATE):
        assert sender.send(state)
    assert receiver.receive(5.0) == {"CENNS10": STATE, "AR750": other}
    receiver.close()
    assert not is_listening(name)
    assert not sender.send(STATE)  # nobody there: no error, the next one will tell
    sender.close()


def test_a_hung_ioc_does_not_stop_the_daq():
    name = "nualley-test-hung"
    receiver, sender = ControlReceiver(name), ControlSender(name)
    taken = [sender.send(STATE) for _ in range(10_000)]
    assert not all(taken)
    assert receiver.receive(0.0) == {"CENNS10": STATE}
    receiver.close()
    sender.close()
