"""When a PV is archived: while another one has a certain value."""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nualley.archive.names import is_valid_pv_name

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r'(?:"(?P<quoted>[^"]+)"|(?P<bare>[^\s"]+))(?:\s+(?P<sign><=|>=|==|!=|<|>)\s+(?P<limit>\S+))?')


@dataclass(frozen=True, slots=True)
class Condition:
    """When a PV is archived: while another one has such a value.

    Parameters
    ----------
    pv : str
        The other PV.
    sign : str
        How its value is compared: one of <, <=, ==, !=, >=, >.
    limit : float
        With what.

    Examples
    --------
    >>> Condition.parse("LAB:PUMP > 0.5").holds(1)
    True
    >>> Condition.parse("LAB:PUMP").holds(0)
    False
    """

    pv: str
    sign: str = "!="
    limit: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Return the condition of ``PV``, which is on while it is not 0, or ``PV SIGN NUMBER``.

        The name may stand in double quotes, as it does in expressions of computed PVs.

        Raises
        ------
        ValueError
            Where it has another form.
        """
        found = _CONDITION.fullmatch(text.strip())
        pv = (found["quoted"] or found["bare"]) if found else ""
        if found is None or not is_valid_pv_name(pv):
            raise ValueError(f"{text!r:.80} is no condition: write 'PV', or such as 'PV > 0.5' with spaces")
        return cls(pv, found["sign"] or "!=", float(found["limit"] or 0.0))

    def holds(self, value: object) -> bool:
        """Return whether a value of the other PV fulfils it; what is no number does: better too much than nothing."""
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            return True
        return _COMPARISONS[self.sign](value, self.limit)
