"""What the documentation takes from the code, so that it cannot say anything else than the code.

``commands_page`` and ``settings_page`` are whole pages; ``presets_table`` and ``preset_settings``
stand where a page asks for them with ``<!-- generated: NAME -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Literal, get_args, get_origin, get_type_hints

from typer.main import get_command

from cryoscope.cli.entry import app
from cryoscope.training.config import PhaseConfig, RestraintConfig, TrainConfig
from cryoscope.training.presets import DEFAULT_PRESET, preset, preset_names, preset_summary

_EMPTY = (None, "", (), [], False)


def shipped_presets() -> tuple[str, ...]:
    """Presets of Cryoscope itself, without those of extensions that happen to be installed."""
    from cryoscope.training.published_presets import PUBLISHED
    from cryoscope.training.volume_presets import VOLUME_PRESETS

    own = {DEFAULT_PRESET, *PUBLISHED, *VOLUME_PRESETS}
    return tuple(name for name in preset_names() if name in own)


def commands() -> list[tuple[str, Any]]:
    """All commands with their names as typed, groups before what is in them."""
    return list(_walk(get_command(app), ""))


def _walk(group: Any, before: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if not command.hidden:
            yield f"{before}{name}", command
            if hasattr(command, "commands"):
                yield from _walk(command, f"{before}{name} ")


def commands_page() -> str:
    """The reference of the command line, as Markdown."""
    parts = [
        "# Commands\n\nMade from the program itself: this is what `--help` says. "
        "[Every setting of `cryoscope train`](settings.md) has a page of its own.\n\n"
        "Results go to standard output, progress and errors to standard error. Exit codes: 0 done; "
        "1 an unexpected error, with the path of its log; 2 input or usage that cannot work, in "
        "one line that names the file, the row and the cure; 130 stopped by you.\n"
    ]
    for name, command in commands():
        parts.append(f"\n## cryoscope {name}\n\n{_text(command.help)}\n")
        if hasattr(command, "commands"):
            continue
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
        shape = " ".join(["cryoscope", name, *(_usage(one) for one in arguments), "[OPTIONS]"])
        parts.append(f"\n```\n{shape}\n```\n")
        rows = [(_names(one), _described(one)) for one in (*arguments, *options)]
        if rows:
            parts.append("\n| | |\n|---|---|\n" + "".join(f"| {a} | {b} |\n" for a, b in rows))
    return "".join(parts)


def settings_page() -> str:
    """Every setting with its default and description, as Markdown."""
    lines = [
        "# Settings\n\nEverything that a training can be told. On the command line `--set "
        "NAME=VALUE`, in the window *Settings* under the method; units are in the names. The "
        "defaults are those of the code; [a preset](methods/index.md) is a set of other values. "
        "In a run folder they are in `config.json`.\n\n"
        "Restraints and phases are lists, counted from 0: "
        "`--set loss.restraints.1.release_fraction=0.4`. "
        "Lists are written as JSON: `--set encoder.widths=[512,256]`.\n"
    ]
    heading = None
    rows = [
        *_settings(TrainConfig, ""),
        *_settings(RestraintConfig, "loss.restraints.N."),
        *_settings(PhaseConfig, "phases.N."),
    ]
    for name, default, text, kind in rows:
        group = name.rpartition(".")[0]
        if group != heading:
            heading = group
            lines.append(f"\n## {group or 'The run'}\n\n| setting | default | what it is |\n")
            lines.append("|---|---|---|\n")
        choices = f"; one of {kind}" if kind else ""
        lines.append(f"| `{name}` | {default} | {_cell(text)}{choices} |\n")
    return "".join(lines)


def presets_table() -> str:
    """One row for every preset."""
    rows = [f"| `{name}` | {_cell(preset_summary(name))} |\n" for name in shipped_presets()]
    return "| `--preset` | what it does |\n|---|---|\n" + "".join(rows)


def preset_settings(name: str) -> str:
    """What a preset sets differently from the defaults."""
    rows = [
        f"| `{setting}` | {_value(value)} | {_value(default)} |\n"
        for setting, value, default in _differences(preset(name), TrainConfig(), "")
        if setting != "preset"
    ]
    head = f"**Settings of `{name}`** that differ from the [defaults](../settings.md):\n\n"
    return head + "| setting | here | default |\n|---|---|---|\n" + "".join(rows)


def _differences(ours: Any, default: Any, before: str) -> Iterator[tuple[str, Any, Any]]:
    for field in fields(ours):
        mine, theirs = getattr(ours, field.name), getattr(default, field.name)
        if is_dataclass(mine):
            yield from _differences(mine, theirs, f"{before}{field.name}.")
        elif mine != theirs:
            yield f"{before}{field.name}", mine, theirs


def _settings(kind: Any, before: str) -> Iterator[tuple[str, str, str, str]]:
    """Leaves first, then one group after the other."""
    hints, groups = get_type_hints(kind), []
    for field in fields(kind):
        hint = hints[field.name]
        if is_dataclass(hint):
            groups.append((field.name, hint))
            continue
        info = kind.__pydantic_fields__[field.name]
        default = info.get_default(call_default_factory=True)
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        words = ", ".join(f"`{one}`" for one in choices)
        yield f"{before}{field.name}", _value(default), info.description or "", words
    for name, hint in groups:
        yield from _settings(hint, f"{before}{name}.")


def _value(value: Any) -> str:
    if isinstance(value, tuple) and value and is_dataclass(value[0]):
        return "<br>".join(_record(one) for one in value)
    if isinstance(value, tuple):
        return f"`{', '.join(map(str, value))}`" if value else "none"
    if isinstance(value, float):
        return f"`{value:.4g}`"
    return "empty" if value == "" else f"`{value}`"


def _record(value: Any) -> str:
    """A restraint or a phase by what is not its default."""
    plain = type(value)()
    first, *others = fields(value)
    words = [f"`{getattr(value, first.name)}`"]
    words += [
        f"{field.name} {_value(getattr(value, field.name))}"
        for field in others
        if getattr(value, field.name) != getattr(plain, field.name)
    ]
    return " ".join(words)


def _usage(argument: Any) -> str:
    shown = (argument.metavar or argument.name).upper()
    many = "..." if argument.nargs == -1 and "..." not in shown else ""
    return f"{shown}{many}" if argument.required or shown[0] == "[" else f"[{shown}{many}]"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_cell((parameter.metavar or parameter.name).upper())}`"
    names = ", ".join(f"`{one}`" for one in (*parameter.opts, *parameter.secondary_opts))
    kind = str(parameter.metavar or "")
    return names if parameter.is_flag or not kind else f"{names} `{_cell(kind)}`"


def _described(parameter: Any) -> str:
    text = _cell(_text(parameter.help or ""))
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        text += "; one of " + ", ".join(f"`{one.value}`" for one in kind)
    default = getattr(parameter.default, "value", parameter.default)
    if not callable(default) and default not in _EMPTY and "[default" not in text:
        text += f" [default: {default}]"
    return text


def _text(help_text: str | None) -> str:
    """Help as Markdown: Typer's marks removed, what is meant literally kept so."""
    return re.sub(r"\\\[", "[", (help_text or "").replace("\f", "")).strip()


def _cell(text: str) -> str:
    """Text that fits into a row of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
