"""What the shares of one tensor say about the mistake. Each look takes (shares, known) and returns (kind, text), or None.

A look says nothing that does not hold for every pair of a coordinate and an output element that it speaks of.
"""
from nblayers.gradient_check.patterns.contributions import later_steps, one_share, overwritten, reversed_choice
from nblayers.gradient_check.patterns.elementwise import by_value, elementwise, one_each
from nblayers.gradient_check.patterns.factors import (
         few_factors,
         inner_factors,
         named_pairs,
         other_places,
         output_factors,
         own_factors,
)
from nblayers.gradient_check.patterns.known import Found, Known
from nblayers.gradient_check.patterns.layout import layout, misrouted
from nblayers.gradient_check.patterns.places import one_column_each, places
from nblayers.gradient_check.patterns.sums import missing_sum, mixed_axes, multiple_of_y

__all__ = ["LOOKS", "Found", "Known", "elementwise", "few_factors", "one_column_each", "places"]

LOOKS = (reversed_choice, elementwise, later_steps, one_share, overwritten, by_value, layout, own_factors, output_factors,
         inner_factors,
         missing_sum, mixed_axes, misrouted, named_pairs, other_places, multiple_of_y, one_each)      # the most telling first
