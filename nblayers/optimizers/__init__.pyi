from . import schedules as schedules
from .adafactor import Adafactor as Adafactor
from .adagrad import Adadelta as Adadelta, Adagrad as Adagrad
from .adam import Adam as Adam, AdamW as AdamW
from .adamax import Adamax as Adamax
from .base import Optimizer as Optimizer
from .clipping import clip_by_global_norm as clip_by_global_norm, clip_by_norm as clip_by_norm, clip_by_value as clip_by_value
from .finding import deserialize as deserialize, get as get, serialize as serialize
from .ftrl import Ftrl as Ftrl
from .lamb import Lamb as Lamb
from .lion import Lion as Lion
from .loss_scale import LossScaleOptimizer as LossScaleOptimizer
from .multi import MultiOptimizer as MultiOptimizer, OptimizerMap as OptimizerMap
from .muon import Muon as Muon
from .nadam import Nadam as Nadam
from .rmsprop import RMSprop as RMSprop
from .schedule_free import ScheduleFreeAdamW as ScheduleFreeAdamW
from .sgd import SGD as SGD
