"""The layers of the neural volume: waves, residual layers, outputs, in one pass over the points.

A volume network is asked for tens of thousands of points per step, and its layers are narrow, so
that what costs time besides the products is memory: autograd keeps several copies of every layer's
output and walks through each of them again. Here a block of points that fits into the cache goes
through all layers before the next one does, and only the outputs (from which the slope of the
rectifier follows) are kept for the way back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Bytes of one layer's output in a block on the CPU, per thread: about the second-level cache.
BLOCK_BYTES = 2**20
#: Points of a block on a GPU, where launches cost more than memory.
GPU_BLOCK_POINTS = 2**18


@dataclass(frozen=True)
class Plan:
    """How the layers are computed.

    Attributes
    ----------
    dtype
        Arithmetic of the products; the sums of gradients and the last layer are in that of the
        points.
    residual
        For each layer between the first and the last: its input is added before the rectifier.
    keep
        Outputs are kept for a backward pass.
    """

    dtype: torch.dtype
    residual: tuple[bool, ...]
    keep: bool


def wave_features(k: Tensor, waves: Tensor, dtype: torch.dtype) -> Tensor:
    """(P, 3) points -> (P, 2 F) sines, then cosines, of (F, 3) waves; the points where F = 0."""
    count = len(waves)
    if count == 0:
        return k.to(dtype)
    angle = k @ waves.T
    features = torch.empty(len(k), 2 * count, dtype=dtype, device=k.device)
    features[:, :count] = torch.sin(angle)
    features[:, count:] = torch.cos_(angle)
    return features


def network_outputs(
    k: Tensor, waves: Tensor, offset: Tensor, plan: Plan, parameters: list[Tensor]
) -> Tensor:
    """What the network gives at points.

    ``h = relu(W_0 features(k) + offset)``, then ``h = relu(W h + b [+ h])`` per layer, then
    ``W h + b``.

    Parameters
    ----------
    k
        (B, m, 3) points; no gradient flows to them.
    waves
        (F, 3) in radians per unit of ``k``; F = 0: the points themselves are the features.
    offset
        (B, w) of the first layer, one for all points of an image: bias and share of the latent.
    plan
        How to compute.
    parameters
        ``W_0`` (w, features), then weight and bias of each layer, those of the last one included.

    Returns
    -------
    (B, m, outputs) in the arithmetic of ``k``.
    """
    result: Tensor = _Network.apply(  # type: ignore[no-untyped-call]
        k.detach(), waves, offset, plan, *parameters
    )
    return result


def _blocks(count: int, points: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Images and points of each block: parts of one image, or several whole ones."""
    if points > size:
        parts = -(-points // size)
        step, together = -(-points // parts), 1
    else:
        step, together = points, max(1, size // max(points, 1))
    for image in range(0, count, together):
        for point in range(0, points, step):
            images = slice(image, min(image + together, count))
            yield images, slice(point, min(point + step, points))


def _block_points(parameters: tuple[Tensor, ...], dtype: torch.dtype) -> int:
    """Points of a block, by the widest layer."""
    if parameters[0].device.type != "cpu":
        return GPU_BLOCK_POINTS
    widest = max(len(weight) for weight in parameters[::2])
    return max(512, BLOCK_BYTES * torch.get_num_threads() // (widest * dtype.itemsize))


class _Network(torch.autograd.Function):
    """All layers, block by block, forwards and backwards."""

    @staticmethod
    def forward(
        ctx: Any, k: Tensor, waves: Tensor, offset: Tensor, plan: Plan, *parameters: Tensor
    ) -> Tensor:
        weights = [parameter.to(plan.dtype) for parameter in parameters[:-2]]
        offset_cast = offset.to(plan.dtype)[:, None]
        last_weight, last_bias = parameters[-2:]
        out = k.new_empty(*k.shape[:2], len(last_weight))
        blocks: list[tuple[slice, slice]] = []
        kept: list[Tensor] = []
        size = _block_points(parameters, plan.dtype)
        for images, points in _blocks(k.shape[0], k.shape[1], size):
            here = k[images, points]
            features = wave_features(here.reshape(-1, 3), waves, plan.dtype)
            h = features @ weights[0].T
            h.view(*here.shape[:2], -1).add_(offset_cast[images])
            outputs = [features, h.relu_()]
            for layer, residual in enumerate(plan.residual):
                weight, bias = weights[2 * layer + 1 : 2 * layer + 3]
                if residual:
                    h = torch.addmm(h, h, weight.T).add_(bias).relu_()
                else:
                    h = torch.addmm(bias, h, weight.T).relu_()
                outputs.append(h)
            values = torch.addmm(last_bias, h.to(k.dtype), last_weight.T)
            out[images, points] = values.view(*here.shape[:2], -1)
            if plan.keep:
                blocks.append((images, points))
                kept += outputs
        ctx.save_for_backward(last_weight, *weights, *kept)
        ctx.plan, ctx.blocks, ctx.weight_count = plan, blocks, len(weights)
        ctx.offset_shape = offset.shape
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        plan: Plan = ctx.plan
        last, *saved = ctx.saved_tensors
        weights, kept = saved[: ctx.weight_count], saved[ctx.weight_count :]
        depth = len(plan.residual) + 2
        to_offset = gradient.new_zeros(ctx.offset_shape)
        sums = [torch.zeros_like(weight, dtype=gradient.dtype) for weight in weights]
        sums += [torch.zeros_like(last), last.new_zeros(len(last))]
        last_cast = last.to(plan.dtype)
        for block, (images, points) in enumerate(ctx.blocks):
            outputs = kept[block * depth : (block + 1) * depth]
            above = gradient[images, points].flatten(0, 1)
            sums[-1] += above.sum(0)
            above = above.to(plan.dtype)
            sums[-2] += above.T @ outputs[-1]
            below = _rectified(above @ last_cast, outputs[-1])
            for layer in reversed(range(len(plan.residual))):
                weight, h = weights[2 * layer + 1], outputs[layer + 1]
                sums[2 * layer + 1] += below.T @ h
                sums[2 * layer + 2] += below.sum(0)
                if plan.residual[layer]:
                    below = _rectified(torch.addmm(below, below, weight), h)
                else:
                    below = _rectified(below @ weight, h)
            sums[0] += below.T @ outputs[0]
            count = images.stop - images.start
            to_offset[images] += below.view(count, -1, below.shape[1]).sum(1)
        return None, None, to_offset, None, *sums


def _rectified(gradient: Tensor, output: Tensor) -> Tensor:
    """The gradient where the rectifier let the value through, in place."""
    result: Tensor = torch.ops.aten.threshold_backward(gradient, output, 0)
    return result
