"""What all pooling layers share."""
from typing import Any, NamedTuple

from nblayers.layers import windows
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.spatial import SpatialLayer
from nblayers.layers.windows import Three


class Window(NamedTuple):
    """What slides over a volume (B, D, H, W, C), as the kernels take it; a tuple of three for the three axes."""

    size: Three
    strides: Three
    padding: Three          # in front; what lies behind follows from the number of windows


class Pooling(SpatialLayer):
    """One number of each window, in each channel on its own: no weights.

    Two questions, answered apart: which number (`Maximum`, `Average`: the halves of the computation), and which windows
    (`SlidingPooling`, `GlobalPooling`: arguments and shapes). A layer inherits one answer to each and a rank.
    """

    data_format: str = fixed()

    def __init__(self, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = windows.data_format(self, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self.built = True

    def _windows(self, shape: tuple[int, ...]) -> tuple[Window, Three]:
        """For a volume of this shape: the window, and how many of them lie along depth, height and width."""
        raise NotImplementedError

    def _output(self, y: Any) -> Any:
        """The windows' numbers (B, OD, OH, OW, C) as the layer's output."""
        raise NotImplementedError

    def _upstream(self, dy: Any) -> Any:
        """A gradient shaped like the layer's output as (B, OD, OH, OW, C)."""
        raise NotImplementedError
