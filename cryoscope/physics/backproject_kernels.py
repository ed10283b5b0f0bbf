"""The insertion of central slices into a half-space of Fourier voxels, fused and threaded.

Every thread owns planes of the grid and goes through all slices, adding only to the planes it owns:
no voxel is ever written by two threads, and every voxel gets its terms in the order of the images,
so that the result is the same to the last bit for any number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic

#: Numbers kept per voxel: real and imaginary part of the sum, sum of the weights, and padding that
#: makes a voxel one vector of four.
LANES = 4
_HALF = np.float32(0.5)


_FLOAT = ir.FloatType()
_PAIR = ir.VectorType(_FLOAT, 2 * LANES)
_ARGUMENTS = (types.intp, types.intp, *(types.float32,) * 6)


@intrinsic
def _add(
    typing: Any,
    grid: Any,
    start: Any,
    stride: Any,
    fx: Any,
    re: Any,
    im: Any,
    weight: Any,
    first: Any,
    second: Any,
) -> Any:
    """Add to the voxels at x and x + 1 of two lines; called from compiled kernels.

    A compiler does not see that two neighbours are one vector of eight numbers, so the
    instructions are written out.

    Parameters
    ----------
    grid
        The float32 grid; its voxels lie one after the other.
    start, stride
        Number of the voxel at x of the first line, and voxels from a line to the next.
    fx
        Share of the voxel at x + 1.
    re, im, weight
        What is added.
    first, second
        Shares of the two lines.
    """

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        grid, start, stride, fx, re, im, weight, first, second = given

        def op(name: str, a: Any, b: Any) -> Any:
            return getattr(builder, name)(a, b, flags=("fast",))

        def vector(lanes: list[Any]) -> Any:
            whole = ir.Constant(_PAIR, ir.Undefined)
            for place, lane in enumerate(lanes):
                index = ir.Constant(ir.IntType(32), place)
                whole = builder.insert_element(whole, lane, index)
            return whole

        zero, one = ir.Constant(_FLOAT, 0.0), ir.Constant(_FLOAT, 1.0)
        near = op("fsub", one, fx)
        terms = vector([re, im, weight, zero] * 2)
        terms = op("fmul", terms, vector([near] * LANES + [fx] * LANES))
        voxels = context.make_array(signature.args[0])(context, builder, grid).data
        lanes = ir.Constant(start.type, LANES)
        for share in (first, second):
            place = builder.gep(voxels, [builder.mul(start, lanes)])
            pointer = builder.bitcast(place, _PAIR.as_pointer())
            before = builder.load(pointer)
            before.align = 4
            after = op("fadd", before, op("fmul", terms, vector([share] * 2 * LANES)))
            builder.store(after, pointer).align = 4
            start = builder.add(start, stride)
        return context.get_dummy_value()

    return types.void(grid, *_ARGUMENTS), generate


#: Numba leaves the first parameter of an intrinsic to itself; type checkers would ask for it.
_add_lines: Any = _add


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _insert_slice(
    spectrum: Any,
    along_x: Any,
    along_y: Any,
    ctf: Any,
    image_weight: Any,
    turn: Any,
    rows: Any,
    begin: int,
    end: int,
    grid: Any,
) -> None:
    """Add one slice to the planes ``begin`` to ``end - 1`` of the grid; see `insert_slices`."""
    one = np.float32(1)
    planes, lines = grid.shape[1], grid.shape[2]
    middle = np.int32(planes // 2)
    reach = np.float32(middle)
    limit = reach * np.float32(1 - 1e-5)  # so that adding K below cannot round up to 2 K
    start = 0
    for r in range(len(rows)):
        line, ky, count = rows[r, 0], np.float32(rows[r, 1]), rows[r, 2]
        shift_re, shift_im = along_y[line].real, along_y[line].imag
        x0, y0, z0 = turn[1, 0] * ky, turn[1, 1] * ky, turn[1, 2] * ky
        for kx in range(count):
            step = np.float32(kx)
            x, y, z = x0 + turn[0, 0] * step, y0 + turn[0, 1] * step, z0 + turn[0, 2] * step
            mirrored = x < 0
            if mirrored:
                x, y, z = -x, -y, -z
            if max(x, abs(y), abs(z)) >= limit:
                continue
            # K is added before the cut: what is positive is floored by it
            iz = np.int32(z + reach)
            if iz + 1 < begin or iz >= end:
                continue
            ix, iy = np.int32(x), np.int32(y + reach)
            fx = x - np.float32(ix)
            fy, fz = y - np.float32(iy - middle), z - np.float32(iz - middle)
            # the image's phases: its centre, and back by its shift
            phase_re = along_x[kx].real * shift_re - along_x[kx].imag * shift_im
            phase_im = along_x[kx].real * shift_im + along_x[kx].imag * shift_re
            data = spectrum[line, kx]
            transfer = ctf[start + kx]
            # column 0 holds both of every pair of mirrors, the others one
            factor = transfer * (_HALF * image_weight if kx == 0 else image_weight)
            re = factor * (data.real * phase_re - data.imag * phase_im)
            im = factor * (data.real * phase_im + data.imag * phase_re)
            im = -im if mirrored else im
            weight = factor * transfer
            voxel = (iz * planes + iy) * lines + ix
            if iz >= begin:
                near = one - fz
                _add_lines(grid, voxel, lines, fx, re, im, weight, near * (one - fy), near * fy)
            if iz + 1 < end:
                voxel += planes * lines
                _add_lines(grid, voxel, lines, fx, re, im, weight, fz * (one - fy), fz * fy)
        start += count


@njit(parallel=True, cache=True, nogil=True, error_model="numpy")
def insert_slices(
    spectra: Any,
    along_x: Any,
    along_y: Any,
    ctf: Any,
    image_weight: Any,
    turn: Any,
    rows: Any,
    bounds: Any,
    grid: Any,
) -> None:
    """Add central slices to a grid, trilinearly.

    Parameters
    ----------
    spectra
        (B, n, n // 2 + 1) complex64 half-planes, origin of the images in the corner.
    along_x, along_y
        (B, n // 2 + 1) and (B, n) complex64 phases that every coefficient is multiplied with.
    ctf
        (B, m) float32 transfer function: a coefficient is added times it, its weight is its square.
    image_weight
        (B,) float32 factor of both.
    turn
        (B, 2, 3) float32: where one step along kx and ky of the image leads in the grid (x, y, z).
    rows
        (R, 3) lines of the half-plane: number, signed ky, and how many coefficients from kx = 0 on.
        Together they are the m coefficients.
    bounds
        (T + 1,) ascending planes: thread t writes planes ``bounds[t]`` to ``bounds[t + 1] - 1``.
    grid
        (2 K + 1, 2 K + 1, K + 1, LANES) float32 voxels kz, ky from -K to K and kx from 0 to K,
        added to. Slices are cut at K.
    """
    for t in prange(len(bounds) - 1):
        for b in range(len(spectra)):
            _insert_slice(
                spectra[b],
                along_x[b],
                along_y[b],
                ctf[b],
                image_weight[b],
                turn[b],
                rows,
                bounds[t],
                bounds[t + 1],
                grid,
            )
