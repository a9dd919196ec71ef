"""A clock that nobody sets."""

import time
from pathlib import Path

from nualley.replicas.watched import SteadyMoment


class SystemSteadyClock:
    """`replicas.ports.SteadyClock` by the time since the machine began."""

    def now(self) -> SteadyMoment:
        """Return the moment; sleep of the machine counts."""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return SteadyMoment(boot, time.clock_gettime_ns(time.CLOCK_BOOTTIME))
