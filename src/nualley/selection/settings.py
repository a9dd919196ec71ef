"""A selection as text: ``selections/NAME.toml`` of the experiment repository."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from nualley.catalog import check_selection_name
from nualley.selection.parser import parse_expression


def _expression(text: str) -> str:
    parse_expression(text)
    return text


class SelectionFile(BaseModel):
    """A selection, defined by text; the file's name is the selection's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(check_selection_name)] = Field(description="Name of the selection.")
    description: str = Field(default="", description="What it is for.")
    expression: Annotated[str, AfterValidator(_expression)] = Field(
        description="What it selects, in the language of docs/reference/selections.md."
    )
