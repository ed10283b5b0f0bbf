"""One Gaussian bead and one small window of an image, in vector instructions.

A compiler does not vectorise loops as short as a bead is wide, so the instructions are written out:
a row of the window is one vector of ``width`` pixels, and the rows are unrolled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: exp(-x) is clamped there, and is this power of 2 times squared.
_MOST, _SQUARINGS = 20.0, 5
_FLOAT = ir.FloatType()


def _polynomial() -> list[float]:
    """Coefficients of exp(-t) for t from 0 to _MOST / 2^_SQUARINGS, fitted at Chebyshev nodes."""
    half = _MOST / 2**_SQUARINGS / 2
    t = half * (1 + np.cos(np.pi * (np.arange(200) + 0.5) / 200))
    return [float(np.float32(c)) for c in np.polynomial.polynomial.polyfit(t, np.exp(-t), 5)]


_COEFFICIENTS = _polynomial()


class _Window:
    """Emits the profiles of one bead along one axis, as vectors of ``size`` samples."""

    def __init__(
        self, builder: ir.IRBuilder, size: int, offset: Any, rate: Any, limit: Any
    ) -> None:
        self.builder, self.size = builder, size
        self.kind = ir.VectorType(_FLOAT, size)
        steps = ir.Constant(self.kind, [float(i) for i in range(size)])
        self.offset = self._op("fadd", self.spread(offset), steps)
        square = self._op("fmul", self.offset, self.offset)
        self.value = self._exp(self._op("fmul", square, self.spread(rate)))
        inside = builder.fcmp_ordered("<=", square, self.spread(limit))
        self.value = builder.select(inside, self.value, self.constant(0.0))

    def _op(self, name: str, a: Any, b: Any) -> Any:
        return getattr(self.builder, name)(a, b, flags=("fast",))

    def constant(self, value: float) -> ir.Constant:
        """The same number in every sample."""
        return ir.Constant(self.kind, [value] * self.size)

    def spread(self, scalar: Any) -> Any:
        """A scalar in every sample."""
        index = ir.Constant(ir.IntType(32), 0)
        one = self.builder.insert_element(ir.Constant(self.kind, ir.Undefined), scalar, index)
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.size), [0] * self.size)
        return self.builder.shuffle_vector(one, one, mask)

    def _exp(self, x: Any) -> Any:
        """exp(-x), relative error below 1e-5."""
        most = self.constant(_MOST)
        x = self.builder.select(self.builder.fcmp_ordered("<", x, most), x, most)
        t = self._op("fmul", x, self.constant(2.0**-_SQUARINGS))
        value: Any = self.constant(_COEFFICIENTS[-1])
        for c in reversed(_COEFFICIENTS[:-1]):
            value = self._op("fadd", self._op("fmul", value, t), self.constant(c))
        for _ in range(_SQUARINGS):
            value = self._op("fmul", value, value)
        return value

    def times(self, a: Any, b: Any) -> Any:
        """Product."""
        return self._op("fmul", a, b)

    def plus(self, a: Any, b: Any) -> Any:
        """Sum."""
        return self._op("fadd", a, b)

    def row_factor(self, values: Any, row: int, across: _Window) -> Any:
        """Sample ``row`` of this axis' values in every sample of the other axis."""
        index = ir.Constant(ir.IntType(32), row)
        return across.spread(self.builder.extract_element(values, index))

    def total(self, values: Any) -> Any:
        """Sum over the samples."""
        module = self.builder.module
        name = f"llvm.vector.reduce.fadd.v{self.size}f32"
        kind = ir.FunctionType(_FLOAT, [_FLOAT, self.kind])
        reduce = cgutils.get_or_insert_function(module, kind, name)
        return self.builder.call(reduce, [ir.Constant(_FLOAT, 0.0), values], fastmath=("fast",))


