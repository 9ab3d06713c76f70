"""The programs of documents 000 and 001 as they stand there, `tensorflow.keras` and all, by name: (first line, program).

A program of a table is one cell, whose "\\n" are line breaks; blanks at the ends of lines are left out.
"""
# document 000
LAMBDA = {
    "Scaling Input Values": (19, """\
from tensorflow.keras.layers import Lambda
from tensorflow.keras.models import Sequential

model = Sequential([
    Lambda(lambda x: x / 255.0, input_shape=(28, 28, 1))  # Normalizing pixel values
])
"""),
    "Custom Tensor Operation": (30, """\
model.add(Lambda(lambda x: x ** 2))  # Square each element in the input tensor
"""),
    "Adding or Modifying Dimensions": (36, """\
model.add(Lambda(lambda x: x[:, :, ::-1]))  # Flip the tensor along the last dimension
"""),
}

# document 001: the programs under the tables
PROGRAMS = {
    "Custom Layer with Regularization": (247, """\
from tensorflow.keras.layers import Layer
from tensorflow.keras import regularizers
import tensorflow as tf

class MyCustomLayer(Layer):
    def __init__(self, units=32, input_dim=32):
        super(MyCustomLayer, self).__init__()
        self.units = units
        self.weight = self.add_weight(shape=(input_dim, units),
                                      initializer='random_normal',
                                      regularizer=regularizers.l2(1e-4),
                                      trainable=True)
        self.bias = self.add_weight(shape=(units,),
                                    initializer='zeros',
                                    trainable=True)

    def call(self, inputs):
        return tf.matmul(inputs, self.weight) + self.bias

layer = MyCustomLayer(10, 5)
x = tf.ones((3, 5))
y = layer(x)
print(layer.weights)
print(layer.losses)  # This will include the regularization loss

# Visualize the weights
import matplotlib.pyplot as plt
weights = layer.get_weights()[0]
plt.imshow(weights, cmap='viridis')
plt.colorbar()
plt.show()
"""),
    "Visualizing Activation Functions": (311, """\
import numpy as np
import matplotlib.pyplot as plt
from tensorflow.keras.activations import relu, sigmoid, softmax, tanh, selu, elu, leaky_relu, gelu

x = np.linspace(-3, 3, 100)

# Define activations
activations = {
    "ReLU": relu(x),
    "Sigmoid": sigmoid(x),
    "Tanh": tanh(x),
    "Leaky ReLU": leaky_relu(x, alpha=0.1),
    "GELU": gelu(x),
    "ELU": elu(x, alpha=1.0),
    "SELU": selu(x),
    "Softmax": softmax(x.reshape(-1, 1), axis=0).flatten(),
}

# Plot activations
plt.figure(figsize=(12, 8))
for name, act in activations.items():
    plt.plot(x, act, label=name)
plt.legend()
plt.title("Activation Functions")
plt.xlabel("Input")
plt.ylabel("Output")
plt.grid(True)
plt.show()
"""),
    "Visualizing Weight Initializers": (370, """\
import numpy as np
import matplotlib.pyplot as plt
from tensorflow.keras.initializers import RandomNormal, RandomUniform, TruncatedNormal, GlorotNormal, \
GlorotUniform, HeNormal, HeUniform

def plot_initializer(initializer, shape=(10000,)):
    weights = initializer(shape=shape)
    plt.hist(weights.flatten(), bins=50)
    plt.title(f"{initializer.__class__.__name__}")
    plt.show()

initializers = [
    RandomNormal(mean=0.0, stddev=0.05),
    RandomUniform(minval=-0.05, maxval=0.05),
    TruncatedNormal(mean=0.0, stddev=0.05),
    GlorotNormal(),
    GlorotUniform(),
    HeNormal(),
    HeUniform(),
]

for initializer in initializers:
    plot_initializer(initializer)
"""),
    "Regularization Effect on Model Performance": (414, """\
import numpy as np
import matplotlib.pyplot as plt
from tensorflow.keras.models import Sequential
from tensorflow.keras.layers import Dense
from tensorflow.keras.regularizers import L1, L2, L1L2
from tensorflow.keras.optimizers import Adam

# Sample data
X = np.random.randn(100, 10)
y = np.random.randint(0, 2, size=(100,))

# Define models with different regularizations
models = {
    "L1": Sequential([Dense(64, input_dim=10, activation='relu', kernel_regularizer=L1(0.01)),
                      Dense(1, activation='sigmoid')]),

    "L2": Sequential([Dense(64, input_dim=10, activation='relu', kernel_regularizer=L2(0.01)),
                      Dense(1, activation='sigmoid')]),

    "L1L2": Sequential([Dense(64, input_dim=10, activation='relu', kernel_regularizer=L1L2(l1=0.01, l2=0.01)),
                        Dense(1, activation='sigmoid')])
}

# Compile models
for name, model in models.items():
    model.compile(optimizer=Adam(), loss='binary_crossentropy')
    model.fit(X, y, epochs=10, verbose=0)
    print(f"{name} model weights sum:", np.sum([np.sum(layer.get_weights()[0]) for layer in model.layers]))

# Compare performance by visualizing weights regularization effect
for name, model in models.items():
    weights = model.layers[0].get_weights()[0].flatten()
    plt.hist(weights, bins=50, alpha=0.5, label=name)

plt.legend()
plt.title("Effect of Regularization on Weights Distribution")
plt.xlabel("Weight Value")
plt.ylabel("Frequency")
plt.show()
"""),
    "Visualizing Weight Constraints": (475, """\
import numpy as np
import matplotlib.pyplot as plt
from tensorflow.keras.models import Sequential
from tensorflow.keras.layers import Dense
from tensorflow.keras.constraints import MaxNorm, NonNeg, UnitNorm

# Sample data
X = np.random.randn(100, 10)
y = np.random.randint(0, 2, size=(100,))

# Define models with different constraints
models = {
    "MaxNorm": Sequential([Dense(64, input_dim=10, activation='relu', kernel_constraint=MaxNorm(max_value=2)),
                           Dense(1, activation='sigmoid')]),

    "NonNeg": Sequential([Dense(64, input_dim=10, activation='relu', kernel_constraint=NonNeg()),
                          Dense(1, activation='sigmoid')]),

    "UnitNorm": Sequential([Dense(64, input_dim=10, activation='relu', kernel_constraint=UnitNorm(axis=0)),
                            Dense(1, activation='sigmoid')])
}

# Compile and train models
for name, model in models.items():
    model.compile(optimizer='adam', loss='binary_crossentropy')
    model.fit(X, y, epochs=10, verbose=0)
    weights = model.layers[0].get_weights()[0].flatten()
    plt.hist(weights, bins=50, alpha=0.5, label=name)

# Visualize the impact of different constraints
plt.legend()
plt.title("Effect of Constraints on Weights Distribution")
plt.xlabel("Weight Value")
plt.ylabel("Frequency")
plt.show()
"""),
    "Custom Layer Combinations": (540, """\
import numpy as np
from tensorflow.keras.models import Sequential
from tensorflow.keras.layers import Dense, Embedding, Masking, Lambda

# Sample data
X = np.random.randint(0, 10000, size=(100, 10))  # Simulating text data with 100 samples, each of length 10
y = np.random.randint(0, 2, size=(100,))

# Build a model with various core layers
model = Sequential([
    Embedding(input_dim=10000, output_dim=128, input_length=10),  # Embedding layer for text data
    Masking(mask_value=0),  # Masking layer to ignore padded values
    Dense(64, activation='relu'),  # Dense layer with ReLU activation
    Lambda(lambda x: x * 2),  # Custom Lambda layer for scaling
    Dense(1, activation='sigmoid')  # Output layer for binary classification
])

model.compile(optimizer='adam', loss='binary_crossentropy', metrics=['accuracy'])
model.fit(X, y, epochs=5, verbose=1)

# Summary of the model
model.summary()
"""),
    "Image Segmentation Model": (601, """\
import numpy as np
from tensorflow.keras.models import Sequential
from tensorflow.keras.layers import Conv2D, Conv2DTranspose, MaxPooling2D, Input

# Define input shape
input_shape = (128, 128, 3)

# Build a segmentation model
model = Sequential([
    Input(shape=input_shape),
    Conv2D(filters=64, kernel_size=(3, 3), activation='relu', padding='same'),
    Conv2D(filters=64, kernel_size=(3, 3), activation='relu', padding='same'),
    MaxPooling2D(pool_size=(2, 2)),
    Conv2D(filters=128, kernel_size=(3, 3), activation='relu', padding='same'),
    Conv2D(filters=128, kernel_size=(3, 3), activation='relu', padding='same'),
    MaxPooling2D(pool_size=(2, 2)),
    Conv2DTranspose(filters=64, kernel_size=(3, 3), activation='relu', padding='same'),
    Conv2DTranspose(filters=32, kernel_size=(3, 3), activation='relu', padding='same'),
    Conv2D(filters=1, kernel_size=(1, 1), activation='sigmoid', padding='same')
])

model.compile(optimizer='adam', loss='binary_crossentropy', metrics=['accuracy'])
# Assume X_train and y_train are already defined
model.fit(X_train, y_train, epochs=10, verbose=1)

# Model summary
model.summary()
"""),
    "Image Classification with Pooling Layers": (668, """\
from tensorflow.keras.models import Sequential
from tensorflow.keras.layers import Conv2D, MaxPooling2D, GlobalAveragePooling2D, Dense, Input

# Define input shape
input_shape = (64, 64, 3)

# Build a classification model
model = Sequential([
    Input(shape=input_shape),
    Conv2D(filters=32, kernel_size=(3, 3), activation='relu', padding='same'),
    MaxPooling2D(pool_size=(2, 2)),
    Conv2D(filters=64, kernel_size=(3, 3), activation='relu', padding='same'),
    MaxPooling2D(pool_size=(2, 2)),
    GlobalAveragePooling2D(),
    Dense(10, activation='softmax')  # Assuming 10 classes
])

model.compile(optimizer='adam', loss='sparse_categorical_crossentropy', metrics=['accuracy'])
# Assume X_train and y_train are already defined
model.fit(X_train, y_train, epochs=10, verbose=1)

# Model summary
model.summary()
"""),
    "Time Series Forecasting with Recurrent Layers": (728, """\
from tensorflow.keras.models import Sequential
from tensorflow.keras.layers import LSTM, Dense, TimeDistributed

# Define input shape
input_shape = (10, 64)  # 10 time steps, 64 features

# Build a forecasting model
model = Sequential([
    LSTM(50, return_sequences=True, input_shape=input_shape),
    LSTM(20),
    Dense(1)  # Output a single value for each sequence
])

model.compile(optimizer='adam', loss='mean_squared_error')
# Assume X_train and y_train are already defined
model.fit(X_train, y_train, epochs=10, verbose=1)

# Model summary
model.summary()
"""),
}

