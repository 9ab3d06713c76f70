r"""One convolution, plain or transposed, by the kernels, forward and backward.

    y = convolve(x, w) + b                      (1)
    y = convolve_transposed(x, w) + b           (2)

Each is the other's gradient for x (the formulas: kernels/reference/convolution.py). Images are (B, D, H, W, channels), weights
(kernel size…, ·, ·): a sequence or an image is a volume with sizes of one.
"""
from typing import Any, NamedTuple

from nblayers import config
from nblayers.arrays import as_rows
from nblayers.layers.windows import Three, three


class Window(NamedTuple):
    """How windows lie over depth, height and width."""
    strides: Three
    padding: Three          # positions added in front
    dilation: Three


POINT = Window((1, 1, 1), (0, 0, 0), (1, 1, 1))         # every position by itself


def convolve(layer: Any, x: Any, w: Any, b: Any, window: Window, groups: int, y: Any) -> None:
    """x (B, D, H, W, C), w (kernel size…, C / groups, F), parameter b (F,) or None -> y (B, OD, OH, OW, F)."""
    w, b = _volume(w, x, y, groups), _bias(layer, b, y)
    layer.kernels.convolution.convolve(x, w, b, *_how(window, groups), y)                                     # (1)


def convolve_backward(layer: Any, x: Any, w: Any, b: Any, window: Window, groups: int, dy: Any, dw: Any, dx: Any) -> None:
    """Of `convolve`, given dy: added to dw and to the gradient of b, written to dx unless that is None."""
    room, dw = layer.kernels.convolution, _volume(dw, x, dy, groups)
    if dx is None:
        _bias_backward(layer, b, dy)
        room.convolve_weight_gradient(x, dy, *_how(window, groups), dw)                                       # from (1)
    else:
        w, db = _volume(w, x, dy, groups), layer.xp.empty(0, dy.dtype) if b is None else b.grad
        room.convolve_backward(x, w, _bias(layer, None, x), dy, *_how(window, groups), dw, db, dx)            # from (1)


def convolve_transposed(layer: Any, x: Any, w: Any, b: Any, window: Window, groups: int, y: Any) -> None:
    """x (B, OD, OH, OW, F), w (kernel size…, C / groups, F), parameter b (C,) or None -> y (B, D, H, W, C)."""
    w, b = _volume(w, y, x, groups), _bias(layer, b, y)
    layer.kernels.convolution.convolve_transposed(x, w, b, *_how(window, groups), y)                          # (2)


def convolve_transposed_backward(layer: Any, x: Any, w: Any, b: Any, window: Window, groups: int, dy: Any, dw: Any,
                                 dx: Any) -> None:
    """Of `convolve_transposed`, given dy: added to dw and to the gradient of b, written to dx unless that is None."""
    room = layer.kernels.convolution
    _bias_backward(layer, b, dy)
    room.convolve_weight_gradient(dy, x, *_how(window, groups), _volume(dw, dy, x, groups))                   # from (2)
    if dx is not None:
        room.convolve(dy, _volume(w, dy, x, groups), _bias(layer, None, x), *_how(window, groups), dx)        # from (2)


def _how(window: Window, groups: int) -> tuple[Any, ...]:
    return *window, groups, config.winograd()


def _volume(w: Any, image: Any, windows: Any, groups: int) -> Any:
    """Weights as (KD, KH, KW, C / groups, F): a view."""
    return w.reshape(*three(w.shape[:-2], 1), image.shape[-1] // groups, windows.shape[-1])


def _bias_backward(layer: Any, b: Any, dy: Any) -> None:
    if b is not None:
        layer.kernels.core.bias_backward(as_rows(dy), b.grad)              # from (1), (2): b is everywhere


def _bias(layer: Any, b: Any, y: Any) -> Any:
    return layer.xp.zeros(y.shape[-1], y.dtype) if b is None else b.value
