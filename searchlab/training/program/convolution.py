"""Convolutions and poolings in the form that is fast on JAX, put in place of those of a built model.

Why: on a CPU, XLA has good kernels for a convolution that reads (batch, height, width, channels), and it brings others
into that form only outside of loops.  The gradients that JAX derives are such others, and every training step is inside
a loop: 16 → 32 channels on 16×16 images, 32 examples, take 0.9 ms forwards, 122 and 30 ms backwards.  Here both
gradients are written as convolutions of that form: 1.2 and 0.9 ms.  The kernels of several trials make it a grouped
convolution, which is slow again; so trials take turns on a CPU (`on_jax.lanes_of`).  On other devices a convolution
over the kernels of many trials is patches times a batch of matrices.

Turned down on a CPU: patches (1.4, 1.6 and 2.2 ms; three times as long on 32×32 images), one product for each tap of
the kernel.  The layers keep their configuration: models are saved and restored as ever.
"""

from __future__ import annotations

import functools
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import keras
from jax import lax

Pair: TypeAlias = tuple[int, int]
Pads: TypeAlias = tuple[Pair, Pair]

FEW_CHANNELS = 4
"""Up to so many inputs a convolution is a sum of products of numbers: 1.1 instead of 1.9 ms (32×32, 1 → 16)."""

FORM = ("NHWC", "HWIO", "NHWC")


def quicken(model: keras.Model) -> None:
    """Have the convolutions and poolings of `model` computed in the fast form; the others are left alone."""
    for layer in model._flatten_layers(include_self=False):
        if getattr(layer, "data_format", None) != "channels_last":
            continue
        if type(layer) is keras.layers.Conv2D and layer.groups == 1 and set(layer.dilation_rate) == {1}:
            layer.convolution_op = functools.partial(_convolution, layer.strides, layer.padding)
        elif type(layer) is keras.layers.MaxPooling2D and layer.padding == "valid":
            if layer.pool_size == layer.strides == (2, 2):
                layer.call = _largest


def _convolution(strides: Pair, padding: str, inputs: Any, kernel: Any) -> Any:
    """What `Conv2D.convolution_op` gives."""
    kernel = keras.ops.convert_to_tensor(kernel)
    inputs = keras.ops.convert_to_tensor(inputs, dtype=kernel.dtype)
    sides = zip(inputs.shape[1:3], kernel.shape[:2], strides, strict=True)
    high, wide = (_pads(*side) if padding == "same" else (0, 0) for side in sides)
    if kernel.shape[:2] == (1, 1) or jax.default_backend() != "cpu":
        return _by_patches(inputs, kernel, strides, (high, wide))
    return _by_convolutions(inputs, kernel, strides, (high, wide))


