"""The schema agrees with the values that it is read into, and with its reference."""

from __future__ import annotations

from pathlib import Path

import attrs

from docs import generate
from grandcentral.config import Docker, Gateway, Log
from grandcentral.config.kinds import Surroundings
from grandcentral.config.schema import DOCKER_TABLE, GATEWAY, HTTP, LIMITS, LOG, TABLES
from grandcentral.config.setting import Setting, Table
from grandcentral.core.model import Limits
from grandcentral.frontdoor import http_settings

from .support import DOCS, configure


def keys(table: Table) -> set[str]:
    return {setting.key for setting in table.settings}


def test_tables_have_the_fields_of_their_values() -> None:
    for table, value in ((GATEWAY, Gateway), (LIMITS, Limits), (LOG, Log), (DOCKER_TABLE, Docker)):
        assert keys(table) == {field.name for field in attrs.fields(value)}


def test_defaults_of_limits_are_the_models() -> None:
    assert Limits(**{setting.key: setting.default for setting in LIMITS.settings}) == Limits()


def test_every_key_of_the_http_table_is_a_setting_of_the_front_door(place: Path) -> None:
    configuration = configure(place, DOCS)
    settings = attrs.asdict(http_settings(configuration), recurse=False)
    limits = {"max_request_line", "max_field", "max_head", "max_fields"}
    assert keys(HTTP) - limits < settings.keys()
    for key in keys(HTTP) - limits - {"max_connections"}:
        assert settings[key] == configuration.http[key]


def test_every_default_is_a_value_of_its_kind() -> None:
    def check(setting: Setting) -> None:
        for field in setting.fields:
            check(field)
        if setting.default is not None:
            assert setting.kind.read(setting.kind.write(setting.default), Surroundings(generate.HERE)) == setting.default

    for table in TABLES:
        for setting in table.settings:
            check(setting)


def test_every_setting_says_what_it_is_in_a_sentence() -> None:
    for table in TABLES:
        for setting in table.settings:
            for one in (setting, *setting.fields):
                assert one.doc.endswith("."), one.key


def test_what_comes_later_is_not_there_now() -> None:
    for table in TABLES:
        assert not keys(table) & set(table.later)


def test_the_reference_is_current() -> None:
    assert "configuration.md" not in generate.stale(), "run python -m docs.generate"
