"""``python -m cryoscope.app.opengl`` prints what draws here; fails where OpenGL does not work."""

from __future__ import annotations

import sys

from qtpy.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext

_GL_RENDERER, _GL_VERSION = 0x1F01, 0x1F02


def main() -> int:
    """Print the renderer and its version; 1 without a working OpenGL."""
    application = QGuiApplication(sys.argv[:1])
    surface = QOffscreenSurface()
    surface.create()
    context = QOpenGLContext()
    if not context.create() or not context.makeCurrent(surface):
        print("no OpenGL context can be made", file=sys.stderr)
        return 1
    functions = context.functions()
    print(f"{functions.glGetString(_GL_RENDERER)}, OpenGL {functions.glGetString(_GL_VERSION)}")
    context.doneCurrent()
    application.quit()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
