"""Averages by view as files: stacks, a table, and a picture of them beside projections."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cryoscope.io.atomic import explain_os_errors, write_bytes_atomic, write_text_atomic
from cryoscope.io.stack import StackWriter
from cryoscope.session.view_averages import ViewAverages, grey_levels

STACK, TABLE, PICTURE = "view-averages.mrcs", "views.csv", "views.png"
_TILE_PX, _LEFT_PX, _HEAD_PX, _GAP_PX, _LINE_PX = 112, 118, 34, 3, 16
_INK, _GROUND = (30, 34, 40), (255, 255, 255)


def write_view_averages(found: ViewAverages, folder: Path) -> tuple[Path, ...]:
    """Write view-averages.mrcs, view-projections-NAME.mrcs, views.csv and views.png.

    Raises
    ------
    InputError
        If the folder or a file cannot be written.
    """
    with explain_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    stacks = {STACK: found.images} | {
        f"view-projections-{name}.mrcs": images for name, images in found.projections.items()
    }
    for name, images in stacks.items():
        side_px = images.shape[-1]
        with StackWriter(folder / name, side_px, found.pixel_size_A, count=len(images)) as writer:
            writer.append(images)
    table, picture = folder / TABLE, folder / PICTURE
    write_text_atomic(table, _csv(found))
    buffer = io.BytesIO()
    _picture(found).save(buffer, format="PNG")
    write_bytes_atomic(picture, buffer.getvalue())
    return (*(folder / name for name in stacks), table, picture)


def _csv(found: ViewAverages) -> str:
    names = list(found.agreement)
    head = ["view", "particles", "averaged", "azimuth_deg", "elevation_deg"]
    lines = [",".join([*head, *(f"correlation_{name}" for name in names)])]
    for view in range(len(found)):
        direction = [f"{found.azimuth_deg[view]:.2f}", f"{found.elevation_deg[view]:.2f}"]
        alike = [f"{found.agreement[name][view]:.4f}" for name in names]
        counted = [str(view + 1), str(found.counts[view]), str(found.used[view])]
        lines.append(",".join([*counted, *direction, *alike]))
    return "\n".join(lines) + "\n"


def _picture(found: ViewAverages) -> Image.Image:
    """Views across; averages, then what every map looks like from there, downwards."""
    rows: list[tuple[str, NDArray[np.float32], NDArray[np.float64] | None]]
    rows = [("average", found.images, None)]
    rows += [
        (f"{name} map", images, found.agreement[name]) for name, images in found.projections.items()
    ]
    step_px = _TILE_PX + _GAP_PX
    row_px = step_px + _LINE_PX
    size = (_LEFT_PX + step_px * len(found), _HEAD_PX + row_px * len(rows))
    sheet = Image.new("RGB", size, _GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for view in range(len(found)):
        x = _LEFT_PX + view * step_px
        direction = f"{found.azimuth_deg[view]:.0f}°, {found.elevation_deg[view]:.0f}°"
        draw.text((x, 2), f"{view + 1}: {found.counts[view]:,}", _INK, font)
        draw.text((x, 17), direction, _INK, font)
    draw.text((6, 2), "view: particles", _INK, font)
    draw.text((6, 17), "azimuth, elevation", _INK, font)
    for number, (name, images, alike) in enumerate(rows):
        y = _HEAD_PX + number * row_px
        draw.text((6, y + _TILE_PX // 2 - 8), name, _INK, font)
        for view, image in enumerate(images):
            x = _LEFT_PX + view * step_px
            tile = Image.fromarray(grey_levels(image)).resize((_TILE_PX, _TILE_PX))
            sheet.paste(tile, (x, y))
            if alike is not None:
                draw.text((x, y + _TILE_PX), f"r = {alike[view]:.2f}", _INK, font)
    return sheet