# document 001, the table of section 1
BASE_LAYER = {
    "Layer class": (233, """\
from tensorflow.keras.layers import Layer

class MyLayer(Layer):
    def __init__(self, **kwargs):
        super(MyLayer, self).__init__(**kwargs)
"""),
    "weights property": (234, "layer.weights\n"),
    "trainable_weights property": (235, "layer.trainable_weights\n"),
    "non_trainable_weights property": (236, "layer.non_trainable_weights\n"),
    "add_weight method": (237, """\
self.add_weight(name='weight',
initializer='uniform',
trainable=True)
"""),
    "trainable property": (238, "layer.trainable = False\n"),
    "get_weights method": (239, "weights = layer.get_weights()\n"),
    "set_weights method": (240, "layer.set_weights(weights)\n"),
    "get_config method": (241, "config = layer.get_config()\n"),
    "add_loss method": (242, "self.add_loss(custom_loss_tensor)\n"),
    "losses property": (243, "layer.losses\n"),
}

# document 001, the table of section 2
ACTIVATIONS = {
    "ReLU": (290, """\
from tensorflow.keras.layers import Activation

layer = Activation('relu')(x)
"""),
    "Sigmoid": (291, "layer = Activation('sigmoid')(x)\n"),
    "Softmax": (292, "layer = Activation('softmax')(x)\n"),
    "Softplus": (293, "layer = Activation('softplus')(x)\n"),
    "Softsign": (294, "layer = Activation('softsign')(x)\n"),
    "Tanh": (295, "layer = Activation('tanh')(x)\n"),
    "SELU": (296, "layer = Activation('selu')(x)\n"),
    "ELU": (297, "layer = Activation('elu')(x)\n"),
    "Exponential": (298, "layer = Activation('exponential')(x)\n"),
    "Leaky ReLU": (299, """\
from tensorflow.keras.layers import LeakyReLU

layer = LeakyReLU(alpha=0.1)(x)
"""),
    "ReLU6": (300, "layer = Activation('relu6')(x)\n"),
    "Silu": (301, "layer = Activation('swish')(x)\n"),
    "Hard SiLU": (302, "layer = Activation('hard_silu')(x)\n"),
    "GELU": (303, "layer = Activation('gelu')(x)\n"),
    "Hard Sigmoid": (304, "layer = Activation('hard_sigmoid')(x)\n"),
    "Linear": (305, "layer = Activation('linear')(x)\n"),
    "Mish": (306, "layer = Activation('mish')(x)\n"),
    "Log Softmax": (307, "layer = Activation('log_softmax')(x)\n"),
}

