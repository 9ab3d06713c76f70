"""`nblayers.trace`: every named value of a forward, and every derivative of a backward, written down as it is computed."""
from nblayers.learn.trace.entries import Entry, Part
from nblayers.learn.trace.recorder import trace

__all__ = ["Entry", "Part", "trace"]
