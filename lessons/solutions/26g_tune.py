"""Solutions of the exercises of lesson 26g."""
from collections import defaultdict

import numpy as np

from lessons.data import minuet

# 1. On paper
frequencies = [220, 880]                        # twelve keys to the left and to the right of 440 Hz
begins = [0, 2, 3, 4]                           # each begins where the one before ends
bits = 3                                        # 1/4 times 1/2 is 1/8


# 2. A whole backward, from two losses to two tables
def notes_backward(pitch, length, E, F, W, V, R, next_pitch, next_length):
    def softmax(z):
        e = np.exp(z - z.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    D = E.shape[1]
    x = np.concatenate([E[pitch], F[length]], axis=2)
    h = np.tanh(x @ W)
    dz = (softmax(h @ V) - np.eye(V.shape[1])[next_pitch]) / pitch.size
    dr = (softmax(h @ R) - np.eye(R.shape[1])[next_length]) / pitch.size
    dh = dz @ V.T + dr @ R.T
    da = dh * (1 - h ** 2)
    dx = da @ W.T
    dE, dF = np.zeros_like(E), np.zeros_like(F)
    np.add.at(dE, pitch, dx[..., :D])
    np.add.at(dF, length, dx[..., D:])
    dW, dV, dR = (np.einsum("nti,ntj->ij", a, b) for a, b in ((x, da), (h, dz), (h, dr)))
    return dE, dF, dW, dV, dR


# 3. The bug: the window is the last T notes
def fixed_play(predict, notes, count, T):
    for _ in range(count):
        notes = np.concatenate([notes, [predict(notes[-T:])]])
    return notes


# 4. The experiment: which notes follow each note, and each pair
A, B = ([tuple(note) for note in part.tolist()] for part in minuet())
tune = [*A, *A, *B, *B]


def sure(known):
    before = [tuple(tune[at - known:at]) for at in range(known, len(tune))]
    after = defaultdict(set)
    for notes, note in zip(before, tune[known:], strict=True):
        after[notes].add(note)
    return np.mean([len(after[notes]) == 1 for notes in before])


sure_by_one, sure_by_two = sure(1), sure(2)