# document 001, the table of section 3
INITIALIZERS = {
    "RandomNormal": (351, """\
from tensorflow.keras.initializers import RandomNormal

initializer = RandomNormal(mean=0.0, stddev=0.05)
"""),
    "RandomUniform": (352, """\
from tensorflow.keras.initializers import RandomUniform

initializer = RandomUniform(minval=-0.05, maxval=0.05)
"""),
    "TruncatedNormal": (353, """\
from tensorflow.keras.initializers import TruncatedNormal

initializer = TruncatedNormal(mean=0.0, stddev=0.05)
"""),
    "Zeros": (354, """\
from tensorflow.keras.initializers import Zeros

initializer = Zeros()
"""),
    "Ones": (355, """\
from tensorflow.keras.initializers import Ones

initializer = Ones()
"""),
    "GlorotNormal": (356, """\
from tensorflow.keras.initializers import GlorotNormal

initializer = GlorotNormal()
"""),
    "GlorotUniform": (357, """\
from tensorflow.keras.initializers import GlorotUniform

initializer = GlorotUniform()
"""),
    "HeNormal": (358, """\
from tensorflow.keras.initializers import HeNormal

initializer = HeNormal()
"""),
    "HeUniform": (359, """\
from tensorflow.keras.initializers import HeUniform

initializer = HeUniform()
"""),
    "Orthogonal": (360, """\
from tensorflow.keras.initializers import Orthogonal

initializer = Orthogonal(gain=1.0)
"""),
    "Constant": (361, """\
from tensorflow.keras.initializers import Constant

initializer = Constant(value=0.5)
"""),
    "VarianceScaling": (362, """\
from tensorflow.keras.initializers import VarianceScaling

initializer = VarianceScaling(scale=1.0, mode='fan_in', distribution='truncated_normal')
"""),
    "LecunNormal": (363, """\
from tensorflow.keras.initializers import LecunNormal

initializer = LecunNormal()
"""),
    "LecunUniform": (364, """\
from tensorflow.keras.initializers import LecunUniform

initializer = LecunUniform()
"""),
    "IdentityInitializer": (365, """\
from tensorflow.keras.initializers import Identity

initializer = IdentityInitializer()
"""),
}

# document 001, the table of section 4
REGULARIZERS = {
    "Regularizer": (405, """\
from tensorflow.keras.regularizers import Regularizer

class CustomRegularizer(Regularizer):
    def __init__(self, ...):
        ...

    def __call__(self, x):
        return ...
"""),
    "L1": (406, """\
from tensorflow.keras.regularizers import L1

layer = Dense(..., kernel_regularizer=L1(0.01))
"""),
    "L2": (407, """\
from tensorflow.keras.regularizers import L2

layer = Dense(..., kernel_regularizer=L2(0.01))
"""),
    "L1L2": (408, """\
from tensorflow.keras.regularizers import L1L2

layer = Dense(..., kernel_regularizer=L1L2(l1=0.01, l2=0.01))
"""),
    "OrthogonalRegularizer": (409, """\
from tensorflow.keras.regularizers import OrthogonalRegularizer

layer = Dense(..., kernel_regularizer=OrthogonalRegularizer(0.01))
"""),
}

# document 001, the table of section 5
CONSTRAINTS = {
    "Constraint": (466, """\
from tensorflow.keras.constraints import Constraint

class CustomConstraint(Constraint):
    def __init__(self, ...):
        ...

    def __call__(self, w):
        return ...
"""),
    "MaxNorm": (467, """\
from tensorflow.keras.constraints import MaxNorm

layer = Dense(..., kernel_constraint=MaxNorm(max_value=2))
"""),
    "MinMaxNorm": (468, """\
from tensorflow.keras.constraints import MinMaxNorm

layer = Dense(..., kernel_constraint=MinMaxNorm(min_value=0.5, max_value=1.5))
"""),
    "NonNeg": (469, """\
from tensorflow.keras.constraints import NonNeg

layer = Dense(..., kernel_constraint=NonNeg())
"""),
    "UnitNorm": (470, """\
from tensorflow.keras.constraints import UnitNorm

layer = Dense(..., kernel_constraint=UnitNorm(axis=0))
"""),
}

