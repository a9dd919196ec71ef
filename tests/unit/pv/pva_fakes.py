"""PV Access played by us: subscriptions and questions whose updates are real p4p values."""

from collections import deque

from p4p import Value
from p4p.client.raw import Disconnected, Finished
from p4p.nt import NTScalar

SERVER = "127.0.0.1:5075"
NUMBER = NTScalar.buildType("d", display=True)


def number(value, *, time_ns, **fields):
    """Return an update of a number; other fields by their names with ``__`` for the dot."""
    made = Value(NUMBER, {} if value is None else {"value": value})
    if time_ns is not None:
        made["timeStamp.secondsPastEpoch"], made["timeStamp.nanoseconds"] = divmod(time_ns, 10**9)
    for name, field in fields.items():
        made[name.replace("__", ".")] = field
    return made


class FakeSubscription:
    """What waits of one PV."""

    def __init__(self, pv, on_news, queue, events):
        self.pv, self.queue, self.events = pv, queue, events
        self.is_open = True
        self._on_news, self._waiting, self._is_empty = on_news, deque(), True

    def put(self, update):
        """Let an update wait; where nothing waited, that is told, as p4p does."""
        self._waiting.append(update)
        if self._is_empty:
            self._is_empty = False
            self._on_news()

    def pop(self):
        if self._waiting:
            return self._waiting.popleft()
        self._is_empty = True
        return None

    def close(self):
        self.is_open = False


class FakeQuestion:
    def __init__(self, pv, on_answer):
        self.pv, self.answer, self.is_open = pv, on_answer, True

    def close(self):
        self.is_open = False


class FakePva:
    """A client of PV Access: whoever tests says what its servers send."""

    def __init__(self):
        self.made = []
        self.questions = []
        self.server_by_pv = {}
        self.n_reports = 0
        self.is_open = True

    def monitor(self, pv, on_news, *, queue, events):
        self.made.append(FakeSubscription(pv, on_news, queue, events))
        self.server_by_pv.setdefault(pv, SERVER)
        return self.made[-1]

    def ask(self, pv, on_answer):
        self.questions.append(FakeQuestion(pv, on_answer))
        return self.questions[-1]

    def servers(self):
        self.n_reports += 1
        return dict(self.server_by_pv)

    def is_lost(self, trouble):
        return isinstance(trouble, Disconnected) and not isinstance(trouble, Finished)

    def close(self):
        self.is_open = False

    def of(self, pv):
        """Return the newest subscription of a PV."""
        return [made for made in self.made if made.pv == pv][-1]
