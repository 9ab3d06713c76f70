"""The layers of document 001, section 11, and `SpectralNormalization` of section 10."""
