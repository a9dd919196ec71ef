"""What a PostgreSQL server's refusals mean: error codes in, this domain's errors out."""

from sqlalchemy.exc import DBAPIError

from nualley.catalog.adapters.sqlite_file import RESTORE
from nualley.catalog.errors import CatalogDamaged, CatalogUnreachable, CatalogUnwritable
from nualley.core import NualleyError, UsageError

TOO_LARGE, SMALLER = "a number does not fit into the catalog's 64 bits", "give a smaller one"
"""What is said of a number that no database holds, and what to do."""

_Remedy = tuple[type[NualleyError], str, str]
_LOGIN = (
    "look at the user in catalog.url, and at the password in PGPASSWORD or ~/.pgpass (libpq's password file, mode 600)"
)
_TRY_AGAIN = "look at the server's log, then try again; what was acknowledged is there"

# by code, else by its class: https://www.postgresql.org/docs/15/errcodes-appendix.html
_REMEDIES: dict[str, _Remedy] = {
    "08": (CatalogUnreachable, "the connection to the database server is lost", _TRY_AGAIN),
    "28": (CatalogUnreachable, "the database server does not let this user in", _LOGIN),
    "3D": (CatalogUnreachable, "the server has no such database", "make it: createdb, or correct catalog.url"),
    "40": (CatalogUnreachable, "another process changed the same rows", "try again"),
    "53": (CatalogUnwritable, "the database server has no room or memory left", "look at the server's drive and log"),
    "55P03": (
        CatalogUnreachable,
        "another process keeps the catalog locked",
        "look which nualley process is stuck (pg_stat_activity shows them), then try again",
    ),
    "57P": (CatalogUnreachable, "the database server stops or starts just now", _TRY_AGAIN),
    "57014": (CatalogUnreachable, "the database server cancelled the question", _TRY_AGAIN),
    "58": (CatalogUnwritable, "the drive under the database server failed", "look at the server's log and drive"),
    "22003": (UsageError, TOO_LARGE, SMALLER),
    "25006": (
        CatalogUnwritable,
        "the catalog cannot be written to: the server is a read-only copy",
        "name the primary server in catalog.url",
    ),
    "42501": (
        CatalogUnwritable,
        "this user of the database server may not do that",
        "make the user the owner of the database, or give it rights on its tables",
    ),
    "42P01": (CatalogDamaged, "the catalog lacks a table", RESTORE),
    "42703": (CatalogDamaged, "the catalog lacks a column", RESTORE),
    "XX": (CatalogDamaged, "the catalog is damaged", RESTORE),
}
_BY_WORDS: tuple[tuple[str, _Remedy], ...] = (
    # libpq gives no code where a connection does not come about, only the server's words
    ("password", _REMEDIES["28"]),
    ("authentication failed", _REMEDIES["28"]),
    ("no pg_hba.conf entry", _REMEDIES["28"]),
    ("does not exist", _REMEDIES["3D"]),
    ("starting up", _REMEDIES["57P"]),
    ("shutting down", _REMEDIES["57P"]),
)
_SILENT: _Remedy = (
    CatalogUnreachable,
    "the database server does not answer",
    "look whether it runs, and at host and port in catalog.url",
)


def server_refusal(error: DBAPIError, where: str) -> NualleyError | None:
    """Return what a server's refusal means, None where it is none of the world's doing.

    Parameters
    ----------
    error : DBAPIError
        As SQLAlchemy passes it on.
    where : str
        The catalog, for the text.

    Returns
    -------
    NualleyError or None
        With the server's words, which never hold a password.
    """
    code = getattr(error.orig, "sqlstate", None) or ""
    said = " ".join(str(error.orig).split("\n")[0].split())
    found = next((_REMEDIES[key] for key in (code, code[:3], code[:2]) if key in _REMEDIES), None)
    if found is None and not code and (error.connection_invalidated or type(error).__name__ == "OperationalError"):
        found = next((remedy for words, remedy in _BY_WORDS if words in said), _SILENT)
    if found is None:
        return None
    kind, what, do = found
    return kind(f"{what}: {said}", where=where, do=do)