# document 001, the table of section 6
CORE = {
    "Input": (527, """\
from tensorflow.keras.layers import Input

inputs = Input(shape=(784,))
"""),
    "InputSpec": (528, """\
from tensorflow.keras import InputSpec

class CustomLayer(Layer):
    def __init__(self, ...):
        self.input_spec = [InputSpec(shape=(None, 784))]
"""),
    "Dense": (529, """\
from tensorflow.keras.layers import Dense

model = Sequential([
    Dense(64, activation='relu', input_shape=(784,)),
    Dense(10, activation='softmax')
])
"""),
    "EinsumDense": (530, """\
from tensorflow.keras.layers import EinsumDense

layer = EinsumDense('ij,jk->ik')
"""),
    "Activation": (531, """\
from tensorflow.keras.layers import Activation

model = Sequential([
    Dense(64),
    Activation('relu'),
    Dense(10),
    Activation('softmax')
])
"""),
    "Embedding": (532, """\
from tensorflow.keras.layers import Embedding

layer = Embedding(input_dim=10000, output_dim=128)
"""),
    "Masking": (533, """\
from tensorflow.keras.layers import Masking

layer = Masking(mask_value=0.0)
"""),
    "Lambda": (534, """\
from tensorflow.keras.layers import Lambda

layer = Lambda(lambda x: x * 2)
"""),
    "Identity": (535, """\
from tensorflow.keras.layers import Lambda

layer = Lambda(lambda x: x)
"""),
}

# document 001, the table of section 7
CONVOLUTION = {
    "Conv1D": (587, """\
from tensorflow.keras.layers import Conv1D

model = Sequential([
    Conv1D(filters=64, kernel_size=3, activation='relu', input_shape=(100, 1)),
    Conv1D(filters=32, kernel_size=3, activation='relu')
])
"""),
    "Conv2D": (588, """\
from tensorflow.keras.layers import Conv2D

model = Sequential([
    Conv2D(filters=32, kernel_size=(3, 3), activation='relu', input_shape=(64, 64, 3)),
    Conv2D(filters=64, kernel_size=(3, 3), activation='relu')
])
"""),
    "Conv3D": (589, """\
from tensorflow.keras.layers import Conv3D

model = Sequential([
    Conv3D(filters=16, kernel_size=(3, 3, 3), activation='relu', input_shape=(32, 32, 32, 3)),
    Conv3D(filters=32, kernel_size=(3, 3, 3), activation='relu')
])
"""),
    "SeparableConv1D": (590, """\
from tensorflow.keras.layers import SeparableConv1D

model = Sequential([
    SeparableConv1D(filters=64, kernel_size=3, activation='relu', input_shape=(100, 1)),
    SeparableConv1D(filters=32, kernel_size=3, activation='relu')
])
"""),
    "SeparableConv2D": (591, """\
from tensorflow.keras.layers import SeparableConv2D

model = Sequential([
    SeparableConv2D(filters=32, kernel_size=(3, 3), activation='relu', input_shape=(64, 64, 3)),
    SeparableConv2D(filters=64, kernel_size=(3, 3), activation='relu')
])
"""),
    "DepthwiseConv1D": (592, """\
from tensorflow.keras.layers import DepthwiseConv1D

model = Sequential([
    DepthwiseConv1D(kernel_size=3, depth_multiplier=2, activation='relu', input_shape=(100, 1)),
    Conv1D(filters=32, kernel_size=1, activation='relu')
])
"""),
    "DepthwiseConv2D": (593, """\
from tensorflow.keras.layers import DepthwiseConv2D

model = Sequential([
    DepthwiseConv2D(kernel_size=(3, 3), depth_multiplier=2, activation='relu', input_shape=(64, 64, 3)),
    Conv2D(filters=64, kernel_size=(1, 1), activation='relu')
])
"""),
    "Conv1DTranspose": (594, """\
from tensorflow.keras.layers import Conv1DTranspose

model = Sequential([
    Conv1DTranspose(filters=64, kernel_size=3, activation='relu', input_shape=(100, 1)),
    Conv1DTranspose(filters=32, kernel_size=3, activation='relu')
])
"""),
    "Conv2DTranspose": (595, """\
from tensorflow.keras.layers import Conv2DTranspose

model = Sequential([
    Conv2DTranspose(filters=64, kernel_size=(3, 3), activation='relu', input_shape=(32, 32, 3)),
    Conv2DTranspose(filters=32, kernel_size=(3, 3), activation='relu')
])
"""),
    "Conv3DTranspose": (596, """\
from tensorflow.keras.layers import Conv3DTranspose

model = Sequential([
    Conv3DTranspose(filters=16, kernel_size=(3, 3, 3), activation='relu', input_shape=(32, 32, 32, 3)),
    Conv3DTranspose(filters=8, kernel_size=(3, 3, 3), activation='relu')
])
"""),
}

