"""Settings of the server: where they come from, what contradicts, and that the page lists them as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import rows, section

from keystead.errors import ConfigurationError
from keystead.node.location import locate
from keystead.node.settings import load_settings, settings_file
from keystead.server.settings import ServerSettings, load_configuration


def file(folder: Path, text: str) -> Path:
    path = folder / "keystead.toml"
    path.write_text(text)
    return path


def test_a_flag_goes_before_the_environment_that_before_the_file_and_each_says_whence(tmp_path: Path) -> None:
    path = file(tmp_path, "[server]\nport = 1\nworkers = 2\ndrain = '5s'\n")
    variables = {"KEYSTEAD_SERVER_PORT": "3", "KEYSTEAD_SERVER_WORKERS": "4", "KEYSTEAD_OTHER": "x"}
    found = load_configuration(path, variables, {"port": 5, "address": None})
    assert (found.settings.port, found.settings.workers, found.settings.drain_ms) == (5, 4, 5_000)
    sources = {each.name: each.source for each in found.explained}
    assert sources["port"] == "--port"
    assert sources["workers"] == "KEYSTEAD_SERVER_WORKERS"
    assert (sources["drain"], sources["address"]) == (str(path), "default")


def test_what_is_usual_for_a_command_yields_to_whatever_is_set(tmp_path: Path) -> None:
    path = file(tmp_path, "[server]\nlog_format = 'json'\n")
    found = load_configuration(path, {}, {"log_level": None}, {"log_format": "text", "log_level": "warning"})
    assert (found.settings.log_format, found.settings.log_level) == ("json", "warning")
    assert {each.name: each.source for each in found.explained}["log_level"] == "default"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"port": 70_000}, "port"),
        ({"prt": 1}, "prt"),
        ({"drain_ms": 5}, "drain_ms"),
        ({"drain": "soon"}, "drain"),
        ({"insecure": "perhaps"}, "insecure"),
        ({"insecure": 1}, "insecure"),
        ({"tls_key": "x"}, "tls_certificate"),
        ({"tls_client_authorities": "x"}, "tls_client_authorities"),
        ({"address": "0.0.0.0"}, "address"),
        ({"address": "keys.example"}, "address"),
        ({"allowed_hosts": [1]}, "allowed_hosts"),
        ({"log_format": "xml"}, "log_format"),
        ({"log_level": "loud"}, "log_level"),
    ],
)
def test_what_is_wrong_is_named_and_all_of_it_at_once(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(None, {"KEYSTEAD_SERVER_WORKERS": "0"}, settings)
    assert any(name.startswith(named) for name in caught.value.problems)
    assert any(name.startswith("workers") for name in caught.value.problems)


def test_a_file_that_is_no_toml_or_has_no_table_is_told(tmp_path: Path) -> None:
    for text in ("[server\n", "server = 1\n"):
        with pytest.raises(ConfigurationError):
            load_configuration(file(tmp_path, text), {}, {})


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    unreadable = tmp_path / "keystead.toml"
    unreadable.symlink_to("/proc/self/mem")  # a regular file, whose first byte gives an OSError to anybody
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_configuration(unreadable, {}, {})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings(locate(tmp_path, {}, tmp_path))


@pytest.mark.parametrize("what", ["a folder", "a link that leads nowhere"])
def test_settings_that_are_no_file_are_not_passed_over(tmp_path: Path, what: str) -> None:
    path = tmp_path / "keystead.toml"
    path.mkdir() if what == "a folder" else path.symlink_to(tmp_path / "nowhere")
    location = locate(tmp_path, {}, tmp_path)
    assert settings_file(location) == path
    for read in (lambda: load_settings(location), lambda: load_configuration(path, {}, {})):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            read()


def test_what_is_wrong_says_what_is_right(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"drain .*such as 30s.*prt .*known are address"):
        load_configuration(None, {}, {"drain": 5, "prt": 1})
    file(tmp_path, "port = 7000")
    with pytest.raises(ConfigurationError, match=r"the table \[server\]"):
        load_settings(locate(tmp_path, {}, tmp_path))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_tls(address: str) -> None:
    assert load_configuration(None, {}, {"address": address}).settings.is_loopback


def test_the_page_lists_each_setting_with_its_default() -> None:
    told = {row[0].strip("`"): row[1].strip("`") for row in rows(section("docs/server.md", "Settings"))}
    explained = load_configuration(None, {}, {}).explained
    assert told == {each.name: each.value for each in explained}
    assert len(told) == len(ServerSettings.__dataclass_fields__)
