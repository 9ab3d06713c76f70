"""Attention over heads in a layer's room: forward with what backward needs, with the scores or without."""
from dataclasses import dataclass
from typing import Any

from nblayers import sharing
from nblayers.layers.attention.masks import Masks
from nblayers.layers.base import Layer
from nblayers.layers.dropping import Drop, dropped, mask


@dataclass(eq=False)
class Fused:
    """A call that keeps no scores: softmax and its product with v in one kernel.

    Attributes:
        q, k, v: (B, T, H, D), (B, S, G, D), (B, S, G, E).
        y: (B, T, H, E).
        L: (B, H, T), the logarithm of each softmax' denominator.
        settings: the masks and numbers that the kernels take.
    """

    q: Any
    k: Any
    v: Any
    y: Any
    L: Any
    settings: tuple[Any, ...]


def attend(layer: Layer, q: Any, k: Any, v: Any, masks: Masks, scale: float, mean: bool, drop: Drop) -> Fused:
    """Attention of heads; a query without a key gets the mean of the values where `mean`, else 0."""
    B, T, H, _ = q.shape
    y, L = layer.xp.empty((B, T, H, v.shape[3]), q.dtype), layer.xp.empty((B, H, T), q.dtype)
    key = sharing.shifted(drop.key, (B, H, T, k.shape[1])) if drop.threshold else drop.key
    settings = (*masks, q.dtype.type(scale), mean, key, drop.threshold, drop.scale)
    layer.kernels.attention.attention(q, k, v, *settings, y, L)
    return Fused(q, k, v, y, L, settings)


def attend_backward(layer: Layer, c: Fused, dy: Any) -> tuple[Any, Any, Any]:
    """dy like y -> dq, dk, dv."""
    dq, dk, dv = (layer.xp.empty_like(each) for each in (c.q, c.k, c.v))
    layer.kernels.attention.attention_backward(dy, c.q, c.k, c.v, c.y, c.L, *c.settings, dq, dk, dv)
    return dq, dk, dv


@dataclass(eq=False)
class Weighed:
    """A call whose scores are wanted, or are not a product of q and k.

    Attributes:
        v: (B, S, G, E).
        p: (B, H, T, S), the weights.
        seen: (B, H, T), False for a query without a key.
        z: like p, False where dropped; None without dropout.
        zp: like p, the weights after dropout.
        y: (B, T, H, E).
        drop: as drawn.
    """

    v: Any
    p: Any
    seen: Any
    z: Any
    zp: Any
    y: Any
    drop: Drop


def weigh(layer: Layer, s: Any, v: Any, masks: Masks, scale: float, mean: bool, drop: Drop) -> Weighed:
    """The values' means weighted by the softmax of scale s, s (B, H, T, S)."""
    B, H, T, _ = s.shape
    xp, kernels = layer.xp, layer.kernels
    p, seen, y = xp.empty_like(s), xp.empty((B, H, T), bool), xp.empty((B, T, H, v.shape[3]), s.dtype)
    kernels.attention.masked_softmax(s, *masks, s.dtype.type(scale), mean, p, seen)
    z, zp = None, p
    if drop.threshold:
        z = mask(layer, drop, p.shape)
        zp = dropped(layer, p, z, drop.scale)
        if mean:                                            # of the mean nothing is dropped
            zp = xp.where(seen[..., None], zp, p)
    kernels.attention.weighted_sum(zp, v, y)
    return Weighed(v, p, seen, z, zp, y, drop)


def weigh_backward(layer: Layer, c: Weighed, dy: Any, dp: Any = None, dzp: Any = None) -> tuple[Any, Any]:
    """dy like y, and the gradients of p and zp where they were returned -> the gradient of scale s, dv."""
    from_y, dv = layer.xp.empty_like(c.p), layer.xp.empty_like(c.v)
    layer.kernels.attention.weighted_sum_backward(dy, c.zp, c.v, from_y, dv)
    dweights = from_y if dzp is None else from_y + dzp
    if c.z is not None:
        dweights = dropped(layer, dweights, c.z, c.drop.scale)
    if dp is not None:
        dweights = dweights + dp
    ds = layer.xp.empty_like(c.p)
    layer.kernels.attention.masked_softmax_backward(dweights, c.p, c.seen, ds)
    return ds, dv


def scores(layer: Layer, q: Any, k: Any) -> Any:
    """The products of q and k, (B, H, T, S)."""
    s = layer.xp.empty((len(q), q.shape[2], q.shape[1], k.shape[1]), q.dtype)
    layer.kernels.attention.dot_scores(q, k, s)
    return s


def scores_backward(layer: Layer, ds: Any, q: Any, k: Any, scale: float) -> tuple[Any, Any]:
    """The gradient of scale s -> dq, dk."""
    dq, dk = layer.xp.empty_like(q), layer.xp.empty_like(k)
    layer.kernels.attention.dot_scores_backward(ds, q, k, q.dtype.type(scale), dq, dk)
    return dq, dk