# document 001, the table of section 8
POOLING = {
    "MaxPooling1D": (653, """\
from tensorflow.keras.layers import MaxPooling1D

model = Sequential([
    MaxPooling1D(pool_size=2, input_shape=(100, 1)),
    MaxPooling1D(pool_size=2)
])
"""),
    "MaxPooling2D": (654, """\
from tensorflow.keras.layers import MaxPooling2D

model = Sequential([
    MaxPooling2D(pool_size=(2, 2), input_shape=(64, 64, 3)),
    MaxPooling2D(pool_size=(2, 2))
])
"""),
    "MaxPooling3D": (655, """\
from tensorflow.keras.layers import MaxPooling3D

model = Sequential([
    MaxPooling3D(pool_size=(2, 2, 2), input_shape=(32, 32, 32, 3)),
    MaxPooling3D(pool_size=(2, 2, 2))
])
"""),
    "AveragePooling1D": (656, """\
from tensorflow.keras.layers import AveragePooling1D

model = Sequential([
    AveragePooling1D(pool_size=2, input_shape=(100, 1)),
    AveragePooling1D(pool_size=2)
])
"""),
    "AveragePooling2D": (657, """\
from tensorflow.keras.layers import AveragePooling2D

model = Sequential([
    AveragePooling2D(pool_size=(2, 2), input_shape=(64, 64, 3)),
    AveragePooling2D(pool_size=(2, 2))
])
"""),
    "AveragePooling3D": (658, """\
from tensorflow.keras.layers import AveragePooling3D

model = Sequential([
    AveragePooling3D(pool_size=(2, 2, 2), input_shape=(32, 32, 32, 3)),
    AveragePooling3D(pool_size=(2, 2, 2))
])
"""),
    "GlobalMaxPooling1D": (659, """\
from tensorflow.keras.layers import GlobalMaxPooling1D

model = Sequential([
    GlobalMaxPooling1D(input_shape=(100, 1))
])
"""),
    "GlobalMaxPooling2D": (660, """\
from tensorflow.keras.layers import GlobalMaxPooling2D

model = Sequential([
    GlobalMaxPooling2D(input_shape=(64, 64, 3))
])
"""),
    "GlobalMaxPooling3D": (661, """\
from tensorflow.keras.layers import GlobalMaxPooling3D

model = Sequential([
    GlobalMaxPooling3D(input_shape=(32, 32, 32, 3))
])
"""),
    "GlobalAveragePooling1D": (662, """\
from tensorflow.keras.layers import GlobalAveragePooling1D

model = Sequential([
    GlobalAveragePooling1D(input_shape=(100, 1))
])
"""),
    "GlobalAveragePooling2D": (663, """\
from tensorflow.keras.layers import GlobalAveragePooling2D

model = Sequential([
   GlobalAveragePooling2D(input_shape=(64, 64, 3))
])
"""),
    "GlobalAveragePooling3D": (663, """\
from tensorflow.keras.layers import GlobalAveragePooling3D

model = Sequential([
    GlobalAveragePooling3D(input_shape=(32, 32, 32, 3))
])
"""),
}

# document 001, the table of section 9
RECURRENT = {
    "LSTM": (711, """\
from tensorflow.keras.layers import LSTM

model = Sequential([
    LSTM(50, input_shape=(10, 64), return_sequences=True),
    LSTM(20)
])
"""),
    "LSTM Cell": (712, """\
from tensorflow.keras.layers import LSTMCell, RNN

model = Sequential([
    RNN(LSTMCell(50), input_shape=(10, 64))
])
"""),
    "GRU": (713, """\
from tensorflow.keras.layers import GRU

model = Sequential([
    GRU(50, input_shape=(10, 64), return_sequences=True),
    GRU(20)
])
"""),
    "GRU Cell": (714, """\
from tensorflow.keras.layers import GRUCell, RNN

model = Sequential([
    RNN(GRUCell(50), input_shape=(10, 64))
])
"""),
    "SimpleRNN": (715, """\
from tensorflow.keras.layers import SimpleRNN

model = Sequential([
    SimpleRNN(50, input_shape=(10, 64), return_sequences=True),
    SimpleRNN(20)
])
"""),
    "TimeDistributed": (716, """\
from tensorflow.keras.layers import TimeDistributed, Dense

model = Sequential([
    TimeDistributed(Dense(64), input_shape=(10, 64)),
    LSTM(50)
])
"""),
    "Bidirectional": (717, """\
from tensorflow.keras.layers import Bidirectional, LSTM

model = Sequential([
    Bidirectional(LSTM(50, return_sequences=True), input_shape=(10, 64)),
    LSTM(20)
])
"""),
    "ConvLSTM1D": (718, """\
from tensorflow.keras.layers import ConvLSTM1D

model = Sequential([
    ConvLSTM1D(filters=32, kernel_size=3, input_shape=(10, 64, 1), return_sequences=True),
    ConvLSTM1D(filters=16, kernel_size=3)
])
"""),
    "ConvLSTM2D": (719, """\
from tensorflow.keras.layers import ConvLSTM2D

model = Sequential([
    ConvLSTM2D(filters=32, kernel_size=(3, 3), input_shape=(10, 64, 64, 1), return_sequences=True),
    ConvLSTM2D(filters=16, kernel_size=(3, 3))
])
"""),
    "ConvLSTM3D": (720, """\
from tensorflow.keras.layers import ConvLSTM3D

model = Sequential([
    ConvLSTM3D(filters=32, kernel_size=(3, 3, 3), input_shape=(10, 64, 64, 64, 1), return_sequences=True),
    ConvLSTM3D(filters=16, kernel_size=(3, 3, 3))
])
"""),
    "Base RNN": (721, """\
from tensorflow.keras.layers import RNN

class CustomRNNCell(RNN):
    def __init__(self, units, **kwargs):
        super(CustomRNNCell, self).__init__(units, **kwargs)

model = Sequential([
    RNN(CustomRNNCell(50), input_shape=(10, 64))
])
"""),
    "Simple RNN Cell": (722, """\
from tensorflow.keras.layers import RNN, SimpleRNNCell

model = Sequential([
    RNN(SimpleRNNCell(50), input_shape=(10, 64))
])
"""),
    "Stacked RNN Cell": (723, """\
from tensorflow.keras.layers import RNN, SimpleRNNCell

model = Sequential([
    RNN([SimpleRNNCell(50), SimpleRNNCell(30)], input_shape=(10, 64))
])
"""),
}

