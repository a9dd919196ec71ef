"""Settings of ingest."""

import pytest
from pydantic import ValidationError

from nualley.ingest import IngestSettings


def test_defaults() -> None:
    settings = IngestSettings()
    assert (settings.settle_s, settings.copies, settings.poll_s) == (60.0, 1, 2.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"settle_s": -1},
        {"settle_s": float("inf")},
        {"copies": 0},
        {"copies": 1.5},
        {"poll_s": 0},
        {"settle": 60},
        {"retry_limit_s": 0},
        {"waiting_limit_s": -1},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        IngestSettings.model_validate(wrong)
