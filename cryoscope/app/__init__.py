"""The window: a Qt and napari skin over :mod:`cryoscope.session`.

Nothing here computes, reads a file or imports torch: panels show the session and call its verbs.
"""