# document 001, the table of section 10
PREPROCESSING = {
    "TextVectorization": (770, """\
from tensorflow.keras.layers import TextVectorization

text_vectorizer = TextVectorization(max_tokens=10000, output_sequence_length=100)

# Example usage
model = Sequential([
    text_vectorizer,
    Embedding(input_dim=10000, output_dim=64),
    LSTM(50)
])
"""),
    "Normalization": (771, """\
from tensorflow.keras.layers import Normalization

normalizer = Normalization()

# Fit on training data
normalizer.adapt(X_train)

# Example usage
model = Sequential([
    normalizer,
    Dense(64, activation='relu'),
    Dense(1)
])
"""),
    "SpectralNormalization": (772, """\
from tensorflow.keras.layers import Dense
from tensorflow_addons.layers import SpectralNormalization

model = Sequential([
    SpectralNormalization(Dense(64, activation='relu')),
    Dense(1)
])
"""),
    "Discretization": (773, """\
from tensorflow.keras.layers import Discretization

discretizer = Discretization(num_bins=10)

# Example usage
model = Sequential([
    discretizer,
    Dense(64, activation='relu'),
    Dense(1)
])
"""),
    "CategoryEncoding": (774, """\
from tensorflow.keras.layers import CategoryEncoding

encoder = CategoryEncoding(num_tokens=10)

# Example usage
model = Sequential([
    encoder,
    Dense(64, activation='relu'),
    Dense(1)
])
"""),
    "Hashing": (775, """\
from tensorflow.keras.layers import Hashing

hasher = Hashing(num_bins=10)

# Example usage
model = Sequential([
    hasher,
    Dense(64, activation='relu'),
    Dense(1)
])
"""),
    "HashedCrossing": (776, """\
from tensorflow.keras.layers import HashedCrossing

crossing = HashedCrossing(num_bins=10)

# Example usage
model = Sequential([
    crossing,
    Dense(64, activation='relu'),
    Dense(1)
])
"""),
    "StringLookup": (777, """\
from tensorflow.keras.layers import StringLookup

lookup = StringLookup(vocabulary=['cat', 'dog'])

# Example usage
model = Sequential([
    lookup,
    Embedding(input_dim=10, output_dim=64),
    Dense(1)
])
"""),
    "IntegerLookup": (778, """\
from tensorflow.keras.layers import IntegerLookup

lookup = IntegerLookup(vocabulary=[1, 2, 3])

# Example usage
model = Sequential([
    lookup,
    Dense(64, activation='relu'),
    Dense(1)
])
"""),
    "Resizing": (779, """\
from tensorflow.keras.layers import Resizing

resize = Resizing(128, 128)

# Example usage
model = Sequential([
    resize,
    Conv2D(32, (3, 3), activation='relu'),
    MaxPooling2D()
])
"""),
    "Rescaling": (780, """\
from tensorflow.keras.layers import Rescaling

scaling = Rescaling(1./255)

# Example usage
 model = Sequential([
    scaling,
    Conv2D(32, (3, 3), activation='relu'),
    MaxPooling2D()
])
"""),
    "CenterCrop": (781, """\
from tensorflow.keras.layers import CenterCrop

crop = CenterCrop(128, 128)

# Example usage
model = Sequential([
    crop,
    Conv2D(32, (3, 3), activation='relu'),
    MaxPooling2D()
])
"""),
    "RandomCrop": (782, """\
from tensorflow.keras.layers import RandomCrop

crop = RandomCrop(height=128, width=128)

# Example usage
model = Sequential([
    crop,
    Conv2D(32, (3, 3), activation='relu'),
    MaxPooling2D()
])
"""),
    "RandomFlip": (783, """\
from tensorflow.keras.layers import RandomFlip

flip = RandomFlip('horizontal')

# Example usage
model = Sequential([
    flip,
    Conv2D(32, (3, 3), activation='relu'),
    MaxPooling2D()
])
"""),
    "RandomTranslation": (784, """\
from tensorflow.keras.layers import RandomTranslation

translate = RandomTranslation(height_factor=0.1, width_factor=0.1)

# Example usage
model = Sequential([
    translate,
    Conv2D(32, (3, 3), activation='relu'),
    MaxPooling2D()
])
"""),
    "RandomRotation": (785, """\
from tensorflow.keras.layers import RandomRotation

rotate = RandomRotation(factor=0.2)

# Example usage
model = Sequential([
    rotate,
    Conv2D(32, (3, 3), activation='relu'),
    MaxPooling2D()
])
"""),
    "RandomZoom": (786, """\
from tensorflow.keras.layers import RandomZoom

zoom = RandomZoom(height_factor=0.2, width_factor=0.2)

# Example usage
model = Sequential([
    zoom,
    Conv2D(32, (3, 3), activation='relu'),
    MaxPooling2D()
])
"""),
    "RandomContrast": (787, """\
from tensorflow.keras.layers import RandomContrast

contrast = RandomContrast(factor=0.2)

# Example usage
model = Sequential([
    contrast,
    Conv2D(32, (3, 3), activation='relu'),
    MaxPooling2D()
])
"""),
    "RandomBrightness": (788, """\
from tensorflow.keras.layers import RandomBrightness

brightness = RandomBrightness(factor=0.2)

# Example usage
model = Sequential([
    brightness,
    Conv2D(32, (3, 3), activation='relu'),
    MaxPooling2D()
])
"""),
}

# document 001, the table of section 11
NORMALIZATION = {
    "BatchNormalization": (807, """\
from tensorflow.keras.layers import BatchNormalization

model = Sequential([
    Conv2D(32, (3, 3), activation='relu'),
    BatchNormalization(),
    MaxPooling2D(),
    Flatten(),
    Dense(64, activation='relu'),
    Dense(10, activation='softmax')
])
"""),
    "LayerNormalization": (808, """\
from tensorflow.keras.layers import LayerNormalization

model = Sequential([
    LSTM(64, return_sequences=True),
    LayerNormalization(),
    Dense(10, activation='softmax')
])
"""),
    "UnitNormalization": (809, """\
from tensorflow.keras.layers import UnitNormalization

model = Sequential([
    Dense(64, activation='relu', kernel_normalizer=UnitNormalization()),
    Dense(10, activation='softmax')
])
"""),
    "GroupNormalization": (810, """\
from tensorflow.keras.layers import GroupNormalization

model = Sequential([
    Conv2D(32, (3, 3), activation='relu'),
    GroupNormalization(groups=8),
    MaxPooling2D(),
    Flatten(),
    Dense(64, activation='relu'),
    Dense(10, activation='softmax')
])
"""),
}

