from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps every test away from the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TLTOOL_CACHE", str(folder))
    return folder
