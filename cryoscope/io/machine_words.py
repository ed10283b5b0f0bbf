"""Instructions of the processor that numba has no name for, for compiled loops over bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray


def _eight_from(typing: Any, byte: Any, at: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.gep(array.data, [arguments[1]])
        place = builder.bitcast(place, ir.IntType(64).as_pointer())
        return builder.load(place, align=1)

    return types.uint64(byte, types.int64), code


def _bytes_below(typing: Any, marks: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.lshr(bits, ir.Constant(ir.IntType(64), 3))

    return types.int64(types.uint64), code


def _set_bits(typing: Any, marks: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), code


# mypy takes an intrinsic for the function that makes its code
_compiled: Any = intrinsic
#: (byte, at): eight bytes from any place on, as a number; nothing is checked.
eight_from: Callable[[NDArray[np.uint8], int], np.uint64] = _compiled(_eight_from)
#: How many whole bytes lie below the lowest bit that is set; 8 where none is.
bytes_below: Callable[[np.uint64], int] = _compiled(_bytes_below)
#: How many bits are set.
set_bits: Callable[[np.uint64], int] = _compiled(_set_bits)
