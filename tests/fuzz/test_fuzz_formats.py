"""The campaign of random mutations runs, finds nothing, and would find something."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz_formats.py")


@pytest.fixture(scope="module")
def campaign_module():
    spec = importlib.util.spec_from_file_location("fuzz_formats", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_short_campaign_finds_no_broken_promise():
    run = subprocess.run([sys.executable, SCRIPT, "--seconds", "1.5"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "every promise held" in run.stdout
    for target in ("envelope_text", "envelope_fields", "compact_blob", "compact_text", "stream_bytes", "wrapped_key"):
        assert f"{target}: " in run.stdout


def test_the_same_seed_throws_the_same_mutations(campaign_module):
    dice = [campaign_module.random.Random(7) for _ in range(2)]
    first, second = ([campaign_module.mutate(die, b"some bytes" * 9) for _ in range(200)] for die in dice)
    assert first == second
    assert len(set(first)) > 150


def test_the_campaign_notices_a_parser_that_lets_a_forgery_through(campaign_module, monkeypatch, capsys):
    monkeypatch.setattr(campaign_module.wrapping, "unwrap_key", lambda _key, _wrapped, _aad: None)
    assert campaign_module.main(["--seconds", "5", "--seed", "1"]) == 1
    assert "BROKEN" in capsys.readouterr().out


def test_the_campaign_notices_an_error_of_the_wrong_kind(campaign_module, monkeypatch, capsys):
    def crash(_text):
        raise KeyError("iv")

    monkeypatch.setattr(campaign_module.envelope, "parse", crash)
    assert campaign_module.main(["--seconds", "5", "--seed", "1"]) == 1
    assert "KeyError" in capsys.readouterr().out
