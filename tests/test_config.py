from __future__ import annotations

import pytest

from finops_ai.config import load_settings, parse_settings
from finops_ai.errors import SettingsError


def write(tmp_path, text):
    path = tmp_path / "finops.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[workspce]\n", r"no section called \[workspce\]. Did you mean 'workspace'"),
        ("[workspace]\ncurency = 'USD'\n", "no setting called 'curency'. Did you mean 'currency'"),
        ("[workspace]\ncurrency = 'dollars'\n", "currency = 'dollars'"),
        ("[workspace]\ntimezone = 'Mars/Olympus'\n", "Mars/Olympus"),
        ("[workspace\n", "not valid TOML"),
        ("[providers]\nopenai = 3\n", r"\[providers.openai\] must be a table"),
    ],
)
def test_a_wrong_setting_is_named_with_its_place_and_the_next_step(tmp_path, text, said):
    path = write(tmp_path, text)
    with pytest.raises(SettingsError, match=said) as error:
        load_settings(path)
    assert "finops.toml" in str(error.value) or "time zone" in str(error.value)
    assert error.value.exit_code == 2


def test_a_missing_file_says_how_to_write_one(tmp_path):
    with pytest.raises(SettingsError, match="finops-ai init"):
        load_settings(tmp_path / "finops.toml")


def test_paths_belong_to_the_files_own_folder(tmp_path):
    settings = load_settings(write(tmp_path, "[workspace]\nlake = 'data/lake'\n"))
    assert settings.lake == str(tmp_path / "data" / "lake")
    assert parse_settings({"workspace": {"lake": "s3://bucket/lake"}}).lake == "s3://bucket/lake"
