"""Light of liquid argon: what an analysis of the demo's waveforms would find."""

import numpy as np
import pytest

from nualley.demo.pulses import TRIPLET_NS, Digitizer, draw_event, draw_events
from nualley.demo.runs import DIGITIZERS


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("digitizer", DIGITIZERS.values(), ids=DIGITIZERS)
def test_waveforms_fit_the_adc_and_rest_on_their_baseline(rng, digitizer):
    events = draw_events(rng, digitizer, 20, 10)
    assert events.shape == (30, digitizer.channels, digitizer.record_length)
    assert events.dtype == np.uint16
    assert events.max() < 2**digitizer.bits
    before = events[:, :, : digitizer.record_length // 6].astype(float)
    assert before.mean() == pytest.approx(digitizer.baseline_ADC, abs=0.5)
    assert before.std() == pytest.approx(digitizer.noise_ADC, rel=0.2)
    assert (events.min(axis=2) < digitizer.baseline_ADC - 8).any(axis=1).all()  # every event has a pulse


def test_no_events_are_an_empty_array_of_the_right_shape(rng):
    digitizer = DIGITIZERS["wavedump"]
    assert draw_events(rng, digitizer, 0, 0).shape == (0, 2, 1536)


def test_same_generator_same_events():
    digitizer = DIGITIZERS["wavedump"]
    first, second = (draw_events(np.random.default_rng(5), digitizer, 3, 3) for _ in range(2))
    np.testing.assert_array_equal(first, second)


IDEAL = Digitizer(channels=1, record_length=3000, sample_ns=4.0, bits=16, baseline_ADC=60_000.0, noise_ADC=0.0)


def light(rng, recoil, n=400):
    waveforms = np.stack([draw_event(rng, IDEAL, recoil)[0] for _ in range(n)])
    return IDEAL.baseline_ADC - waveforms.astype(float)


def f90(pulses):
    start = int(0.2 * IDEAL.record_length)
    prompt = pulses[:, start : start + 23].sum(axis=1)
    return prompt / pulses[:, start : start + 1700].sum(axis=1)


def test_nuclear_recoils_are_told_from_electron_recoils_by_f90(rng):
    electron, nuclear = (f90(light(rng, recoil)) for recoil in ("electron", "nuclear"))
    assert np.median(electron) == pytest.approx(0.30, abs=0.05)
    assert np.median(nuclear) == pytest.approx(0.72, abs=0.07)
    assert (electron < 0.5).mean() > 0.9
    assert (nuclear > 0.5).mean() > 0.85


def test_the_late_light_decays_in_1_6_us(rng):
    mean = light(rng, "electron").mean(axis=0)
    start = int(0.2 * IDEAL.record_length)
    early = mean[start + 50 : start + 450].sum()
    late = mean[start + 450 : start + 850].sum()
    assert 400 * IDEAL.sample_ns / np.log(early / late) == pytest.approx(TRIPLET_NS, rel=0.08)