# document 001, the table of section 12
REGULARIZATION = {
    "Dropout": (830, """\
from tensorflow.keras.layers import Dropout

model = Sequential([
    Dense(64, activation='relu'),
    Dropout(0.5),
    Dense(10, activation='softmax')
])
"""),
    "SpatialDropout1D": (831, """\
from tensorflow.keras.layers import SpatialDropout1D

model = Sequential([
    Conv1D(64, 3, activation='relu'),
    SpatialDropout1D(0.5),
    LSTM(50),
    Dense(10, activation='softmax')
])
"""),
    "SpatialDropout2D": (832, """\
from tensorflow.keras.layers import SpatialDropout2D

model = Sequential([
    Conv2D(64, (3, 3), activation='relu'),
    SpatialDropout2D(0.5),
    MaxPooling2D(),
    Flatten(),
    Dense(10, activation='softmax')
])
"""),
    "SpatialDropout3D": (833, """\
from tensorflow.keras.layers import SpatialDropout3D

model = Sequential([
    Conv3D(64, (3, 3, 3), activation='relu'),
    SpatialDropout3D(0.5),
    MaxPooling3D(),
    Flatten(),
    Dense(10, activation='softmax')
])
"""),
    "GaussianDropout": (834, """\
from tensorflow.keras.layers import GaussianDropout

model = Sequential([
    Dense(64, activation='relu'),
    GaussianDropout(0.5),
    Dense(10, activation='softmax')
])
"""),
    "AlphaDropout": (835, """\
from tensorflow.keras.layers import AlphaDropout

model = Sequential([
    Dense(64, activation='selu'),
    AlphaDropout(0.5),
    Dense(10, activation='softmax')
])
"""),
    "ActivityRegularization": (836, """\
from tensorflow.keras.layers import ActivityRegularization

model = Sequential([
    Dense(64, activation='relu'),
    ActivityRegularization(l1=0.01, l2=0.01),
    Dense(10, activation='softmax')
])
"""),
}

# document 001, the table of section 13
ATTENTION = {
    "MultiHeadAttention": (859, """\
from tensorflow.keras.layers import MultiHeadAttention

# Define the MultiHeadAttention layer
attention = MultiHeadAttention(num_heads=8, key_dim=64)

# Example usage in a model
model = Sequential([
    attention,
    Dense(64, activation='relu'),
    Dense(10, activation='softmax')
])
"""),
    "Attention": (860, """\
from tensorflow.keras.layers import Attention

# Define the Attention layer
attention = Attention()

# Example usage in a model
model = Sequential([
    attention,
    Dense(64, activation='relu'),
    Dense(10, activation='softmax')
])
"""),
    "AdditiveAttention": (861, """\
from tensorflow.keras.layers import AdditiveAttention

# Define the AdditiveAttention layer
attention = AdditiveAttention()

# Example usage in a model
model = Sequential([
    attention,
    Dense(64, activation='relu'),
    Dense(10, activation='softmax')
])
"""),
}

# document 001, the table of section 14
RESHAPING = {
    "Reshape": (883, """\
from tensorflow.keras.layers import Reshape

model = Sequential([
    Reshape((64, 64, 3), input_shape=(12288,)),
    Dense(10, activation='softmax')
])
"""),
    "Flatten": (884, """\
from tensorflow.keras.layers import Flatten

model = Sequential([
    Conv2D(32, (3, 3), activation='relu'),
    Flatten(),
    Dense(10, activation='softmax')
])
"""),
    "RepeatVector": (885, """\
from tensorflow.keras.layers import RepeatVector

model = Sequential([
    Dense(64, activation='relu'),
    RepeatVector(10),
    LSTM(50),
    Dense(10, activation='softmax')
])
"""),
    "Permute": (886, """\
from tensorflow.keras.layers import Permute

model = Sequential([
    Permute((2, 1), input_shape=(10, 20)),
    Dense(10, activation='softmax')
])
"""),
    "Cropping1D": (887, """\
from tensorflow.keras.layers import Cropping1D

model = Sequential([
    Cropping1D(cropping=2, input_shape=(10, 20)),
    Dense(10, activation='softmax')
])
"""),
    "Cropping2D": (888, """\
from tensorflow.keras.layers import Cropping2D

model = Sequential([
    Cropping2D(cropping=((2, 2), (2, 2)), input_shape=(64, 64, 3)),
    Dense(10, activation='softmax')
])
"""),
    "Cropping3D": (889, """\
from tensorflow.keras.layers import Cropping3D

model = Sequential([
    Cropping3D(cropping=((2, 2), (2, 2), (2, 2)), input_shape=(64, 64, 64, 3)),
    Dense(10, activation='softmax')
])
"""),
    "UpSampling1D": (890, """\
from tensorflow.keras.layers import UpSampling1D

model = Sequential([
    UpSampling1D(size=2, input_shape=(10, 20)),
    Dense(10, activation='softmax')
])
"""),
    "UpSampling2D": (891, """\
from tensorflow.keras.layers import UpSampling2D

model = Sequential([
    UpSampling2D(size=(2, 2), input_shape=(64, 64, 3)),
    Dense(10, activation='softmax')
])
"""),
    "UpSampling3D": (892, """\
from tensorflow.keras.layers import UpSampling3D

model = Sequential([
    UpSampling3D(size=(2, 2, 2), input_shape=(32, 32, 32, 3)),
    Dense(10, activation='softmax')
])
"""),
    "ZeroPadding1D": (893, """\
from tensorflow.keras.layers import ZeroPadding1D

model = Sequential([
    ZeroPadding1D(padding=2, input_shape=(10, 20)),
    Dense(10, activation='softmax')
])
"""),
    "ZeroPadding2D": (894, """\
from tensorflow.keras.layers import ZeroPadding 2D

model = Sequential([
    ZeroPadding2D(padding=(2, 2), input_shape=(64, 64, 3)),
    Dense(10, activation='softmax')
])
"""),
    "ZeroPadding3D": (895, """\
from tensorflow.keras.layers import ZeroPadding3D

model = Sequential([
    ZeroPadding3D(padding=(2, 2, 2), input_shape=(32, 32, 32, 3)),
    Dense(10, activation='softmax')
])
"""),
}

