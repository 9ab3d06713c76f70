"""The names that people give to methods, gradients and what else a layer has."""
import re
from collections.abc import Iterable
from typing import Any

FORWARD = ("forward", "fprop", "forward_pass", "forward_propagation", "forward_prop", "fwd", "feedforward", "feed_forward",
           "propagate", "call", "apply", "__call__")
BACKWARD = ("backward", "bprop", "backprop", "back_prop", "backward_pass", "backward_propagation", "back_propagation",
            "backpropagation", "backpropagate", "backward_prop", "bwd", "bpass", "gradient", "grad")
OUTPUT = ("output", "outputs", "out", "y", "a", "activation", "activations", "result")
INPUT_GRADIENT = ("dinputs", "dinput", "dx", "dX", "grad_input", "input_grad", "input_gradient", "d_input")
RATES = {"learningrate", "lr", "learnrate", "eta", "stepsize", "rate"}
CACHES = {"cache", "caches", "ctx", "context", "tape", "memory", "saved", "state_cache"}
VALUES = {"data", "value", "val", "w", "param", "array"}        # of a weight that is an object of its own
GRADIENTS = ("grad", "grads", "gradient", "gradients", "g", "diff", "deriv")
WEIGHT_LISTS = ("params", "parameters", "weights", "trainable_params", "trainable_weights", "variables", "values", "theta",
                "get_params", "get_parameters", "get_weights")
GRADIENT_LISTS = ("grads", "gradients", "grad", "gradient", "dparams", "dparameters", "dweights", "param_grads", "weight_grads",
                  "weights_grads", "deltas", "derivatives", "get_grads", "get_gradients")
SHORT = {"weight": "w", "weights": "w", "bias": "b", "biases": "b", "kernel": "w", "filters": "f"}
STATISTICS = re.compile("running|moving|ema|momentum|velocity|average", re.IGNORECASE)


def plain(name: Any) -> str:
    """A name without what is written in several ways: case of the first letters, underscores."""
    return str(name).lower().replace("_", "")


def is_gradient_of(gradient: Any, name: Any) -> bool:
    """Whether `gradient` is one of the usual names for the gradient of `name`: dW, grad_W, W_grad, gW, nabla_W, dL_dW …"""
    return plain(gradient) in _gradient_names(plain(name))


def _gradient_names(name: str) -> set[str]:
    stems = {name, name.removesuffix("s"), name.removesuffix("es"), name + "s", SHORT.get(name, "")} - {""}
    before = ("d", "grad", "gradient", "grads", "g", "delta", "del", "nabla", "dl", "dld", "de", "ded", "dj", "djd", "dcd",
              "dloss", "derivative", "partial", "gradof", "gradientof")
    after = ("grad", "gradient", "grads", "gradients", "d", "delta", "deriv", "derivative")
    return {word + stem for stem in stems for word in before} | {stem + word for stem in stems for word in after}


def is_gradient(name: str) -> bool:
    """Whether an argument of this name is what comes in from behind: dy, dout, delta, grad_output, upstream …"""
    words = ("grad", "delta", "upstream", "error", "err", "dvalue")
    own = plain(name)
    no = own in ("data", "dim", "dims", "dtype", "dropout", "decay", "depth", "debug", "device", "dict", "d")
    return not no and (own.startswith("d") or any(word in own for word in words))


def is_rate(name: str) -> bool:
    return plain(name) in RATES


def is_cache(name: str) -> bool:
    return plain(name) in CACHES or "cache" in plain(name)


def first_there(names: Iterable[str], thing: Any) -> str | None:
    """The first of these names under which `thing` has a method."""
    return next((name for name in names if callable(getattr(thing, name, None))), None)
