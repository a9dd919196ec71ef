"""Orders over a local socket: answered one by one, refused in words, and never the end of the process."""

import asyncio
import contextlib
import json

import pytest

from nualley.app import control
from nualley.app.control import control_socket, send_order
from nualley.app.errors import NoControlError, OrderError
from nualley.core import ExitCode, NualleyError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "c.ctl"


async def double(fields):
    return {"n": 2 * fields["n"]}


async def refuse(_fields):
    raise OrderError("no such thing", where="here", do="ask for another")


async def fail(_fields):
    raise RuntimeError("nobody foresaw this")


ORDERS = {"double": double, "refuse": refuse, "fail": fail}


async def ask(path, order, limit_s=5.0, **fields):
    return await send_order(path, order, fields, timeout_s=limit_s)


async def raw(path, *lines):
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"".join(lines))
    with contextlib.suppress(ConnectionError):
        await writer.drain()
        writer.write_eof()
    found = [json.loads(line) async for line in reader]
    writer.close()
    return found


async def test_an_order_is_answered_and_only_its_user_may_open_the_socket(path):
    async with control_socket(path, ORDERS):
        assert path.stat().st_mode & 0o777 == 0o600
        assert await ask(path, "double", n=21) == {"n": 42}
    assert not path.exists()


async def test_a_refusal_comes_in_its_words_with_its_code(path):
    async with control_socket(path, ORDERS):
        with pytest.raises(NualleyError) as refused:
            await ask(path, "refuse")
    assert (refused.value.what, refused.value.where, refused.value.do) == ("no such thing", "here", "ask for another")
    assert refused.value.exit_code == ExitCode.USAGE


async def test_an_order_that_fails_ends_nothing(path):
    async with control_socket(path, ORDERS):
        with pytest.raises(NualleyError, match="nobody foresaw"):
            await ask(path, "fail")
        assert await ask(path, "double", n=1) == {"n": 2}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{\n", "is no order"),
        (b"[" * 100_000 + b"\n", "is no order"),
        (b'{"order": "dubble"}\n', "did you mean 'double'?"),
        (b'{"order": 5}\n', "one version of nualley"),
        (b"[]\n", "is no order of this process"),
    ],
)
async def test_what_is_no_order_is_told(path, line, said):
    async with control_socket(path, ORDERS):
        answers = await raw(path, line, b'{"order": "double", "n": 2}\n')
    assert said in json.dumps(answers[0])
    assert answers[1] == {"done": {"n": 4}}


async def test_an_order_that_was_cut_short_is_not_carried_out(path):
    async with control_socket(path, ORDERS):
        assert await raw(path, b'{"order": "double", "n": 2}') == []


async def test_an_endless_order_is_sent_away(path, monkeypatch):
    monkeypatch.setattr(control, "LONGEST_B", 1000)
    async with control_socket(path, ORDERS):
        (answer,) = await raw(path, b"x" * 5000 + b"\n")
        assert "more than 1000 B" in answer["error"]["what"]
        assert await ask(path, "double", n=1) == {"n": 2}


async def test_who_says_nothing_keeps_nobody_out(path, monkeypatch):
    monkeypatch.setattr(control, "PATIENCE_S", 0.05)
    monkeypatch.setattr(control, "MOST_CLIENTS", 2)
    async with control_socket(path, ORDERS):
        silent = [await asyncio.open_unix_connection(path) for _ in range(2)]
        async with asyncio.timeout(10):
            for reader, writer in silent:
                assert await reader.read() == b""
                writer.close()
        assert await ask(path, "double", n=1) == {"n": 2}


async def test_what_a_dead_process_left_is_replaced(path):
    path.write_text("left")
    async with control_socket(path, ORDERS):
        assert await ask(path, "double", n=1) == {"n": 2}


async def test_nobody_there_is_told(path):
    with pytest.raises(NoControlError, match="No such file") as refused:
        await ask(path, "double", n=1)
    assert refused.value.where == str(path)


async def test_no_answer_in_time_says_that_it_may_still_happen(path):
    async def sleep(_fields):
        await asyncio.sleep(60)

    async with control_socket(path, {"sleep": sleep}):
        with pytest.raises(NoControlError, match="may still do what it was asked"):
            await ask(path, "sleep", limit_s=0.05)


async def test_a_process_that_ends_meanwhile_is_told(path):
    async def hang(_fields):
        await asyncio.sleep(60)

    async with contextlib.AsyncExitStack() as ending:
        await ending.enter_async_context(control_socket(path, {"hang": hang}))
        asking = asyncio.create_task(ask(path, "hang"))
        await asyncio.sleep(0.1)
        await ending.aclose()
        with pytest.raises(NoControlError, match="ended before it answered"):
            await asking
