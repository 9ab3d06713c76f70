from .activation import (
    ELU as ELU,
    Activation as Activation,
    LeakyReLU as LeakyReLU,
    PReLU as PReLU,
    ReLU as ReLU,
    Softmax as Softmax,
)
from .attention.attention import AdditiveAttention as AdditiveAttention, Attention as Attention
from .attention.grouped_query import GroupQueryAttention as GroupQueryAttention
from .attention.multi_head import MultiHeadAttention as MultiHeadAttention
from .base import Layer as Layer
from .convolution.conv import (
    Conv1D as Conv1D,
    Conv2D as Conv2D,
    Conv3D as Conv3D,
    Convolution1D as Convolution1D,
    Convolution2D as Convolution2D,
    Convolution3D as Convolution3D,
)
from .convolution.depthwise import DepthwiseConv1D as DepthwiseConv1D, DepthwiseConv2D as DepthwiseConv2D
from .convolution.separable import (
    SeparableConv1D as SeparableConv1D,
    SeparableConv2D as SeparableConv2D,
    SeparableConvolution1D as SeparableConvolution1D,
    SeparableConvolution2D as SeparableConvolution2D,
)
from .convolution.transposed import (
    Conv1DTranspose as Conv1DTranspose,
    Conv2DTranspose as Conv2DTranspose,
    Conv3DTranspose as Conv3DTranspose,
    Convolution1DTranspose as Convolution1DTranspose,
    Convolution2DTranspose as Convolution2DTranspose,
    Convolution3DTranspose as Convolution3DTranspose,
)
from .core import Dense as Dense, Embedding as Embedding, Identity as Identity, Lambda as Lambda, Masking as Masking
from .crf import CRF as CRF
from .einsum_dense import EinsumDense as EinsumDense
from .input_layer import Input as Input, InputLayer as InputLayer
from .input_spec import InputSpec as InputSpec
from .interop.flax_layer import FlaxLayer as FlaxLayer
from .interop.jax_layer import JaxLayer as JaxLayer
from .interop.saved_model import TFSMLayer as TFSMLayer
from .interop.torch_module import TorchModuleWrapper as TorchModuleWrapper
from .merging import (
    Add as Add,
    Average as Average,
    Concatenate as Concatenate,
    Dot as Dot,
    Maximum as Maximum,
    Minimum as Minimum,
    Multiply as Multiply,
    Subtract as Subtract,
    add as add,
    average as average,
    concatenate as concatenate,
    dot as dot,
    maximum as maximum,
    minimum as minimum,
    multiply as multiply,
    subtract as subtract,
)
from .normalization.batch import BatchNormalization as BatchNormalization
from .normalization.group import GroupNormalization as GroupNormalization
from .normalization.layer import LayerNormalization as LayerNormalization
from .normalization.rms import RMSNormalization as RMSNormalization
from .normalization.spectral import SpectralNormalization as SpectralNormalization
from .normalization.unit import UnitNormalization as UnitNormalization
from .pooling.average import (
    AveragePooling1D as AveragePooling1D,
    AveragePooling2D as AveragePooling2D,
    AveragePooling3D as AveragePooling3D,
    AvgPool1D as AvgPool1D,
    AvgPool2D as AvgPool2D,
    AvgPool3D as AvgPool3D,
    GlobalAveragePooling1D as GlobalAveragePooling1D,
    GlobalAveragePooling2D as GlobalAveragePooling2D,
    GlobalAveragePooling3D as GlobalAveragePooling3D,
    GlobalAvgPool1D as GlobalAvgPool1D,
    GlobalAvgPool2D as GlobalAvgPool2D,
    GlobalAvgPool3D as GlobalAvgPool3D,
)
from .pooling.maximum import (
    GlobalMaxPool1D as GlobalMaxPool1D,
    GlobalMaxPool2D as GlobalMaxPool2D,
    GlobalMaxPool3D as GlobalMaxPool3D,
    GlobalMaxPooling1D as GlobalMaxPooling1D,
    GlobalMaxPooling2D as GlobalMaxPooling2D,
    GlobalMaxPooling3D as GlobalMaxPooling3D,
    MaxPool1D as MaxPool1D,
    MaxPool2D as MaxPool2D,
    MaxPool3D as MaxPool3D,
    MaxPooling1D as MaxPooling1D,
    MaxPooling2D as MaxPooling2D,
    MaxPooling3D as MaxPooling3D,
)
from .preprocessing.categorical import (
    CategoryEncoding as CategoryEncoding,
    HashedCrossing as HashedCrossing,
    Hashing as Hashing,
)
from .preprocessing.colors import (
    RandomBrightness as RandomBrightness,
    RandomContrast as RandomContrast,
    Rescaling as Rescaling,
)
from .preprocessing.crops import CenterCrop as CenterCrop, RandomCrop as RandomCrop
from .preprocessing.discretization import Discretization as Discretization
from .preprocessing.flip import RandomFlip as RandomFlip
from .preprocessing.lookup import IntegerLookup as IntegerLookup, StringLookup as StringLookup
from .preprocessing.numerical import Normalization as Normalization
from .preprocessing.resizing import Resizing as Resizing
from .preprocessing.text import TextVectorization as TextVectorization
from .preprocessing.warps import (
    RandomRotation as RandomRotation,
    RandomTranslation as RandomTranslation,
    RandomZoom as RandomZoom,
)
from .pytorch import Linear as Linear
from .recurrent.bidirectional import Bidirectional as Bidirectional
from .recurrent.conv_lstm import ConvLSTM1D as ConvLSTM1D, ConvLSTM2D as ConvLSTM2D, ConvLSTM3D as ConvLSTM3D
from .recurrent.gru import GRU as GRU, GRUCell as GRUCell
from .recurrent.lstm import LSTM as LSTM, LSTMCell as LSTMCell
from .recurrent.rnn import RNN as RNN
from .recurrent.simple_rnn import SimpleRNN as SimpleRNN, SimpleRNNCell as SimpleRNNCell
from .recurrent.stacked import StackedRNNCells as StackedRNNCells
from .recurrent.time_distributed import TimeDistributed as TimeDistributed
from .regularization import (
    ActivityRegularization as ActivityRegularization,
    AlphaDropout as AlphaDropout,
    Dropout as Dropout,
    GaussianDropout as GaussianDropout,
    GaussianNoise as GaussianNoise,
    SpatialDropout1D as SpatialDropout1D,
    SpatialDropout2D as SpatialDropout2D,
    SpatialDropout3D as SpatialDropout3D,
)
from .reshaping.cropping import Cropping1D as Cropping1D, Cropping2D as Cropping2D, Cropping3D as Cropping3D
from .reshaping.flatten import Flatten as Flatten
from .reshaping.padding import ZeroPadding1D as ZeroPadding1D, ZeroPadding2D as ZeroPadding2D, ZeroPadding3D as ZeroPadding3D
from .reshaping.reshape import Permute as Permute, RepeatVector as RepeatVector, Reshape as Reshape
from .reshaping.up_sampling import UpSampling1D as UpSampling1D, UpSampling2D as UpSampling2D, UpSampling3D as UpSampling3D
