"""`torch.nn.utils.rnn`: packed sequences (`nblayers.utils.packing`)."""
from nblayers.utils.packing import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pack_padded_sequence_backward,
    pack_sequence,
    pad_packed_sequence,
    pad_packed_sequence_backward,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)

__all__ = ["PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_padded_sequence_backward", "pack_sequence",
           "pad_packed_sequence", "pad_packed_sequence_backward", "pad_sequence", "unpack_sequence", "unpad_sequence"]
