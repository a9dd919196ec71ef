"""``nualley archive info``: all that is known of one PV."""

from typing import Any

from nualley.app.archive_plan import read_plan
from nualley.app.site import open_site
from nualley.cli.losses import told_losses
from nualley.cli.options import Output
from nualley.cli.output import print_json, print_table, shown_time, shown_value
from nualley.core import to_json
from nualley.pv import Limits, Metadata, PvProtocol


def info(pv: str, /, *, output: Output = Output()) -> int:
    """Show all that is known of a PV: names, policy, state, and what its numbers meant at any time.

    Example: nualley archive info DEMO:BEAM:POWER

    Parameters
    ----------
    pv : str
        Any of its names.
    """
    site = open_site(output.experiment)
    reader, plan = site.archive(), read_plan(site).plan
    record, (last,) = reader.record(pv), site.last_values([pv])
    metadata, policy = reader.metadata(pv), plan.policy(record.name)
    ledger = record.ledger
    found: dict[str, Any] = {
        "pv": record.name,
        "names": list(dict.fromkeys(part.name for part in plan.aliases.resolve(pv))),
        "aliases": sorted(alias for alias, target in plan.aliases.pv_by_alias.items() if target == record.name),
        "policy": None if policy is None else policy.model_dump(mode="json", exclude_defaults=True),
        "is_paused": plan.is_paused(record.name),
        "state": last.state,
        "reason": last.reason,
        "protocol": record.protocol or None,
        "ioc": record.ioc or None,
        "value_type": record.value_type,
        "value": last.value,
        "time_ns": last.time_ns,
        "first_ns": reader.first_ns(pv) if ledger.stored else None,
        "ledger": {name: getattr(ledger, name) for name in ("received", "stored", "quarantined", "filtered", "gaps")},
        "filtered": dict(record.filtered),
        "metadata": [_told(entry) for entry in metadata],
    }
    if output.is_json:
        print_json(found)
        return told_losses(site)
    _print({**found, "state": last.standing}, metadata)
    return told_losses(site)


def _told(entry: Metadata) -> dict[str, Any]:
    fields: dict[str, Any] = to_json(entry)
    del fields["pv"]
    return fields


def _print(found: dict[str, Any], metadata: list[Metadata]) -> None:
    filtered = ", ".join(f"{n} {reason}" for reason, n in sorted(found["filtered"].items()))
    policy = "" if found["policy"] is None else ", ".join(f"{k} = {v}" for k, v in found["policy"].items())
    rows = [
        ("names", ", ".join([*found["names"], *found["aliases"]])),
        ("policy", "none: it is not archived" if found["policy"] is None else policy or "every update"),
        ("state", ", ".join(filter(None, (found["state"], _origin(found["protocol"], found["ioc"]))))),
        ("value", f"{shown_value(found['value'])} at {shown_time(found['time_ns'])}"),
        ("first row", shown_time(found["first_ns"])),
        ("account", ", ".join(f"{n} {name}" for name, n in found["ledger"].items())),
        ("left out", filtered or "nothing"),
    ]
    print_table((found["pv"], ""), rows)
    if metadata:
        print_table(
            ("since (UTC)", "type", "unit", "precision", "labels", "limits"),
            [
                [
                    shown_time(entry.time_ns),
                    entry.value_type,
                    entry.unit,
                    "" if entry.precision is None else entry.precision,
                    " | ".join(entry.labels),
                    _limits(entry.limits),
                ]
                for entry in metadata
            ],
        )


def _origin(protocol: str | None, ioc: str | None) -> str:
    """Return where the values came from; empty where nothing came."""
    return " from ".join(filter(None, ("" if protocol == PvProtocol.IMPORT else protocol, ioc)))


def _limits(limits: Limits) -> str:
    told = {key: value for key, value in to_json(limits).items() if value is not None}
    return ", ".join(f"{key} {value:g}" for key, value in told.items() if isinstance(value, int | float))
