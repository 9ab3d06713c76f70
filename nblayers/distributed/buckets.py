"""Gradients summed over all processes while the backward still runs."""
from collections.abc import Mapping, Sequence

import numpy as np

from nblayers.devices import to_numpy
from nblayers.distributed.talk import Talk
from nblayers.parameter import Parameter


class Bucket:
    """Some weights whose gradients go in one message, and lie in it where they are NumPy arrays.

    Arguments:
        parameters: the weights, all of one dtype.
        last: the number of the call whose backward makes the last of their gradients whole.
    """

    def __init__(self, parameters: Sequence[Parameter], last: int) -> None:
        self.parameters, self.last = parameters, last
        sizes = [int(parameter.value.size) for parameter in parameters]
        self.buffer = np.empty(sum(sizes), parameters[0].dtype)
        ends = np.cumsum(sizes)
        self._views = [self.buffer[end - size:end].reshape(parameter.shape)
                       for parameter, size, end in zip(parameters, sizes, ends, strict=True)]
        for parameter, view in zip(parameters, self._views, strict=True):
            if isinstance(parameter.grad, np.ndarray):
                parameter.keep_grad_in(view)

    def pack(self, weight: float) -> None:
        """Take the gradients, times the share that this process has of the batch."""
        for parameter, view in zip(self.parameters, self._views, strict=True):
            if weight:
                np.multiply(to_numpy(parameter.grad), self.buffer.dtype.type(weight), out=view)
            else:
                view.fill(0)

    def unpack(self) -> None:
        """Give the sums to weights whose gradients lie elsewhere."""
        for parameter, view in zip(self.parameters, self._views, strict=True):
            if parameter.grad is not view:
                parameter.grad.set(view)


class Buckets:
    """All gradients of a model, in the order in which a backward makes them.

    Arguments:
        parameters: the weights.
        first_calls: by the id of each weight the first call of the graph that has it: the last one in a backward.
        limit: bytes of a bucket, from which on the next one begins.
    """

    def __init__(self, parameters: Sequence[Parameter], first_calls: Mapping[int, int], limit: int, talk: Talk) -> None:
        self._talk = talk
        self.buckets: list[Bucket] = []
        self._next, self._requests = 0, list[object]()
        self._weight = 1.0
        waiting: list[Parameter] = []
        for parameter in sorted(parameters, key=lambda each: -first_calls.get(id(each), 0)):
            size = sum(int(each.value.nbytes) for each in waiting)
            if waiting and (size >= limit or parameter.dtype != waiting[0].dtype):
                self._close(waiting, first_calls)
                waiting = []
            waiting.append(parameter)
        if waiting:
            self._close(waiting, first_calls)

    def _close(self, parameters: list[Parameter], first_calls: Mapping[int, int]) -> None:
        self.buckets.append(Bucket(parameters, min(first_calls.get(id(each), 0) for each in parameters)))

    def begin(self, weight: float) -> None:
        """A backward begins, of which this process has such a share."""
        self._next, self._requests, self._weight = 0, [], weight

    def tell(self, call: int) -> None:
        """The backward of this call is done."""
        while self._next < len(self.buckets) and self.buckets[self._next].last >= call:
            self._send()
        if self._requests:
            self._talk.nudge(self._requests)

    def finish(self) -> None:
        """The backward is done: wait for all sums."""
        while self._next < len(self.buckets):
            self._send()
        self._talk.wait(self._requests, "the sum of the gradients")
        for bucket in self.buckets:
            bucket.unpack()

    def _send(self) -> None:
        bucket = self.buckets[self._next]
        bucket.pack(self._weight)
        self._requests.append(self._talk.begin_sum(bucket.buffer))
        self._next += 1
