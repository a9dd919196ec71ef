"""How much each program may send: a bucket that fills again with time."""

from dataclasses import dataclass, field

from nualley.core import SECOND_NS, Clock

BURST_S = 10.0
"""A full bucket holds what may come in so long [s]."""


@dataclass(slots=True)
class _Bucket:
    amount: float
    time_ns: int


@dataclass(slots=True)
class Allowance:
    """Counts what each sends against a rate.

    Parameters
    ----------
    rate_Hz : float
        How many may come a second in the long run [Hz].
    clock : Clock
        Says when they came.
    """

    rate_Hz: float
    clock: Clock
    _buckets: dict[str, _Bucket] = field(default_factory=dict, init=False)

    def wait_s(self, name: str, n: int) -> float:
        """Take ``n`` out of a bucket, or say how long it takes until there are so many.

        Parameters
        ----------
        name : str
            Whose bucket.
        n : int
            How many.

        Returns
        -------
        float
            0 where they were taken; else after how long to ask again [s]. More than a bucket holds are let through
            once it is full, and have to be waited for afterwards.
        """
        now_ns, most = self.clock.now_ns(), self.rate_Hz * BURST_S
        bucket = self._buckets.setdefault(name, _Bucket(most, now_ns))
        gone_s = max(0, now_ns - bucket.time_ns) / SECOND_NS
        bucket.amount, bucket.time_ns = min(most, bucket.amount + gone_s * self.rate_Hz), now_ns
        missing = min(n, most) - bucket.amount
        if missing > 0:
            return missing / self.rate_Hz
        bucket.amount -= n
        return 0.0
