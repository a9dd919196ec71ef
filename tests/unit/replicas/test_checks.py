"""Unfinished transfers are told."""

from dataclasses import replace

from nualley.catalog import Transfer
from nualley.core import CheckState
from nualley.replicas import TransfersCheck


def transfer(number: int, problem: str = "") -> Transfer:
    return Transfer(transfer_id=number, source="/data1/42", destination="/data2/42", problem=problem)


def test_all_is_finished() -> None:
    (result,) = TransfersCheck(list)()
    assert (result.name, result.state) == ("replicas.transfers", CheckState.OK)


def test_what_is_not_finished_is_named_with_its_reason() -> None:
    found = [transfer(1, "the drive is full"), *(transfer(number) for number in range(2, 6))]
    (result,) = TransfersCheck(lambda: found)()
    assert result.state is CheckState.WARNING
    assert "5 unfinished: transfer 1 to /data2/42 (the drive is full); transfer 2" in result.detail
    assert "and 2 more" in result.detail
    assert "nualley transfer resume" in result.do


def test_what_is_left_to_the_worker_says_so() -> None:
    (result,) = TransfersCheck(lambda: [replace(transfer(1), is_left=True)])()
    assert "transfer 1 to /data2/42, left to the worker" in result.detail
