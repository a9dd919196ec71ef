"""Who is who."""

import pytest
from pydantic import ValidationError

from nualley.experiment import People, Role


def test_people_in_the_order_of_the_file() -> None:
    people = People.model_validate(
        {
            "people": {
                "z": {"name": "Zoe", "roles": ["shifter", "expert"], "detectors": ["csi-na"]},
                "a": {"name": "Ada", "email": "ada@example.org", "roles": ["shifter"]},
                "m": {"name": "Max"},
            }
        }
    )
    assert list(people.people) == ["z", "a", "m"]
    assert people.people["z"].roles == (Role.SHIFTER, Role.EXPERT)
    assert people.people["m"].roles == ()


@pytest.mark.parametrize(
    "wrong", [{"roles": ["king"]}, {"email": "nowhere"}, {"email": "a b@c"}, {"phone": "1"}, {"name": ""}]
)
def test_wrong_entries_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        People.model_validate({"people": {"a": {"name": "Ada", **wrong}}})
