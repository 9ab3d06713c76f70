"""Keras' old place for settings: `from nblayers import backend as K`."""
from nblayers.config import (  # noqa: F401
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from nblayers.utils.session import clear_session  # noqa: F401
