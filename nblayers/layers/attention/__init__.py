"""Attention layers (document 001, section 13). What they have in common:

- `masks.py` puts together who may look at whom;
- `product.py` runs attention over heads: in one kernel that keeps no scores, or in parts where scores are wanted;
- `heads.py` is what MultiHeadAttention and GroupQueryAttention share.
"""
