"""Events sent to a server: Keras has it, this library does not."""
from typing import Any

from nblayers.callbacks.base import Callback


class RemoteMonitor(Callback):
    """Not here: it says so, and what to write instead.

    Raises:
        NotImplementedError: always.
    """

    def __init__(self, root: str = "http://localhost:9000", path: str = "/publish/epoch/end/", field: str = "data",
                 headers: Any = None, send_as_json: bool = False) -> None:
        raise NotImplementedError("RemoteMonitor: nblayers sends nothing over the network; a LambdaCallback("
                                  "on_epoch_end=lambda epoch, logs: …) can post json.dumps({'epoch': epoch, **logs}) "
                                  f"to {root}{path} with a library of your choice")
