"""Templates: the status becomes the fragments of the page."""

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path

import xxhash
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape

from nualley.web import words
from nualley.web.hub import Fragment
from nualley.web.models import Status, ValueRow
from nualley.web.picture import SYMBOLS, narrow_picture, wide_picture
from nualley.web.values import rank

TEMPLATES = Path(__file__).with_name("templates")
STATIC = Path(__file__).with_name("static")
PARTS = ("processes", "alley", "beam", "runs", "archive", "drives", "values_summary")
"""Fragments of the page, each from its own template; rows of values are fragments of their own."""

_N_ROWS_KEPT = 20_000


def make_environment() -> Environment:
    """Return where templates are found, and what they write numbers and times with."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("count", "power", "pot", "percent", "number", "size", "duration", "moment", "severity"):
        environment.filters[name] = getattr(words, name)
    environment.filters["machine_moment"] = words.machine_moment
    return environment


@cache
def _page_environment() -> Environment:
    """Return the environment of the status page: made once, for templates are slow to compile."""
    environment = make_environment()
    environment.filters["rank"] = rank
    environment.globals["SYMBOLS"] = SYMBOLS
    return environment


class Pages:
    """The templates of the pages.

    Later pages add a template that extends ``base.html``, and their fragments to what the stream carries.
    """

    def __init__(self) -> None:
        environment = _page_environment()
        self._parts: Mapping[str, Template] = {name: environment.get_template(f"parts/{name}.html") for name in PARTS}
        self._value_row = environment.get_template("parts/value_row.html")
        self._status = environment.get_template("status.html")
        # a row is written again only where it changed: thousands of PVs, once a second
        self._row_html = lru_cache(maxsize=_N_ROWS_KEPT)(self._write_row)

    def fragments(self, status: Status) -> list[Fragment]:
        """Return all fragments of the status page.

        Parameters
        ----------
        status : Status
            What the page says.

        Returns
        -------
        list of Fragment
            Ages are not in them: the browser counts those itself, so that a fragment changes only with its data.
        """
        fragments = [self._part(name, status) for name in PARTS]
        rows = [Fragment(row_id(row.pv), row, self._row_html(row), within="values-body") for row in status.values.rows]
        body = f'<tbody id="values-body">{"".join(row.html for row in rows)}</tbody>'
        # rows that come or go replace the whole body; each other change replaces its row
        return [*fragments, Fragment("values-body", frozenset(row.target for row in rows), body), *rows]

    def _part(self, name: str, status: Status) -> Fragment:
        pictures = (
            {"wide": wide_picture(status.alley.placed), "narrow": narrow_picture(status.alley.placed)}
            if name == "alley"
            else {}
        )
        html = self._parts[name].render(status=status, **pictures)
        return Fragment(name.replace("_", "-"), html, html)

    def _write_row(self, row: ValueRow) -> str:
        return self._value_row.render(row=row, row_id=row_id(row.pv))

    def status_page(self, status: Status, html_by_target: Mapping[str, str], *, event_id: str, version: str) -> str:
        """Return the status page.

        Parameters
        ----------
        status : Status
            What the header says.
        html_by_target : mapping of str to str
            Newest state of the fragments.
        event_id : str
            Id of the event after which the stream goes on.
        version : str
            Version of the page's code.

        Returns
        -------
        str
            HTML.
        """
        return self._status.render(status=status, html=html_by_target, event_id=event_id, version=version)


def row_id(pv: str) -> str:
    """Return the id of a PV's row in the page: names of PVs hold what ids may not.

    Examples
    --------
    >>> row_id("DEMO:BEAM:POWER")[:3]
    'pv-'
    """
    return f"pv-{xxhash.xxh3_64_hexdigest(pv.encode())}"
