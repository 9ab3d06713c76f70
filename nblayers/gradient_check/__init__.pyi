from .anyone import (
    assert_gradients as assert_gradients,
    gradcheck as gradcheck,
    gradcheck_function as gradcheck_function,
    gradcheck_loss as gradcheck_loss,
    gradcheck_object as gradcheck_object,
    gradcheck_pair as gradcheck_pair,
)
from .report import (
    Finding as Finding,
    GradientCheckError as GradientCheckError,
    Report as Report,
    TensorReport as TensorReport,
)
