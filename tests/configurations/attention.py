"""Attention, with masks of all kinds."""
from typing import Any

from .drawing import Draw, Setup, call, makes


def attended(draw: Draw) -> tuple[Any, Any, Any]:
    """Queries (B, T, D), values (B, S, E), and keys (B, S, D) or None, where values are keys too."""
    B, T, S, D, E = draw.integer(1, 2), *(draw.size() for _ in range(4))
    if draw.chance():
        return draw.numbers(B, T, D), draw.numbers(B, S, D), None
    return draw.numbers(B, T, D), draw.numbers(B, S, E), draw.numbers(B, S, D)


def attention_call(draw: Draw) -> dict[str, Any]:
    return {**draw.flags("use_causal_mask", "return_attention_scores"), "training": draw.chance()}


@makes("layers.Attention", "layers.AdditiveAttention")
def attention(draw: Draw, name: str) -> Setup:
    options = draw.some(use_scale=[True, False], dropout=[0.3])
    if name == "layers.Attention":
        options |= draw.some(score_mode=["dot", "concat"])
    query, value, key = attended(draw)
    masks = [draw.one([None, draw.mask(*x.shape[:2])]) for x in (query, value)]
    inputs = [query, value] if key is None else [query, value, key]
    return Setup(call(name, **options), [inputs], {"mask": masks, **attention_call(draw)})


def attention_masks(draw: Draw, query: Any, value: Any) -> dict[str, Any]:
    (B, T), S = query.shape[:2], value.shape[1]
    return draw.some(query_mask=[draw.mask(B, T)], value_mask=[draw.mask(B, S)], key_mask=[draw.mask(B, S)],
                     attention_mask=[draw.mask(T, S), draw.mask(B, T, S)])


def heads_options(draw: Draw) -> dict[str, Any]:
    return draw.some(dropout=[0.3], use_bias=[False], sliding_window=[1, 2], use_gate=[True]) | draw.penalty()


@makes("layers.MultiHeadAttention")
def multi_head(draw: Draw, name: str) -> Setup:
    if draw.chance(0.2):
        return over_some_axes(draw, name)
    query, value, key = attended(draw)
    options = heads_options(draw) | draw.some(value_dim=[1, 2], output_shape=[3, (2, 1)])
    masks = attention_masks(draw, query, value) | attention_call(draw) | ({} if key is None else {"key": key})
    return Setup(call(name, draw.integer(1, 2), draw.integer(1, 2), **options), [query, value], masks)


def over_some_axes(draw: Draw, name: str) -> Setup:
    """Queries and values of two axes of places, over one of which attention runs, or over both."""
    B, R, T, S, D = draw.integer(1, 2), *(draw.size() for _ in range(4))
    axes = draw.one([2, (2,), None])
    query, value = draw.numbers(B, R, T, D), draw.numbers(B, R if axes else S, S, D)
    options = draw.some(dropout=[0.3], use_gate=[True])
    return Setup(call(name, 2, draw.integer(1, 2), attention_axes=axes, **options), [query, value],
                 {**draw.flags("return_attention_scores"), "training": draw.chance()})


@makes("layers.GroupQueryAttention")
def grouped(draw: Draw, name: str) -> Setup:
    query, value, key = attended(draw)
    groups = draw.integer(1, 2)
    source = call(name, draw.integer(1, 2), groups * draw.integer(1, 2), groups, **heads_options(draw))
    masks = attention_masks(draw, query, value) | attention_call(draw) | ({} if key is None else {"key": key})
    return Setup(source, [query, value], masks)
