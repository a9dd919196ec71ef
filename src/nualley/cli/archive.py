"""``nualley archive``: last values and history of archived PVs."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import App, Parameter

from nualley.app.site import open_site
from nualley.archive import LastValue
from nualley.cli.losses import told_losses
from nualley.cli.options import Output, Time, stretch_ns
from nualley.cli.output import print_json, print_note, print_table, shown_time
from nualley.core import format_duration, format_time

app = App(name="archive", help="Archived PVs: last values and history.")
_ARRAY_SHOWN = 3


@app.command
def pvs(*, output: Output = Output()) -> int:
    """List the archived PVs and their account.

    Example: nualley archive pvs
    """
    site = open_site(output.experiment)
    reader = site.archive()
    registry = reader.registry()
    now = {value.pv: value for value in reader.last()}
    found = [
        {
            "pv": record.name,
            "value_type": record.value_type,
            "unit": now[record.name].unit,
            "protocol": record.protocol,
            "state": now[record.name].state,
            "ioc": record.ioc,
            "received": record.ledger.received,
            "stored": record.ledger.stored,
            "quarantined": record.ledger.quarantined,
            "filtered": record.ledger.filtered,
            "gaps": record.ledger.gaps,
            "last_heard_ns": now[record.name].last_heard_ns or None,
        }
        for record in sorted(registry.by_code.values(), key=lambda record: record.name)
    ]
    if output.is_json:
        print_json(found)
    else:
        columns = ("pv", "value_type", "unit", "state", "received", "stored", "quarantined", "filtered", "gaps")
        print_table(columns, [[row[column] for column in columns] for row in found], right=range(4, 9))
    return told_losses(site)


@app.command
def last(*pv: str, output: Output = Output()) -> int:
    """Show the last value of PVs.

    Example: nualley archive last DEMO:BEAM:POWER

    Parameters
    ----------
    pv : str
        Names of PVs; none means all.
    """
    site = open_site(output.experiment)
    found = site.archive().last(pv)
    if output.is_json:
        keys = ("pv", "time_ns", "value", "severity", "status", "unit", "age_s", "state")
        print_json([{key: getattr(value, key) for key in keys} for value in found])
    else:
        _print_last(found)
    return told_losses(site)


def _print_last(found: Sequence[LastValue]) -> None:
    print_table(
        ("pv", "value", "unit", "age", "state", "severity", "time (UTC)"),
        [
            [
                value.pv,
                _shown_value(value),
                value.unit,
                None if value.age_s is None else format_duration(value.age_s),
                value.state,
                None if value.severity is None else ("ok", "minor", "major", "invalid")[value.severity],
                shown_time(value.time_ns),
            ]
            for value in found
        ],
        right=(1, 3),
    )


def _shown_value(value: LastValue) -> str | None:
    return f"{value.value:.6g}" if isinstance(value.value, float) else _shown(value.value)


def _shown(value: object) -> str | None:
    if isinstance(value, list):
        items = ", ".join(f"{item:.4g}" if isinstance(item, float) else str(item) for item in value[:_ARRAY_SHOWN])
        return f"[{items}, … {len(value)}]" if len(value) > _ARRAY_SHOWN else f"[{items}]"
    return None if value is None else str(value)


@app.command
def get(
    pv: str,
    /,
    *,
    from_: Annotated[Time, Parameter(name="--from")] = "-1h",
    to: Time = "now",
    output: Output = Output(),
) -> int:
    """Show the history of a PV; the sample that holds at --from comes first, gaps are rows.

    Example: nualley archive get DEMO:BEAM:POWER --from -10min

    Parameters
    ----------
    pv : str
        Name of the PV.
    from_ : str
        Begin.
    to : str
        End, not included.
    """
    start_ns, stop_ns = stretch_ns(from_ or "-1h", to or "now")
    site = open_site(output.experiment)
    reader = site.archive()
    record = reader.record(pv)
    table = reader.read(pv, start_ns, stop_ns)
    unit = record.metadata.unit if record.metadata else ""
    columns = ("time_ns", "value", "severity", "status", "kind")
    if output.is_json:
        # an enum's values are indices: these are their words
        labels = {"labels": list(record.metadata.labels)} if record.metadata and record.metadata.labels else {}
        values = {name: table[name].to_pylist() for name in columns}
        print_json({"pv": pv, "unit": unit, **labels, "columns": values})
    else:
        rows = zip(*(table[name].to_pylist() for name in columns), strict=True)
        print_table(
            ("time (UTC)", f"value [{unit}]" if unit else "value", "severity", "kind"),
            [
                [format_time(time_ns), _shown(record.shown(value)), severity, kind]
                for time_ns, value, severity, _, kind in rows
            ],
            right=(1,),
        )
        if not len(table):
            print_note(f"no rows: {pv} was {'never connected' if not record.has_connected else 'not archived then'}")
    return told_losses(site)
