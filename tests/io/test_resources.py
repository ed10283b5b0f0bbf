from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cryoscope.data import InputError
from cryoscope.io import resources


def test_the_folder_itself_is_found() -> None:
    assert resources.resource_path("").is_dir()


def test_a_missing_file_is_named_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^demo/none\.pdb: .*Install") as raised:
        resources.resource_path("demo/none.pdb")
    assert "\n" not in str(raised.value)


def test_an_installed_wheel_finds_its_own_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages"
    (site / "cryoscope").mkdir(parents=True)
    (site / "cryoscope_resources" / "demo").mkdir(parents=True)
    shipped = site / "cryoscope_resources" / "demo" / "a.pdb"
    shipped.write_text("END\n")
    foreign = site / "resources" / "demo"
    foreign.mkdir(parents=True)
    (foreign / "a.pdb").write_text("someone else's\n")
    monkeypatch.setattr(resources, "_PACKAGE", site / "cryoscope")
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    assert resources.resource_path("demo/a.pdb") == shipped