def _pads(size: int, kernel: int, stride: int) -> Pair:
    """Zeros before and after, for "same"."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _taps(x: Any, kernel: tuple[int, ...], strides: Pair, pads: Pads) -> list[Any]:
    """For each place of the kernel, row by row, what it meets of `x` (b, h, w, c)."""
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    ends = [size - side + 1 for size, side in zip(x.shape[1:3], kernel, strict=False)]
    return [
        x[:, i : i + ends[0] : strides[0], j : j + ends[1] : strides[1]]
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]


def _by_patches(x: Any, kernel: Any, strides: Pair, pads: Pads) -> Any:
    patches = jnp.concatenate(_taps(x, kernel.shape[:2], strides, pads), axis=-1)
    flat = patches.reshape(-1, patches.shape[-1]) @ kernel.reshape(-1, kernel.shape[-1])
    return flat.reshape(*patches.shape[:-1], kernel.shape[-1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _by_convolutions(x: Any, kernel: Any, strides: Pair, pads: Pads) -> Any:
    if x.shape[-1] > FEW_CHANNELS:
        return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=FORM)
    places = kernel.reshape(-1, *kernel.shape[2:])
    met = zip(_taps(x, kernel.shape[:2], strides, pads), places, strict=True)
    terms = [tap[..., c : c + 1] * place[c] for tap, place in met for c in range(x.shape[-1])]
    return functools.reduce(jnp.add, terms)


def _forwards(x: Any, kernel: Any, strides: Pair, pads: Pads) -> tuple[Any, tuple[Any, Any]]:
    return _by_convolutions(x, kernel, strides, pads), (x, kernel)


def _backwards(strides: Pair, pads: Pads, kept: tuple[Any, Any], dy: Any) -> tuple[Any, Any]:
    x, kernel = kept
    return _to_inputs(x, kernel, strides, pads, dy), _to_kernel(x, kernel, strides, pads, dy)


_by_convolutions.defvjp(_forwards, _backwards)


def _to_kernel(x: Any, kernel: Any, strides: Pair, pads: Pads, dy: Any) -> Any:
    """The inputs convolved with `dy`: channels stand where examples stood, examples where channels did."""
    sides = zip(x.shape[1:3], kernel.shape[:2], strides, pads, dy.shape[1:3], strict=True)
    edges = [(low, side - 1 + (out - 1) * stride + 1 - size - low) for size, side, stride, (low, _), out in sides]
    turned = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3), (1, 1), edges, rhs_dilation=strides, dimension_numbers=FORM
    )
    return turned.transpose(1, 2, 0, 3)


def _to_inputs(x: Any, kernel: Any, strides: Pair, pads: Pads, dy: Any) -> Any:
    """`dy` convolved with the turned kernel; with strides, products added up at the places that they came from."""
    high, wide = kernel.shape[:2]
    sides = list(zip(x.shape[1:3], pads, strides, dy.shape[1:3], strict=True))
    if strides == (1, 1):
        reach = zip(sides, (high, wide), strict=True)
        edges = [(side - 1 - low, size + low - out) for (size, (low, _), _, out), side in reach]
        turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
        return lax.conv_general_dilated(dy, turned, (1, 1), edges, dimension_numbers=FORM)
    filters = dy.shape[-1]
    products = dy.reshape(-1, filters) @ kernel.reshape(-1, filters).T
    products = products.reshape(*dy.shape[:3], high * wide, -1)
    zero = jnp.zeros((), dy.dtype)

    def placed(number: int) -> Any:
        offsets = divmod(number, wide)
        edges = [
            (offset - low, size + low - offset - 1 - (out - 1) * stride, stride - 1)
            for (size, (low, _), stride, out), offset in zip(sides, offsets, strict=True)
        ]
        return lax.pad(products[..., number, :], zero, ((0, 0, 0), *edges, (0, 0, 0)))

    return functools.reduce(jnp.add, map(placed, range(high * wide)))


@jax.custom_vjp  # type: ignore[untyped-decorator]
def _largest(inputs: Any) -> Any:
    """Each 2×2 pixels' largest; the first of equals gets the gradient, as with XLA (1.1 ms instead of 4.7 ms)."""
    return functools.reduce(jnp.maximum, _quarters(inputs))


def _largest_backwards(inputs: Any, dy: Any) -> tuple[Any]:
    parts = _quarters(inputs)
    largest = functools.reduce(jnp.maximum, parts)
    taken = jnp.zeros(largest.shape, bool)
    shares = []
    for part in parts:
        is_first = (part == largest) & ~taken
        taken = taken | is_first
        shares.append(jnp.where(is_first, dy, jnp.zeros((), dy.dtype)))
    rows = [jnp.stack(shares[i : i + 2], axis=3) for i in (0, 2)]
    b, h, w, c = largest.shape
    whole = jnp.stack(rows, axis=2).reshape(b, 2 * h, 2 * w, c)
    return (jnp.pad(whole, ((0, 0), (0, inputs.shape[1] - 2 * h), (0, inputs.shape[2] - 2 * w), (0, 0))),)


_largest.defvjp(lambda inputs: (_largest(inputs), inputs), _largest_backwards)


def _quarters(x: Any) -> list[Any]:
    """The four pixels of all squares, row by row; a last odd row or column belongs to none."""
    high, wide = (size // 2 * 2 for size in x.shape[1:3])
    return [x[:, i:high:2, j:wide:2] for i in (0, 1) for j in (0, 1)]
