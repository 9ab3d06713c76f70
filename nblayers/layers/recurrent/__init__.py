"""Recurrent layers (document 001, section 9): cells, `RNN` over a cell, and the layers whose loop is one kernel."""
from nblayers.layers.recurrent.bidirectional import Bidirectional
from nblayers.layers.recurrent.conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from nblayers.layers.recurrent.gru import GRU, GRUCell
from nblayers.layers.recurrent.lstm import LSTM, LSTMCell
from nblayers.layers.recurrent.rnn import RNN
from nblayers.layers.recurrent.simple_rnn import SimpleRNN, SimpleRNNCell
from nblayers.layers.recurrent.stacked import StackedRNNCells
from nblayers.layers.recurrent.time_distributed import TimeDistributed

__all__ = ["GRU", "LSTM", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRUCell", "LSTMCell",
           "SimpleRNN", "SimpleRNNCell", "StackedRNNCells", "TimeDistributed"]
