"""Units for systemd: its quoting, accounts, and the drives that must be there first."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nualley.app import systemd
from nualley.app.systemd import UnitPlan, quoted, units
from nualley.core import UsageError

NASTY = '/data/my "exp"\\ 100% $HOME ${x} \té\n[Service]\u200b'


def unit(user: str = "coherent", experiment: str = "/srv/x", name: str = "X", mounts: tuple[str, ...] = ("/srv",)):
    plan = UnitPlan(role="archive", experiment=Path(experiment), mounts=[Path(path) for path in mounts])
    texts = units([plan], name=name, user=user)
    assert list(texts) == ["nualley-archive.service"]
    return texts["nualley-archive.service"]


def keys(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def test_a_unit_starts_its_role_as_its_account():
    found = keys(unit())
    assert found["User"] == "coherent"
    assert found["ExecStart"] == f"{sys.executable} -m nualley.cli up archive --experiment /srv/x"
    assert found["RequiresMountsFor"] == "/srv"
    assert found["RestartPreventExitStatus"] == "2 3"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/srv/coherent-1.0_a@b:c,d+e=f", "/srv/coherent-1.0_a@b:c,d+e=f"),
        ("my data", '"my data"'),
        ("", '""'),
        ("100%", '"100%%"'),
        ('a"b', '"a\\"b"'),
        ("it's", '"it\'s"'),
        ("a\\b", '"a\\\\b"'),
        ("a\nUser=root", '"a\\nUser=root"'),
        ("a;b", '"a;b"'),
        ("\x1b\x7f", '"\\x1b\\x7f"'),
        (os.fsdecode(b"/d/\xff"), '"/d/\\xff"'),
        ("é", '"é"'),
    ],
)
def test_words_are_quoted_as_systemd_reads_them(word, expected):
    assert quoted(word) == expected


def test_variables_are_not_expanded_in_arguments_and_refused_in_the_program(monkeypatch):
    assert unit(experiment="/srv/$HOME").count('--experiment "/srv/$$HOME"') == 1
    monkeypatch.setattr(systemd.sys, "executable", "/opt/$x/python")
    with pytest.raises(UsageError, match=r"'/opt/\$x/python' cannot be started by systemd: it holds a \$"):
        unit()


def test_a_name_cannot_begin_another_key():
    text = unit(name="50% done\nExecStart=/bin/false\\")
    assert keys(text)["Description"] == r"nualley archive of 50%% done\x0aExecStart=/bin/false\x5c"
    assert text.count("\nExecStart=") == 1


def test_mounts_are_listed_once_and_quoted():
    text = unit(mounts=("/srv/a b", "/srv/a b", "/srv/50%", '/srv/"\\'))
    assert keys(text)["RequiresMountsFor"] == '"/srv/a b" "/srv/50%%" "/srv/\\"\\\\"'


@pytest.mark.parametrize("path", ["/srv/a\nb", os.fsdecode(b"/srv/\xff")])
def test_a_mount_that_systemd_cannot_be_told_of_is_refused(path):
    with pytest.raises(UsageError, match="cannot wait for the drive of .* cannot be printed") as caught:
        unit(mounts=(path,))
    assert "rename" in caught.value.do


@pytest.mark.parametrize("user", ["root", "toor"])
def test_units_do_not_run_as_root(user, monkeypatch):
    monkeypatch.setattr(systemd, "_user_id", lambda name: 0 if name == "toor" else None)
    with pytest.raises(UsageError, match=f"would run as {user}") as caught:
        unit(user=user)
    assert "--user" in caught.value.do


@pytest.mark.parametrize(
    "user", ["x\nExecStartPre=/bin/sh", "a b", "", "0", "1000", "-x", "%n", "a:b", "a/b", "ex\x00", "é", "x\n"]
)
def test_names_that_no_account_has_are_refused(user):
    with pytest.raises(UsageError, match="is no name of an account") as caught:
        unit(user=user)
    assert caught.value.where == "--user"


@pytest.mark.parametrize("user", ["coherent", "_daq", "ada.l-1", "ada@example.org"])
def test_accounts_of_machines_and_domains_are_taken(user):
    assert keys(unit(user=user))["User"] == user


@pytest.fixture
def systemd_analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        missing = "no systemd-analyze: apt-get install systemd"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return program


@pytest.mark.parametrize("experiment", ["/srv/coherent", NASTY])
def test_systemd_reads_back_what_was_meant(tmp_path, systemd_analyze, experiment):
    mounts = ("/srv/my data", '/srv/50% "quoted"\\ $x')
    path = tmp_path / "nualley-archive.service"
    path.write_text(unit(user="daemon", experiment=experiment, name="50% \n x\\", mounts=mounts))
    found = subprocess.run(
        [systemd_analyze, "verify", str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "debug"},
    )
    said = [line.strip() for line in (found.stdout + found.stderr).splitlines()]
    for mount in mounts:
        assert any(line.startswith(f"RequiresMountsFor: {mount} (") for line in said), said
    assert "User: daemon" in said
    (command,) = (line.removeprefix("Command Line: ") for line in said if line.startswith("Command Line: "))
    words = f"{sys.executable} -m nualley.cli up archive --experiment "
    assert command.startswith(words)
    # systemd shows the words as C strings; of variables it knows only when it starts the command: $$ is one $
    shown = command.removeprefix(words).strip('"').replace("\\$", "$").replace("$$", "$")
    assert shown.encode().decode("unicode_escape").encode("latin-1").decode() == experiment
