"""Dropout as PyTorch writes it. `inplace` is accepted and changes nothing: no layer here changes its input."""
from typing import Any

from nblayers import layers
from nblayers.arguments import flag, number
from nblayers.layers.base import Layer
from nblayers.layers.dropping import draw, mask
from nblayers.layers.input_spec import InputSpec
from nblayers.nn.module import LibraryModule


class _Rated(LibraryModule):
    """What all have: the rate p. They follow `training`, which is True until `eval()`."""

    rate: float

    open = ""           # ")" where p = 1 is not allowed

    def __init__(self, p: float = 0.5, inplace: bool = False, **kwargs: Any) -> None:
        super().__init__(number(type(self).__name__, "p", p, 0, 1, open=self.open), **kwargs)
        self.inplace = flag(self.described, "inplace", inplace)

    @property
    def p(self) -> float:
        return self.rate

    @p.setter
    def p(self, value: float) -> None:
        self.rate = number(self.described, "p", value, 0, 1, open=self.open)

    def get_config(self) -> dict[str, Any]:
        return Layer.get_config(self) | {"p": self.p, "inplace": self.inplace}          # not Dropout's: its keys are Keras'

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Rated, layers.Dropout):
    """`layers.Dropout` with rate p.

    Arguments:
        p: the part of the values that is dropped, from 0 to 1.
        inplace: accepted; the input is left as it is.

    Raises:
        ValueError: p outside [0, 1].

    Source: torch.nn.Dropout.
    """


class _ChannelDropout(_Rated, layers.Dropout):
    """Drops whole channels of (batch, channels, …) with `rank` axes of places, or without the batch axis of (channels, …)."""

    rank = 0

    def __init__(self, p: float = 0.5, inplace: bool = False, **kwargs: Any) -> None:
        super().__init__(p, inplace, **kwargs)
        self.input_spec = InputSpec(min_ndim=self.rank + 1, max_ndim=self.rank + 2)

    def _draw(self, shape: tuple[int, ...]) -> Any:
        m = mask(self, draw(self, self.rate, self.seed_generator), self._drawn(shape))
        return self.xp.ascontiguousarray(self.xp.broadcast_to(m, shape))

    def _drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the numbers that are drawn, one for each channel."""
        return (*shape[:len(shape) - self.rank], *(1,) * self.rank)


class Dropout1d(_ChannelDropout):
    """Drops whole channels of (batch, channels, steps) or (channels, steps); arguments: `Dropout`.

    Source: torch.nn.Dropout1d.
    """

    rank = 1


class Dropout2d(_ChannelDropout):
    """Drops whole channels of (batch, channels, height, width); arguments: `Dropout`.

    An input of three axes is (batch, channels, steps), as PyTorch takes it, with a warning; here it warns of nothing.

    Source: torch.nn.Dropout2d.
    """

    rank = 2

    def _drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:2], *(1,) * (len(shape) - 2))


class Dropout3d(_ChannelDropout):
    """Drops whole channels of (batch, channels, depth, height, width), or without batch; arguments: `Dropout`.

    Source: torch.nn.Dropout3d.
    """

    rank = 3


class AlphaDropout(_Rated, layers.AlphaDropout):
    """`layers.AlphaDropout` with rate p.

    Arguments:
        p: the part of the values that is dropped, from 0 to below 1.
        inplace: accepted; the input is left as it is.

    Raises:
        ValueError: p outside [0, 1).

    Source: torch.nn.AlphaDropout.
    """

    open = ")"


__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d"]
