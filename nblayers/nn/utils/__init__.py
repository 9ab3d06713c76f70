"""`torch.nn.utils`: gradient clipping, and `rnn` for packed sequences."""
from nblayers.nn.utils import rnn
from nblayers.nn.utils.clipping import clip_grad_norm_, clip_grad_value_

__all__ = ["clip_grad_norm_", "clip_grad_value_", "rnn"]
