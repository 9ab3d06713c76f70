r"""Rows of a table, masked steps and the bias, as NumPy, one line per equation.

    y_n    = E_{i_n}                                            (1)    001.06.Embedding: the row of id i_n
    m_n    = 1 \text{ if any } x_{nd} \ne v, \text{ else } 0    (2)    001.06.Masking: v is the mask value
    y_{nd} = m_n x_{nd}                                         (3)    001.06.Masking
    z_{nu} = (x W)_{nu} + b_u                                   (4)    the bias of 001.06.Dense and 002.Linear
"""
import numpy as np


def embedding_forward(ids, embeddings, y):
    """ids (N,) in 0 … V - 1, embeddings (V, D) -> y (N, D)."""
    for n, i in enumerate(ids):
        y[n] = embeddings[i]                        # (1)


def embedding_backward(ids, dy, dembeddings):
    """ids (N,), dy (N, D) -> added to dembeddings (V, D): an id that occurs often collects as many gradients."""
    for n, i in enumerate(ids):
        dembeddings[i] += dy[n]                     # from (1)


def masking_mask(x, mask_value, mask):
    """x (N, D), mask_value v, a number -> mask (N,), False where all of a step's values are v."""
    mask[...] = (x != mask_value).any(axis=1)       # (2)


def masking_apply(x, mask, y):
    """x (N, D), mask (N,) -> y (N, D), zero at masked steps. Backward is the same function: dx = m dy, from (3)."""
    y[...] = np.where(mask[:, None], x, 0)          # (3)


def bias_backward(dz, db):
    """dz (N, U) -> added to db (U,)."""
    db += dz.sum(axis=0)                            # from (4): b is in every row