# document 001, the table of section 15
MERGING = {
    "Concatenate": (919, """\
from tensorflow.keras.layers import Concatenate

input1 = Input(shape=(64, 64, 3))
input2 = Input(shape=(64, 64, 3))
concat = Concatenate(axis=-1)([input1, input2])
model = Model(inputs=[input1, input2], outputs=concat)
"""),
    "Average": (920, """\
from tensorflow.keras.layers import Average

input1 = Input(shape=(64, 64, 3))
input2 = Input(shape=(64, 64, 3))
avg = Average()([input1, input2])
model = Model(inputs=[input1, input2], outputs=avg)
"""),
    "Maximum": (921, """\
from tensorflow.keras.layers import Maximum

input1 = Input(shape=(64, 64, 3))
input2 = Input(shape=(64, 64, 3))
max_layer = Maximum()([input1, input2])
model = Model(inputs=[input1, input2], outputs=max_layer)
"""),
    "Minimum": (922, """\
from tensorflow.keras.layers import Minimum

input1 = Input(shape=(64, 64, 3))
input2 = Input(shape=(64, 64, 3))
min_layer = Minimum()([input1, input2])
model = Model(inputs=[input1, input2], outputs=min_layer)
"""),
    "Add": (923, """\
from tensorflow.keras.layers import Add

input1 = Input(shape=(64, 64, 3))
input2 = Input(shape=(64, 64, 3))
add_layer = Add()([input1, input2])
model = Model(inputs=[input1, input2], outputs=add_layer)
"""),
    "Subtract": (924, """\
from tensorflow.keras.layers import Subtract

input1 = Input(shape=(64, 64, 3))
input2 = Input(shape=(64, 64, 3))
sub_layer = Subtract()([input1, input2])
model = Model(inputs=[input1, input2], outputs=sub_layer)
"""),
    "Multiply": (925, """\
from tensorflow.keras.layers import Multiply

input1 = Input(shape=(64, 64, 3))
input2 = Input(shape=(64, 64, 3))
mul_layer = Multiply()([input1, input2])
model = Model(inputs=[input1, input2], outputs=mul_layer)
"""),
    "Dot": (926, """\
from tensorflow.keras.layers import Dot

input1 = Input(shape=(64, 64, 3))
input2 = Input(shape=(64, 64, 3))
dot_layer = Dot(axes=-1)([input1, input2])
model = Model(inputs=[input1, input2], outputs=dot_layer)
"""),
}

# document 001, the table of section 16
ACTIVATION_LAYERS = {
    "ReLU": (952, """\
from tensorflow.keras.layers import ReLU

model = Sequential([
    Dense(64),
    ReLU(),
    Dense(10, activation='softmax')
])
"""),
    "Softmax": (953, """\
from tensorflow.keras.layers import Dense

model = Sequential([
    Dense(64, activation='relu'),
    Dense(10, activation='softmax')
])
"""),
    "LeakyReLU": (954, """\
from tensorflow.keras.layers import LeakyReLU

model = Sequential([
    Dense(64),
    LeakyReLU(alpha=0.01),
    Dense(10, activation='softmax')
])
"""),
    "PReLU": (955, """\
from tensorflow.keras.layers import PReLU

model = Sequential([
    Dense(64),
    PReLU(),
    Dense(10, activation='softmax')
])
"""),
    "ELU": (956, """\
from tensorflow.keras.layers import ELU

model = Sequential([
    Dense(64),
    ELU(alpha=1.0),
    Dense(10, activation='softmax')
])
"""),
}

# document 001, the table of section 17
BACKENDS = {
    "TorchModuleWrapper": (981, """\
from tensorflow.keras.layers import TorchModuleWrapper

import torch
import torch.nn as nn

class MyTorchModel(nn.Module):
    def __init__(self):
        super(MyTorchModel, self).__init__()
        self.dense = nn.Linear(10, 5)
    def forward(self, x):
        return self.dense(x)

pytorch_model = MyTorchModel()

model = Sequential([
    TorchModuleWrapper(pytorch_model),
    Dense(10, activation='softmax')
])
"""),
    "TensorFlow SavedModel": (982, """\
from tensorflow.keras.models import load_model

model = load_model('path/to/saved_model')

# Example of using the loaded model in a Keras workflow
model.summary()
"""),
    "JaxLayer": (983, """\
from tensorflow.keras.layers import Lambda
import jax.numpy as jnp

# Define a JAX function
def jax_function(x):
    return jnp.sin(x)

# Wrap JAX function in Keras Lambda layer
model = Sequential([
    Lambda(lambda x: jax_function(x)),
    Dense(10, activation='softmax')
])
"""),
    "FlaxLayer": (984, """\
from tensorflow.keras.layers import Lambda
from flax import linen as nn

# Define a Flax model
class MyFlaxModel(nn.Module):
    def __call__(self, x):
        return nn.Dense(10)(x)

flax_model = MyFlaxModel()

# Wrap Flax model in Keras Lambda layer
model = Sequential([
    Lambda(lambda x: flax_model(x)),
    Dense(10, activation='softmax')
])
"""),
}

TABLES = {"BASE_LAYER": BASE_LAYER, "ACTIVATIONS": ACTIVATIONS, "INITIALIZERS": INITIALIZERS, "REGULARIZERS": REGULARIZERS,
          "CONSTRAINTS": CONSTRAINTS, "CORE": CORE, "CONVOLUTION": CONVOLUTION, "POOLING": POOLING, "RECURRENT": RECURRENT,
          "PREPROCESSING": PREPROCESSING, "NORMALIZATION": NORMALIZATION, "REGULARIZATION": REGULARIZATION,
          "ATTENTION": ATTENTION, "RESHAPING": RESHAPING, "MERGING": MERGING, "ACTIVATION_LAYERS": ACTIVATION_LAYERS,
          "BACKENDS": BACKENDS}
