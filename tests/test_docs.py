"""The documentation: every link leads somewhere, and nothing of the program is left out."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from cryoscope.cli.entry import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
SOURCES, TOOLS = ROOT / "resources" / "docs", ROOT / "packaging" / "docs"
MOST_PICTURE_BYTES = 1_500_000
METHOD_HEADINGS = ("What it assumes", "When it fails", "How to check it")
MACHINE = re.compile(r"(?<![\w.])/(work|tmp|home|root|Users|mnt|venv)/|[A-Z]:\\\\|\.tmp\w{6,}")


def _tool(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def build() -> ModuleType:
    before = list(sys.path)
    try:
        return _tool("build")
    finally:
        sys.path[:] = before


@pytest.fixture(scope="module")
def pages(build: ModuleType) -> dict[str, str]:
    return build.pages()


def test_every_link_and_picture_leads_somewhere(build: ModuleType, pages: dict[str, str]) -> None:
    assert build.broken_links(pages) == []


def test_a_broken_link_is_found(build: ModuleType, pages: dict[str, str]) -> None:
    links = "[a](nowhere.md) ![b](pictures/no.png) [c](files.md#no-such) [d](../../README.md)"
    broken = build.broken_links({**pages, "index": f"# Title\n\n{links} [e](files.md#run-folder)"})
    assert [line.rsplit(": ")[1] for line in broken if line.startswith("index.md")] == [
        "nowhere.md", "files.md#no-such", "../../README.md", "pictures/no.png",
    ]  # fmt: skip


def test_every_preset_has_its_place(build: ModuleType, pages: dict[str, str]) -> None:
    methods = {name: text for name, text in pages.items() if name.startswith("methods/")}
    names = build.site_reference.shipped_presets()
    assert len(names) >= 16
    for name in names:
        assert f"| `{name}` |" in methods["methods/index"]
        assert sum(f"**Settings of `{name}`**" in text for text in methods.values()) == 1
        assert f"`{name}`" in pages["citing"]


def test_every_method_says_what_it_assumes_and_when_it_fails(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        if name.startswith("methods/") and name != "methods/index":
            missing = [words for words in METHOD_HEADINGS if f"\n## {words}\n" not in text]
            assert missing == [], name


def test_every_command_and_option_is_in_the_reference(
    build: ModuleType, pages: dict[str, str]
) -> None:
    reference = pages["commands"]
    for name in COMMANDS:
        assert f"\n## cryoscope {name}\n" in reference
    for name, command in build.site_reference.commands():
        section = reference.split(f"\n## cryoscope {name}\n")[1].split("\n## ")[0]
        for option in command.params:
            if option.param_type_name == "option" and not option.hidden:
                assert f"`{option.opts[0]}`" in section, name


def test_every_setting_is_in_the_reference(pages: dict[str, str]) -> None:
    from cryoscope.training.config import TrainConfig, config_to_json

    def names(values: dict[str, object], before: str = "") -> list[str]:
        found = []
        for name, value in values.items():
            inner = isinstance(value, dict)
            found += names(value, f"{before}{name}.") if inner else [f"{before}{name}"]  # type: ignore[arg-type]
        return found

    assert [
        n for n in names(config_to_json(TrainConfig())) if f"`{n}`" not in pages["settings"]
    ] == []


def test_settings_and_commands_that_the_text_names_exist(pages: dict[str, str]) -> None:
    known = set(re.findall(r"^\| `([\w.]+)`", pages["settings"], re.MULTILINE))
    for name, text in pages.items():
        named = {
            re.sub(r"\.\d+\.", ".N.", one) for one in re.findall(r"--set ([a-z]+\.[\w.]+)=", text)
        }
        assert named <= known, name
        called = set(re.findall(r"^cryoscope ([a-z][a-z-]+)(?= |$)", text, re.MULTILINE))
        assert called <= {*COMMANDS, "run"}, name  # "cryoscope run" opens a folder of that name


def test_nothing_of_the_machine_that_wrote_it_is_left(pages: dict[str, str]) -> None:
    assert [name for name, text in pages.items() if MACHINE.search(text)] == []
    drawings = {path.name: path.read_text("utf-8") for path in SOURCES.rglob("*.svg")}
    assert [name for name, text in drawings.items() if MACHINE.search(text)] == []


def test_the_drawings_are_those_of_the_code() -> None:
    before = list(sys.path)
    try:
        drawings = _tool("site_drawings").DRAWINGS
    finally:
        sys.path[:] = before
    for name, draw in drawings.items():
        kept = (SOURCES / "drawings" / f"{name}.svg").read_text("utf-8")
        assert draw() == kept, f"make it anew: python packaging/docs/site_drawings.py ({name})"


def test_pictures_are_small_and_all_of_them_are_shown(pages: dict[str, str]) -> None:
    pictures = sorted(SOURCES.rglob("*.png"))
    assert sum(path.stat().st_size for path in pictures) < MOST_PICTURE_BYTES
    shown = " ".join(pages.values())
    for path in pictures:
        assert path.relative_to(SOURCES).as_posix() in shown
        with Image.open(path) as picture:
            assert min(picture.size) >= 600


def test_the_site_is_whole_and_works_from_the_disk(
    build: ModuleType, pages: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "site"
    assert build.build(out) == len(pages)
    assert build.build(out) == len(pages)  # over an earlier one
    for page in out.rglob("*.html"):
        text = page.read_text("utf-8")
        assert "<!-- generated" not in text
        for target in re.findall(r'(?:href|src)="([^"#:]+)(?:#[^"]*)?"', text):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"


def test_a_folder_of_somebody_else_is_left_alone(build: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(build.BrokenLink, match="not empty"):
        build.build(tmp_path)
    assert (tmp_path / "thesis.tex").exists()
