"""Other frameworks' modules as layers (document 001, section 17).

Here alone another library's automatic differentiation enters, and only at its own boundary: for what lies inside the wrapped
module, `backward` hands dy to that library and takes its gradients. All layers around it keep their derivatives by hand.
"""
