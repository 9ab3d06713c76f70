"""Recurrent layers (document 001, section 9): cells, `RNN` over a cell, and the layers whose loop is one kernel."""
from nblayers.layers.recurrent.lstm import LSTM, LSTMCell
from nblayers.layers.recurrent.rnn import RNN
from nblayers.layers.recurrent.simple_rnn import SimpleRNN, SimpleRNNCell

__all__ = ["LSTM", "RNN", "LSTMCell", "SimpleRNN", "SimpleRNNCell"]
