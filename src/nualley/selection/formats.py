"""The formats of run lists of others."""

from typing import Literal, TypeAlias

ListFormat: TypeAlias = Literal["cms-golden", "legend-yaml", "csv"]
