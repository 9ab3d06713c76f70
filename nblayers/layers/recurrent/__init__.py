"""Recurrent layers (document 001, section 9): cells, `RNN` over a cell, and the layers whose loop is one kernel."""
