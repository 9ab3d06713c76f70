"""`nblayers.optim`: the same module under a second name."""
import sys

from nblayers import optim
from nblayers.optim import (
    SGD as SGD,
    Adagrad as Adagrad,
    Adam as Adam,
    AdamW as AdamW,
    Optimizer as Optimizer,
    RMSprop as RMSprop,
    lr_scheduler as lr_scheduler,
)

sys.modules[__name__] = optim
sys.modules[f"{__name__}.lr_scheduler"] = lr_scheduler
