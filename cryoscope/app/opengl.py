"""``python -m cryoscope.app.opengl`` prints what draws here; fails where OpenGL does not work."""

from __future__ import annotations

import sys

from qtpy.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext
from vispy.gloo import gl


def main() -> int:
    """Print the renderer and its version; 1 without a working OpenGL."""
    application = QGuiApplication(sys.argv[:1])
    surface = QOffscreenSurface()
    surface.create()
    context = QOpenGLContext()
    if not context.create() or not context.makeCurrent(surface):
        print("no OpenGL context can be made", file=sys.stderr)
        return 1
    # PyQt6 has no QOpenGLContext.functions(): vispy asks the driver itself.
    names = [gl.glGetParameter(name) for name in (gl.GL_RENDERER, gl.GL_VERSION)]
    print(", OpenGL ".join(str(name) for name in names))
    context.doneCurrent()
    application.quit()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
