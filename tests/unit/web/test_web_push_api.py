"""Pushing values over HTTP: only with a token, only so much, and answered as it is."""

import json
from dataclasses import replace

import pytest

from nualley.app.errors import NoControlError
from nualley.core import SECOND_NS
from nualley.web.allowance import BURST_S, Allowance
from nualley.web.errors import TokensError
from nualley.web.push_api import PATH
from nualley.web.tokens import Tokens
from tests.unit.web.fakes import FakeClock
from tests.unit.web.test_web_archive_api import browsing

TOKEN = "0123456789abcdef" * 4
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BODY = {"samples": [{"pv": "LAB:T1", "value": 1.5}]}
DONE = {"received": 1, "stored": 1, "filtered": 0, "quarantined": 0, "refused": []}


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# programs\ndaq-pc {TOKEN}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def pushing(site, tokens):
    """A site that takes pushes: what it answers, and what it got."""
    web = site.configuration.web.model_copy(
        update={"push_tokens_file": tokens, "push_size_B": 2000, "push_rate_Hz": 1.0}
    )
    site.configuration = replace(site.configuration, web=web)
    site.push_part = dict(DONE)
    return site


async def ask(site, content=None, headers=BEARER, **others):
    async with browsing(site) as client:
        return await client.post(
            PATH, content=json.dumps(BODY) if content is None else content, headers=headers, **others
        )


async def test_a_push_is_handed_on_in_the_name_of_its_token(pushing):
    answer = await ask(pushing)
    assert (answer.status_code, answer.json()) == (200, DONE)
    ((push, pusher),) = pushing.pushed
    assert pusher == "daq-pc"
    assert [(sample.pv, sample.value) for sample in push.samples] == [("LAB:T1", 1.5)]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}])
async def test_without_its_token_nothing_is_taken(pushing, headers):
    answer = await ask(pushing, headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "no token" in answer.json()["error"]["what"]
    assert pushing.pushed == []


async def test_where_there_are_no_tokens_nobody_may_push(site):
    answer = await ask(site)
    assert answer.status_code == 401
    assert "push_tokens_file" in answer.json()["error"]["do"]


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ("{", 400, "is no JSON"),
        ("[" * 1500, 400, "is no JSON"),
        ('{"samples": [{"pv": "A", "value": NaN}]}', 400, "NaN is no number of strict JSON"),
        ('{"samples": 5}', 400, "is no push"),
        (b"\xff\xfe", 400, "is no JSON"),
        ("x" * 2001, 413, "more than 2000 B"),
    ],
)
async def test_what_is_no_push_is_refused(pushing, content, code, said):
    answer = await ask(pushing, content)
    assert answer.status_code == code
    assert said in answer.json()["error"]["what"]
    assert pushing.pushed == []


async def test_refused_samples_are_no_success(pushing):
    pushing.push_part["refused"] = [{"pv": "LAB:T1", "n": 1, "why": "paused"}]
    answer = await ask(pushing)
    assert (answer.status_code, answer.json()["refused"][0]["why"]) == (422, "paused")
    assert answer.json()["error"]["what"] == "1 PV was not taken"
    assert answer.json()["error"]["where"] == "LAB:T1"
    pushing.push_part["refused"] = []
    answer = await ask(pushing)
    assert (answer.status_code, "error" in answer.json()) == (200, False)


async def test_an_archive_that_does_not_run_is_told(pushing):
    pushing.push_part = NoControlError("the archive does not run", where="store", do="nualley up archive")
    answer = await ask(pushing)
    assert (answer.status_code, answer.json()["error"]["do"]) == (503, "nualley up archive")


async def test_too_much_is_told_when_to_come_again(pushing):
    async with browsing(pushing) as client:
        many = json.dumps({"samples": BODY["samples"] * 10})
        codes = [(await client.post(PATH, content=many, headers=BEARER)).status_code]
        answer = await client.post(PATH, content=json.dumps(BODY), headers=BEARER)
    assert codes == [200]
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert len(pushing.pushed) == 1


# ------------------------------------------------------------------ tokens
def test_a_token_counts_as_soon_as_it_is_written_and_no_longer_than_it_is(tokens):
    kept = Tokens(tokens)
    assert kept.owner(BEARER["Authorization"]) == "daq-pc"
    assert kept.owner("") is None
    tokens.write_text(f"other {TOKEN[::-1]}\n")
    assert kept.owner(BEARER["Authorization"]) is None
    assert kept.owner(f"bearer  {TOKEN[::-1]} ") == "other"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("daq-pc\n", "a line that is no NAME and TOKEN"),
        ("a b c\n", "a line that is no NAME and TOKEN"),
        (f"../x {TOKEN}\n", "a line that is no NAME and TOKEN"),
        ("ok " + TOKEN + "\ndaq short\n", "the token of daq has 5 characters"),
    ],
)
def test_a_file_that_is_not_right_is_no_file(tokens, text, said):
    tokens.write_text(text)
    with pytest.raises(TokensError, match=said) as refused:
        Tokens(tokens).owner(BEARER["Authorization"])
    assert refused.value.where.startswith(f"{tokens}:")
    assert TOKEN not in str(refused.value)


def test_tokens_that_others_can_read_are_not_used(tokens):
    tokens.chmod(0o640)
    with pytest.raises(TokensError, match="others than its owner"):
        Tokens(tokens).owner(BEARER["Authorization"])


async def test_tokens_that_cannot_be_read_are_told(pushing, tokens):
    tokens.unlink()
    answer = await ask(pushing)
    assert answer.status_code == 500
    assert "No such file" in answer.json()["error"]["what"]


# ------------------------------------------------------------------ allowance
def test_a_bucket_fills_again_with_time():
    clock = FakeClock()
    allowance = Allowance(2.0, clock)
    assert allowance.wait_s("a", int(2 * BURST_S)) == 0
    assert allowance.wait_s("b", 1) == 0
    assert allowance.wait_s("a", 1) == pytest.approx(0.5)
    clock.time_ns += SECOND_NS
    assert allowance.wait_s("a", 2) == 0
    assert allowance.wait_s("a", 1) > 0


def test_more_than_a_bucket_holds_goes_once_and_is_waited_for_afterwards():
    clock = FakeClock()
    allowance = Allowance(1.0, clock)
    assert allowance.wait_s("a", 25) == 0
    assert allowance.wait_s("a", 1) == pytest.approx(16.0)
    clock.time_ns -= 5 * SECOND_NS
    assert allowance.wait_s("a", 1) == pytest.approx(16.0)
