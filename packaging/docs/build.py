"""Builds the documentation: Markdown in, a folder of plain HTML out that works from the disk.

``python packaging/docs/build.py [--out build/docs]`` needs Cryoscope itself (the command reference
and the tables of settings are read from its code) and markdown-it-py, which every installation
has. A link or picture that leads nowhere ends the build with its name.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from html import escape
from itertools import pairwise
from pathlib import Path, PurePosixPath
from string import Template

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import site_reference
from markdown_it import MarkdownIt
from markdown_it.token import Token

from cryoscope import __version__

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCES = ROOT / "resources" / "docs"
ASSET_SUFFIXES = (".png", ".svg")
#: The order in which pages are read; a page that is not named here is an error.
CONTENTS = (
    ("Start", ("index", "tutorial", "checking", "landscape")),
    (
        "Methods",
        (
            "methods/index",
            "methods/cryoscope-default",
            "methods/cryostar",
            "methods/nashed",
            "methods/prins",
            "methods/cryofold",
            "methods/dynamight",
            "methods/cryosphere",
            "methods/cryodrgn",
            "methods/density-stage",
        ),
    ),
    ("Reference", ("commands", "settings", "files", "conventions")),
    ("More", ("clusters", "extend", "troubleshooting", "citing")),
)
_MARK = re.compile(r"^<!-- (generated|include): (.+?) -->$", re.MULTILINE)


class BrokenLink(Exception):
    """A page names something that is not there."""


def page_names() -> list[str]:
    """All pages in reading order, without suffix."""
    return [name for _, names in CONTENTS for name in names]


def pages() -> dict[str, str]:
    """Markdown of every page by its name, with what is generated and included put in."""
    found = {
        path.relative_to(SOURCES).with_suffix("").as_posix(): path.read_text("utf-8")
        for path in sorted(SOURCES.rglob("*.md"))
        if path.name != "README.md"
    }
    found = {name: _MARK.sub(_fill, text) for name, text in found.items()}
    found |= {
        "commands": site_reference.commands_page(),
        "settings": site_reference.settings_page(),
    }
    if set(found) != set(page_names()):
        odd = sorted(set(found) ^ set(page_names()))
        raise BrokenLink(f"pages and table of contents differ: {', '.join(odd)}")
    return {name: found[name] for name in page_names()}


def _fill(mark: re.Match[str]) -> str:
    kind, what = mark.groups()
    if kind == "include":
        if not (ROOT / what).is_file():
            raise BrokenLink(f"{what}, which a page includes, is not there")
        text = (ROOT / what).read_text("utf-8")
        return re.sub(r"\A# .*\n", "", text).strip()  # the page has a title of its own
    if what == "presets":
        return site_reference.presets_table()
    return site_reference.preset_settings(what.removeprefix("preset "))


def anchor(title: str) -> str:
    """The name a heading is linked to by, as on code-hosting sites."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def parse(text: str) -> list[Token]:
    """Tokens of a page, its headings with their names."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", anchor(_plain(inline)))
    return tokens


def _plain(inline: Token) -> str:
    return "".join(one.content for one in inline.children or ())


def targets(tokens: list[Token]) -> list[tuple[Token, str, str]]:
    """Every link and picture: its token, the attribute, and what that names."""
    inner = [one for token in tokens for one in token.children or ()]
    found = [(one, "href", str(one.attrGet("href"))) for one in inner if one.type == "link_open"]
    return found + [(one, "src", str(one.attrGet("src"))) for one in inner if one.type == "image"]


def broken_links(texts: dict[str, str]) -> list[str]:
    """Links and pictures of ``texts`` that lead nowhere inside the site."""
    parsed = {name: parse(text) for name, text in texts.items()}
    anchors = {
        name: {str(t.attrGet("id")) for t in tokens if t.type == "heading_open"}
        for name, tokens in parsed.items()
    }
    broken = []
    for name, tokens in parsed.items():
        for _, _, target in targets(tokens):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, heading = target.partition("#")
            page = _resolved(name, path) if path else f"{name}.md"
            known = page.removesuffix(".md")
            if page.endswith(".md") and known in texts:
                if not heading or heading in anchors[known]:
                    continue
            elif page.endswith(ASSET_SUFFIXES) and (SOURCES / page).is_file():
                continue
            broken.append(f"{name}.md: {target}")
    return broken


def _resolved(page: str, target: str) -> str:
    """A relative target of a page as a path below the sources."""
    parts: list[str] = []
    for part in (PurePosixPath(page).parent / target).parts:
        if part == "..":
            parts = parts[:-1] if parts else ["outside"]
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def build(out: Path) -> int:
    """Write the whole site into the empty or earlier folder ``out``; returns how many pages."""
    texts = pages()
    if broken := broken_links(texts):
        raise BrokenLink("links that lead nowhere: " + "; ".join(broken))
    marker = out / "style.css"
    if out.is_dir() and any(out.iterdir()) and not marker.is_file():
        raise BrokenLink(f"{out} is not empty and holds something else")
    shutil.rmtree(out, ignore_errors=True)
    template = Template((HERE / "page.html").read_text("utf-8"))
    titles = {name: _title(text) for name, text in texts.items()}
    for name, text in texts.items():
        tokens = parse(text)
        for token, attribute, target in targets(tokens):
            if not re.match(r"[a-z]+:", target):
                token.attrSet(attribute, re.sub(r"\.md(?=#|$)", ".html", target))
        markdown = MarkdownIt("commonmark", {"html": True})
        up = "../" * name.count("/")
        path = out / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        filled = template.substitute(
            title=escape(titles[name]),
            body=markdown.renderer.render(tokens, markdown.options, {}),
            menu=_menu(titles, name, up),
            up=up,
            version=__version__,
        )
        path.write_text(filled, "utf-8")
    for asset in sorted(p for p in SOURCES.rglob("*") if p.suffix in ASSET_SUFFIXES):
        place = out / asset.relative_to(SOURCES)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(asset, place)
    shutil.copyfile(HERE / "style.css", marker)
    return len(texts)


def _title(text: str) -> str:
    found = re.match(r"# (.+)\n", text)
    if found is None:
        raise BrokenLink(f"a page begins without a title: {text[:60]!r}")
    return found[1]


def _menu(titles: dict[str, str], current: str, up: str) -> str:
    parts = []
    for heading, names in CONTENTS:
        entries = "".join(
            f'<li><a href="{up}{name}.html"'
            f"{' aria-current=page' if name == current else ''}>"
            f"{escape(titles[name].partition(':')[0])}</a></li>"
            for name in names
        )
        parts.append(f"<h2>{heading}</h2><ul>{entries}</ul>")
    return "".join(parts)


def main() -> None:
    """Build, and say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "docs")
    out = parser.parse_args().out
    try:
        count = build(out)
    except BrokenLink as error:
        raise SystemExit(f"documentation: {error}") from None
    print(f"{count} pages: {out / 'index.html'}")


if __name__ == "__main__":
    main()
