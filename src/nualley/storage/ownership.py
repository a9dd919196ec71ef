"""Who owns a directory: rules of the experiment, the first that matches wins; trash and marker are nualley's own."""

import json
import re
from collections.abc import Collection, Sequence

import xxhash

from nualley.storage.models import MARKER_NAME, NOBODY, TRASH_NAME, Owner, OwnershipRule
from nualley.storage.patterns import KEYS, to_regex

_LONGEST_RUN = 18  # digits that int64 holds
# before all rules: what was taken away is nobody's data any more, and what nualley itself needs is never nobody's
_OUR_RULES = (
    OwnershipRule(f"**/{TRASH_NAME}", stage="trash", owner="nualley"),
    OwnershipRule(MARKER_NAME, owner="nualley"),
)


class Ownership:
    """The rules for one drive, compiled.

    Parameters
    ----------
    rules : sequence of OwnershipRule
        In their order; those for other drives are left out.
    drive : str
        Name of the drive.
    detectors : collection of str
        Ids of the experiment's detectors: ``{detector}`` takes nothing else.

    Notes
    -----
    All rules are one regular expression, whose alternatives are tried in their order in machine code: a directory costs
    about a microsecond for each rule, and files cost nothing.

    Examples
    --------
    >>> rules = [OwnershipRule("{detector}/raw/{run}", stage="raw"), OwnershipRule("users/{owner}", stage="user")]
    >>> ownership = Ownership(rules, "data1", ["cenns-10"])
    >>> ownership.owner_of(b"cenns-10/raw/42/more")
    Owner(detector='cenns-10', stage='raw', run=42, owner=None)
    >>> ownership.owner_of(b"tmp") == NOBODY
    True
    """

    def __init__(self, rules: Sequence[OwnershipRule], drive: str, detectors: Collection[str]) -> None:
        self._rules = [*_OUR_RULES, *(rule for rule in rules if not rule.drives or drive in rule.drives)]
        # an empty group closes each rule: its number says which one matched
        alternatives = [
            f"{to_regex(rule.path, f'r{number}_', detectors)}(?P<r{number}>)" for number, rule in enumerate(self._rules)
        ]
        self._pattern = re.compile("|".join(alternatives).encode(), re.DOTALL)
        self._groups = [self._taken_groups(number) for number in range(len(self._rules))]
        told = [[rule.path, rule.detector, rule.stage, rule.owner] for rule in self._rules]
        self.digest = xxhash.xxh3_64_hexdigest(json.dumps([told, sorted(detectors)]).encode())
        """Of all that decides: two with the same digest say the same of every directory."""

    def owner_of(self, directory: bytes) -> Owner:
        """Return whose a directory is.

        Parameters
        ----------
        directory : bytes
            Its path below the drive's root; empty for the root. The marker in the root counts as one.

        Returns
        -------
        Owner
            `NOBODY` where no rule matches; of what lies in the trash it is nualley, stage ``trash``.
        """
        found = self._pattern.match(directory)
        if found is None or found.lastgroup is None:
            return NOBODY
        number = int(found.lastgroup[1:])
        rule = self._rules[number]
        taken = {key: found[group].decode(errors="backslashreplace") for key, group in self._groups[number].items()}
        run = taken.get("run", "")
        return Owner(
            detector=rule.detector or taken.get("detector"),
            stage=rule.stage or taken.get("stage"),
            run=int(run) if run and len(run.lstrip("0")) <= _LONGEST_RUN else None,
            owner=rule.owner or taken.get("owner"),
        )

    def _taken_groups(self, number: int) -> dict[str, str]:
        names = self._pattern.groupindex
        return {key: f"r{number}_{key}" for key in KEYS if f"r{number}_{key}" in names}
