"""Version, changelog, tag, templates and the scripts that use them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

from cryoscope import __version__

ROOT = Path(__file__).resolve().parents[1]
CHECKS = ROOT / "packaging" / "release_checks.py"
HEAD = re.compile(r"^## \[([^\]]+)\](?: - (\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)
NAMED = ("cryoscope/__init__.py", "packaging/conda/recipe.yaml")
PLUGIN = "plugins/napari-cryoscope/pyproject.toml"


def checked(version: str, root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CHECKS), version, "--root", str(root)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What names the version, ready to be released as 0.9.0."""
    for name in (*NAMED, PLUGIN):
        text = (ROOT / name).read_text("utf-8").replace(f'"{__version__}"', '"0.9.0"')
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text, "utf-8")
    text = "# Changelog\n\n## [Unreleased]\n\n## [0.9.0] - 2030-01-02\n\n- A window.\n"
    (tmp_path / "CHANGELOG.md").write_text(
        text + "\n## [0.1.0] - 2026-11-21\n\n- First.\n", "utf-8"
    )
    return tmp_path


def test_the_changelog_knows_the_version_of_the_code() -> None:
    heads = HEAD.findall((ROOT / "CHANGELOG.md").read_text("utf-8"))
    assert heads[0] == ("Unreleased", "")
    assert all(date for _, date in heads[1:])
    versions = [Version(version) for version, _ in heads[1:]]
    assert versions == sorted(set(versions), reverse=True)
    assert versions[0] == Version(__version__)


def test_the_plugin_has_the_version_of_the_program() -> None:
    plugin = tomllib.loads((ROOT / PLUGIN).read_text("utf-8"))
    assert plugin["project"]["version"] == __version__


def test_a_tagged_commit_has_the_version_of_its_tag() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no git, or an unpacked archive")
    asked = ["git", "-C", str(ROOT), "tag", "--points-at", "HEAD", "--list", "v[0-9]*"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    assert set(done.stdout.split()) <= {f"v{__version__}"}


def test_a_release_says_what_the_changelog_says(tree: Path) -> None:
    done = checked("0.9.0", tree)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Cryoscope 0.9.0\n\n- A window.\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (NAMED[0], '"0.9.0"', '"0.8.0"', "cryoscope/__init__.py says 0.8.0"),
        (NAMED[1], '"0.9.0"', '"0.8.0"', "recipe.yaml says 0.8.0"),
        (PLUGIN, '"0.9.0"', '"0.8.0"', "pyproject.toml says 0.8.0"),
        ("CHANGELOG.md", "[0.9.0]", "[0.8.0]", "no section [0.9.0]"),
        ("CHANGELOG.md", " - 2030-01-02", "", "has no date"),
        ("CHANGELOG.md", "- A window.", "", "is empty"),
        ("CHANGELOG.md", "[Unreleased]", "[Unreleased]\n\n- More.", "[Unreleased] is not empty"),
    ],
)
def test_what_does_not_agree_is_not_released(
    tree: Path, file: str, old: str, new: str, says: str
) -> None:
    text = (tree / file).read_text("utf-8")
    assert old in text
    (tree / file).write_text(text.replace(old, new, 1), "utf-8")
    done = checked("0.9.0", tree)
    assert done.returncode == 1
    assert says in done.stderr


def test_a_word_is_no_version(tree: Path) -> None:
    assert "is no version" in checked("next", tree).stderr


def test_templates_are_forms_that_can_be_filled_in() -> None:
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert [form.stem for form in forms] == ["bug", "config", "data", "feature"]
    for form in forms:
        content = yaml.safe_load(form.read_text("utf-8"))
        if form.stem == "config":
            continue
        assert content["name"]
        assert content["description"]
        asked = [part for part in content["body"] if part["type"] != "markdown"]
        assert len({part["id"] for part in asked}) == len(asked)
        assert all(part["attributes"]["label"] for part in asked)
        doctor = [part for part in asked if "cryoscope doctor" in part["attributes"]["label"]]
        assert bool(doctor) == (form.stem != "feature")


def test_scripts_of_ci_are_read_by_their_shell() -> None:
    for name, shell in (("run", "bash"), ("newest", "sh")):
        script = ROOT / ".ci" / name
        if not script.exists():
            pytest.skip("an unpacked archive has no .ci")
        done = subprocess.run(
            [shell, "-n", str(script)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_nox_runs_every_supported_python_with_the_tested_torch() -> None:
    text = (ROOT / "packaging" / "noxfile.py").read_text("utf-8")
    listed = re.search(r"^PYTHONS = \((.*)\)$", text, re.MULTILINE)
    assert listed
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    offered = [line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line]
    assert re.findall(r"\d\.\d+", listed.group(1)) == offered
    for called in re.findall(r"\"(packaging/\S+\.(?:sh|py))\"", text):
        assert (ROOT / called).is_file(), called
    environment = (ROOT / "packaging" / "environment.sh").read_text("utf-8")
    found = re.findall(r"^(torch_version|torch_cpu_index)=\S+$", environment, re.MULTILINE)
    assert sorted(found) == ["torch_cpu_index", "torch_version"]