def _row_pointers(
    context: Any, builder: ir.IRBuilder, kind: Any, image: Any, start: Any, rows: int, vector: Any
) -> list[Any]:
    """Pointers to the rows of the window whose first pixel is number ``start`` of the image."""
    array = context.make_array(kind)(context, builder, image)
    box = builder.extract_value(array.shape, 1)
    pointers = []
    for _ in range(rows):
        place = builder.gep(array.data, [start])
        pointers.append(builder.bitcast(place, vector.as_pointer()))
        start = builder.add(start, box)
    return pointers


def _load(builder: ir.IRBuilder, pointer: Any) -> Any:
    value = builder.load(pointer)
    value.align = 4
    return value


_ARGUMENTS = (types.intp, *(types.float32,) * 4)


@intrinsic(prefer_literal=True)
def _add(
    typing: Any,
    width: Any,
    height: Any,
    image: Any,
    start: Any,
    x: Any,
    y: Any,
    rate: Any,
    peak: Any,
) -> Any:
    """Add ``peak exp(-rate r^2)`` to the pixels of a window; called from compiled kernels.

    Parameters
    ----------
    width, height
        Pixels of the window, constants.
    image
        (n, n) C-ordered float32.
    start
        Number of the window's first pixel in the flattened image.
    x, y
        Where the first pixel lies from the bead, in px.
    rate, peak
        Of the Gaussian.
    """
    columns, rows = width.literal_value, height.literal_value

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        image, start, x, y, rate, peak = given[2:]
        far = ir.Constant(_FLOAT, 1e30)
        along = _Window(builder, columns, x, rate, far)
        down = _Window(builder, rows, y, rate, far)
        values = down.times(down.value, down.spread(peak))
        kind = signature.args[2]
        pointers = _row_pointers(context, builder, kind, image, start, rows, along.kind)
        for row, pointer in enumerate(pointers):
            term = along.times(along.value, down.row_factor(values, row, along))
            builder.store(along.plus(_load(builder, pointer), term), pointer).align = 4
        return context.get_dummy_value()

    return types.void(width, height, image, *_ARGUMENTS), generate


@intrinsic(prefer_literal=True)
def _read(
    typing: Any,
    width: Any,
    height: Any,
    image: Any,
    start: Any,
    x: Any,
    y: Any,
    rate: Any,
    limit: Any,
) -> Any:
    """What a bead sees in a window: the sums of ``w v``, ``w v x``, ``w v y`` and ``w v r^2``.

    Here v are the pixels, and ``w = exp(-rate r^2)`` where neither ``x^2`` nor ``y^2`` is above
    ``limit``, else 0. Arguments as of ``add_in_window``.
    """
    columns, rows = width.literal_value, height.literal_value
    result = types.UniTuple(types.float32, 4)

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        image, start, x, y, rate, limit = given[2:]
        along = _Window(builder, columns, x, rate, limit)
        down = _Window(builder, rows, y, rate, limit)
        kind = signature.args[2]
        pointers = _row_pointers(context, builder, kind, image, start, rows, along.kind)
        # moments of the rows about the middle of the window: one factor per row
        middle = (rows - 1) / 2
        moments: list[Any] = [along.constant(0.0)] * 3
        for row, pointer in enumerate(pointers):
            factor = down.row_factor(down.value, row, along)
            pixels = along.times(_load(builder, pointer), factor)
            for power in range(3):
                term = along.times(pixels, along.constant((row - middle) ** power))
                moments[power] = along.plus(moments[power], term)
        away = along.spread(builder.fadd(y, ir.Constant(_FLOAT, middle)))
        seen, first, second = (along.times(moment, along.value) for moment in moments)
        across = along.times(seen, along.offset)
        upward = along.plus(along.times(seen, away), first)
        square = along.plus(second, along.times(away, along.plus(first, upward)))
        square = along.plus(square, along.times(across, along.offset))
        sums = [along.total(values) for values in (seen, across, upward, square)]
        return context.make_tuple(builder, result, sums)

    return result(width, height, image, *_ARGUMENTS), generate


#: As numba's own types know them, intrinsics take one argument more.
add_in_window: Any = _add
read_in_window: Any = _read
