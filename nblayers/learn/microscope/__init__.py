"""The microscope: a page that steps through a forward and a backward, one operation at a time.

    with nblayers.trace() as t:
        y = layer.forward(x)
        layer.backward(dy)
    t.to_html("lstm.html")                              # a page of its own
    microscope.widget(t)                                # in a notebook
    microscope.side_by_side(t, of_another, "two.html")

`nblayers microscope lstm` shows a small trained one.
"""
from nblayers.learn.microscope.pair import side_by_side
from nblayers.learn.microscope.widget import widget

__all__ = ["side_by_side", "widget"]
