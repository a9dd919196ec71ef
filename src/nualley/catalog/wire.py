"""How the catalog goes over HTTP: where, and what a copy says of itself."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from nualley.catalog.errors import CatalogDamaged
from nualley.catalog.models import CatalogContent

API = "/api/catalog"
COPY_PATH = f"{API}/copy"
CALLS_PATH = f"{API}/calls"
TOKEN_VARIABLE = "NUALLEY_CATALOG_TOKEN"  # noqa: S105  # the name of a variable
"""Variable of the environment with the token for the catalog of another host."""

CONTENT_HEADER = "Nualley-Content"
"""Header of a copy: what it holds, in JSON."""


def write_content(content: CatalogContent) -> str:
    """Return what a catalog holds as one line of JSON in ASCII."""
    return json.dumps(asdict(content), separators=(",", ":"))


def parse_content(found: Mapping[str, Any]) -> CatalogContent:
    """Return what a catalog holds from its JSON object.

    Parameters
    ----------
    found : mapping
        As `write_content` writes it; further keys are passed over.

    Raises
    ------
    CatalogDamaged
        Where it is none.
    """
    try:
        return CatalogContent(
            str(found["version"]),
            {str(name): int(n_rows) for name, n_rows in found["n_rows_by_table"].items()},
            str(found["xxh3_128"]),
            {str(name): str(digest) for name, digest in found["xxh3_128_by_table"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CatalogDamaged(
            f"what a copy is said to hold cannot be read: {type(error).__name__} {error}",
            do="is it written by a newer nualley? Else make a new copy",
        ) from error
