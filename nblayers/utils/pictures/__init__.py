"""Pictures: models as graphs, the course of a training, confusion matrices, weights over epochs, attention."""
