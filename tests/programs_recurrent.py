"""The programs of documents 003 and 004 as they stand there, `tensorflow.keras` replaced by `nblayers`."""
# document 003

COMPILE_AND_FIT = """
# Compile the model
model.compile(optimizer='adam', loss='binary_crossentropy', metrics=['accuracy'])
model.summary()

# Fit the model
model.fit(X_train, y_train, epochs=10, batch_size=32)

# Predict
predictions = model.predict(X_train)
print(predictions)
"""
DOCUMENT_003 = {
    "SimpleRNN": ("""
from nblayers import layers, models

# Generate dummy sequential data
import numpy as np
X_train = np.random.random((100, 10, 1))  # 100 samples, 10 timesteps, 1 feature
y_train = np.random.randint(2, size=(100, 1))

# Build a simple RNN model
model = models.Sequential([
    layers.SimpleRNN(32, activation='relu', input_shape=(10, 1)),
    layers.Dense(1, activation='sigmoid')
])
""", [("SimpleRNN", (None, 32), 1088), ("Dense", (None, 1), 33)], 1121),
    "two SimpleRNN": ("""
from nblayers import layers, models

# Generate dummy sequential data
import numpy as np
X_train = np.random.random((100, 10, 1))  # 100 samples, 10 timesteps, 1 feature
y_train = np.random.randint(2, size=(100, 1))

# Build a simple RNN model
model = models.Sequential([
    layers.SimpleRNN(32, activation='relu', input_shape=(10, 1), return_sequences=True),
    layers.SimpleRNN(32, activation='relu'),
    layers.Dense(1, activation='sigmoid')
])
""", [("SimpleRNN", (None, 10, 32), 1088), ("SimpleRNN", (None, 32), 2080), ("Dense", (None, 1), 33)], 3201),
    "LSTM": ("""
# Generate dummy sequential data
X_train = np.random.random((100, 10, 1))
y_train = np.random.randint(2, size=(100, 1))

# Build an LSTM model
model = models.Sequential([
    layers.LSTM(32, activation='tanh', input_shape=(10, 1)),
    layers.Dense(1, activation='sigmoid')
])
""", [("LSTM", (None, 32), 4352), ("Dense", (None, 1), 33)], 4385),
    "GRU": ("""
# Generate dummy sequential data
X_train = np.random.random((100, 10, 1))
y_train = np.random.randint(2, size=(100, 1))

# Build a GRU model
model = models.Sequential([
    layers.GRU(32, activation='tanh', input_shape=(10, 1)),
    layers.Dense(1, activation='sigmoid')
])
""", [("GRU", (None, 32), 3360), ("Dense", (None, 1), 33)], 3393),
    "TimeDistributed": ("""
# Generate dummy sequential data
X_train = np.random.random((100, 10, 8))  # 100 samples, 10 timesteps, 8 features
y_train = np.random.randint(2, size=(100, 1))

# Build a model using TimeDistributed
model = models.Sequential([
    layers.TimeDistributed(layers.Dense(16, activation='relu'), input_shape=(10, 8)),
    layers.LSTM(32, activation='tanh'),
    layers.Dense(1, activation='sigmoid')
])
""", [("TimeDistributed", (None, 10, 16), 144), ("LSTM", (None, 32), 6272), ("Dense", (None, 1), 33)], 6449),
}

SHAPES_003 = ["""
output = layers.LSTM(32, activation='tanh')(np.random.random((100, 10, 1)))
output.shape
""", """
output = layers.LSTM(32, activation='tanh', return_sequences=True)(np.random.random((100, 10, 1)))
output.shape
""", """
output, h, c = layers.LSTM(32, activation='tanh', return_state=True)(np.random.random((100, 10, 1)))
print(f"Output: {output.shape}")
print(f"Hidden State: {h.shape}") # output = h
print(f"Cell State: {c.shape}")
""", """
output, h, c = layers.LSTM(32, activation='tanh', return_sequences=True, return_state=True)(np.random.random((100, 10, 1)))
print(f"Output: {output.shape}")
print(f"Hidden State: {h.shape}") # h corresponds to the last element of output
print(f"Cell State: {c.shape}")
"""]


# document 004

TYPES = {
    "SimpleRNN": """
from nblayers.layers import SimpleRNN

model = Sequential([
    SimpleRNN(64, input_shape=(sequence_length, features)),
    Dense(10, activation='softmax')
])
""",
    "LSTM": """
from nblayers.layers import LSTM

model = Sequential([
    LSTM(64, input_shape=(sequence_length, features), return_sequences=True),
    LSTM(32),
    Dense(10, activation='softmax')
])
""",
    "GRU": """
from nblayers.layers import GRU

model = Sequential([
    GRU(64, input_shape=(sequence_length, features), return_sequences=True),
    GRU(32),
    Dense(10, activation='softmax')
])
""",
    "Bidirectional": """
from nblayers.layers import Bidirectional, LSTM

model = Sequential([
    Bidirectional(LSTM(64, return_sequences=True), input_shape=(sequence_length, features)),
    Bidirectional(LSTM(32)),
    Dense(10, activation='softmax')
])
""",
    "stacked": """
model = Sequential([
    LSTM(64, return_sequences=True, input_shape=(sequence_length, features)),
    LSTM(64, return_sequences=True),
    LSTM(32),
    Dense(10, activation='softmax')
])
""",
}

CLASSIFICATION = """
import numpy as np
import nblayers
from nblayers.models import Sequential
from nblayers.layers import LSTM, Dense, Dropout, Embedding
from nblayers.callbacks import EarlyStopping
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

# Assume X is a 3D array of shape (samples, time_steps, features)
# Assume y is the target variable (labels)

# Split data
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=42)

# Normalize features (apply to each time step)
# For each feature across all time steps and samples
for i in range(X_train.shape[2]):
    scaler = StandardScaler()
    X_train[:, :, i] = scaler.fit_transform(X_train[:, :, i])
    X_test[:, :, i] = scaler.transform(X_test[:, :, i])

# Build model
def create_lstm_model(input_shape, output_units=1, output_activation='sigmoid'):
    model = Sequential()

    # LSTM layers
    model.add(LSTM(128, return_sequences=True, input_shape=input_shape))
    model.add(Dropout(0.2))
    model.add(LSTM(64))
    model.add(Dropout(0.2))

    # Output layer
    model.add(Dense(output_units, activation=output_activation))

    # Compile model (adjust based on your task)
    if output_units == 1:  # Binary classification
        model.compile(
            optimizer='adam',
            loss='binary_crossentropy',
            metrics=['accuracy']
        )
    elif output_activation == 'softmax':  # Multi-class classification
        model.compile(
            optimizer='adam',
            loss='sparse_categorical_crossentropy',
            metrics=['accuracy']
        )
    else:  # Regression
        model.compile(
            optimizer='adam',
            loss='mse',
            metrics=['mae']
        )

    return model

# Create model instance
input_shape = (X_train.shape[1], X_train.shape[2])  # (time_steps, features)
model = create_lstm_model(input_shape)

# Define callbacks
early_stopping = EarlyStopping(
    monitor='val_loss',
    patience=10,
    restore_best_weights=True
)

# Train the model
history = model.fit(
    X_train, y_train,
    epochs=100,
    batch_size=32,
    validation_split=0.2,
    callbacks=[early_stopping],
    verbose=1
)

# Evaluate on test set
test_loss, test_acc = model.evaluate(X_test, y_test)
print(f"Test accuracy: {test_acc:.4f}")

# Plot training history
import matplotlib.pyplot as plt

plt.figure(figsize=(12, 4))

plt.subplot(1, 2, 1)
plt.plot(history.history['loss'], label='Training Loss')
plt.plot(history.history['val_loss'], label='Validation Loss')
plt.xlabel('Epoch')
plt.ylabel('Loss')
plt.legend()

plt.subplot(1, 2, 2)
plt.plot(history.history['accuracy'], label='Training Accuracy')
plt.plot(history.history['val_accuracy'], label='Validation Accuracy')
plt.xlabel('Epoch')
plt.ylabel('Accuracy')
plt.legend()

plt.tight_layout()
plt.show()

# Make predictions
y_pred = model.predict(X_test)
"""

FORECASTING = """
import numpy as np
import pandas as pd
import matplotlib.pyplot as plt
from nblayers.models import Sequential
from nblayers.layers import LSTM, Dense, Dropout
from sklearn.preprocessing import MinMaxScaler
from sklearn.metrics import mean_squared_error

# Function to create time series dataset with lookback window
def create_time_series_dataset(data, lookback=60):
    X, y = [], []
    for i in range(lookback, len(data)):
        X.append(data[i-lookback:i, 0])
        y.append(data[i, 0])
    return np.array(X), np.array(y)

# Load and prepare data
# Assume 'data' is a pandas Series of time series values
data = pd.read_csv('time_series_data.csv')['value'].values.reshape(-1, 1)

# Normalize data
scaler = MinMaxScaler(feature_range=(0, 1))
scaled_data = scaler.fit_transform(data)

# Split into train and test sets (80% train, 20% test)
train_size = int(len(scaled_data) * 0.8)
train_data = scaled_data[:train_size]
test_data = scaled_data[train_size:]

# Create datasets with lookback window
lookback = 60  # Use 60 previous time steps to predict the next one
X_train, y_train = create_time_series_dataset(train_data, lookback)
X_test, y_test = create_time_series_dataset(test_data, lookback)

# Reshape input to be [samples, time steps, features]
X_train = np.reshape(X_train, (X_train.shape[0], X_train.shape[1], 1))
X_test = np.reshape(X_test, (X_test.shape[0], X_test.shape[1], 1))

# Build model
model = Sequential()
model.add(LSTM(50, return_sequences=True, input_shape=(lookback, 1)))
model.add(Dropout(0.2))
model.add(LSTM(50, return_sequences=False))
model.add(Dropout(0.2))
model.add(Dense(1))

model.compile(optimizer='adam', loss='mse')

# Train model
history = model.fit(
    X_train, y_train,
    epochs=100,
    batch_size=32,
    validation_split=0.2,
    verbose=1
)

# Make predictions
train_predictions = model.predict(X_train)
test_predictions = model.predict(X_test)

# Invert predictions (scale back to original values)
train_predictions = scaler.inverse_transform(train_predictions)
y_train_inv = scaler.inverse_transform([y_train])
test_predictions = scaler.inverse_transform(test_predictions)
y_test_inv = scaler.inverse_transform([y_test])

# Calculate RMSE
train_rmse = np.sqrt(mean_squared_error(y_train_inv[0], train_predictions[:, 0]))
test_rmse = np.sqrt(mean_squared_error(y_test_inv[0], test_predictions[:, 0]))
print(f"Train RMSE: {train_rmse:.2f}")
print(f"Test RMSE: {test_rmse:.2f}")

# Plot results
plt.figure(figsize=(14, 5))
plt.plot(scaler.inverse_transform(scaled_data), label='Actual Data')

# Shift train predictions for plotting
train_plot = np.empty_like(scaled_data)
train_plot[:] = np.nan
train_plot[lookback:len(train_predictions)+lookback, :] = train_predictions

# Shift test predictions for plotting
test_plot = np.empty_like(scaled_data)
test_plot[:] = np.nan
test_plot[len(train_predictions)+lookback:len(scaled_data), :] = test_predictions

plt.plot(train_plot, label='Train Predictions')
plt.plot(test_plot, label='Test Predictions')
plt.legend()
plt.title('Time Series Forecasting with LSTM')
plt.show()
"""

TEXT_GENERATION = r"""
import numpy as np
import nblayers
from nblayers.models import Sequential
from nblayers.layers import LSTM, Dense, Dropout, Embedding
from nblayers.callbacks import LambdaCallback
from nblayers.optimizers import RMSprop
import random
import sys

# Load text data
with open('text_data.txt', 'r', encoding='utf-8') as file:
    text = file.read().lower()

# Create character mappings
chars = sorted(list(set(text)))
char_to_idx = {c: i for i, c in enumerate(chars)}
idx_to_char = {i: c for i, c in enumerate(chars)}

# Prepare sequences
maxlen = 40  # Length of input sequences
step = 3     # Step size for sliding window
sentences = []
next_chars = []

for i in range(0, len(text) - maxlen, step):
    sentences.append(text[i:i + maxlen])
    next_chars.append(text[i + maxlen])

# Vectorize input and output
X = np.zeros((len(sentences), maxlen, len(chars)), dtype=np.bool)
y = np.zeros((len(sentences), len(chars)), dtype=np.bool)

for i, sentence in enumerate(sentences):
    for t, char in enumerate(sentence):
        X[i, t, char_to_idx[char]] = 1
    y[i, char_to_idx[next_chars[i]]] = 1

# Build model
model = Sequential()
model.add(LSTM(128, input_shape=(maxlen, len(chars)), return_sequences=True))
model.add(Dropout(0.2))
model.add(LSTM(128))
model.add(Dropout(0.2))
model.add(Dense(len(chars), activation='softmax'))

model.compile(loss='categorical_crossentropy', optimizer=RMSprop(learning_rate=0.01))

# Function to sample next character
def sample(preds, temperature=1.0):
    preds = np.asarray(preds).astype('float64')
    preds = np.log(preds) / temperature
    exp_preds = np.exp(preds)
    preds = exp_preds / np.sum(exp_preds)
    probas = np.random.multinomial(1, preds, 1)
    return np.argmax(probas)

# Function to generate text
def generate_text(epoch, logs):
    if epoch % 10 != 0:
        return

    print(f"\n----- Generating text after Epoch: {epoch}")

    start_index = random.randint(0, len(text) - maxlen - 1)
    for diversity in [0.2, 0.5, 1.0, 1.2]:
        print(f"\n----- Diversity: {diversity}")

        generated = ''
        sentence = text[start_index:start_index + maxlen]
        generated += sentence
        print(f'----- Generating with seed: "{sentence}"')

        for i in range(400):  # Generate 400 characters
            x_pred = np.zeros((1, maxlen, len(chars)))
            for t, char in enumerate(sentence):
                x_pred[0, t, char_to_idx[char]] = 1

            preds = model.predict(x_pred, verbose=0)[0]
            next_index = sample(preds, diversity)
            next_char = idx_to_char[next_index]

            generated += next_char
            sentence = sentence[1:] + next_char

        print(generated)

# Setup callback for text generation
print_callback = LambdaCallback(on_epoch_end=generate_text)

# Train model
model.fit(X, y, batch_size=128, epochs=60, callbacks=[print_callback])
"""

ENCODER_DECODER = """
from nblayers.models import Model
from nblayers.layers import Input, LSTM, Dense, Embedding

# Define model parameters
input_vocab_size = 10000  # Size of input vocabulary
output_vocab_size = 10000  # Size of output vocabulary
input_seq_length = 20     # Maximum input sequence length
output_seq_length = 20    # Maximum output sequence length
embedding_dim = 256       # Embedding dimension
hidden_units = 256        # LSTM hidden units

# Encoder
encoder_inputs = Input(shape=(input_seq_length,))
encoder_embedding = Embedding(input_vocab_size, embedding_dim)(encoder_inputs)
encoder_lstm = LSTM(hidden_units, return_state=True)
_, state_h, state_c = encoder_lstm(encoder_embedding)
encoder_states = [state_h, state_c]  # LSTM states

# Decoder
decoder_inputs = Input(shape=(output_seq_length,))
decoder_embedding = Embedding(output_vocab_size, embedding_dim)(decoder_inputs)
decoder_lstm = LSTM(hidden_units, return_sequences=True, return_state=True)
decoder_outputs, _, _ = decoder_lstm(decoder_embedding, initial_state=encoder_states)
decoder_dense = Dense(output_vocab_size, activation='softmax')
decoder_outputs = decoder_dense(decoder_outputs)

# Define the model
model = Model([encoder_inputs, decoder_inputs], decoder_outputs)
model.compile(optimizer='rmsprop', loss='categorical_crossentropy', metrics=['accuracy'])

# For inference (after training)
# Encoder model
encoder_model = Model(encoder_inputs, encoder_states)

# Decoder model
decoder_state_input_h = Input(shape=(hidden_units,))
decoder_state_input_c = Input(shape=(hidden_units,))
decoder_states_inputs = [decoder_state_input_h, decoder_state_input_c]

decoder_outputs, state_h, state_c = decoder_lstm(
    decoder_embedding, initial_state=decoder_states_inputs)
decoder_states = [state_h, state_c]
decoder_outputs = decoder_dense(decoder_outputs)
decoder_model = Model(
    [decoder_inputs] + decoder_states_inputs,
    [decoder_outputs] + decoder_states)

# Function to decode sequences
def decode_sequence(input_seq):
    # Encode the input as state vectors
    states_value = encoder_model.predict(input_seq)

    # Generate empty target sequence of length 1 with BOS token
    target_seq = np.zeros((1, 1))
    target_seq[0, 0] = BOS_token  # Beginning of sequence token

    # Sampling loop
    stop_condition = False
    decoded_sentence = ''

    while not stop_condition:
        output_tokens, h, c = decoder_model.predict([target_seq] + states_value)

        # Sample a token
        sampled_token_index = np.argmax(output_tokens[0, -1, :])
        sampled_char = idx_to_char[sampled_token_index]
        decoded_sentence += sampled_char

        # Exit condition: either hit max length or find EOS token
        if (sampled_char == 'EOS' or len(decoded_sentence) > max_decoder_seq_length):
            stop_condition = True

        # Update the target sequence (length 1)
        target_seq = np.zeros((1, 1))
        target_seq[0, 0] = sampled_token_index

        # Update states
        states_value = [h, c]

    return decoded_sentence
"""

MASKING = """
from nblayers.preprocessing.sequence import pad_sequences

# Pad sequences to the same length
max_length = 100
padded_sequences = pad_sequences(sequences, maxlen=max_length, padding='post')

# Use masking to ignore padded values
from nblayers.layers import Masking

model = Sequential([
    Masking(mask_value=0., input_shape=(max_length, features)),
    LSTM(64, return_sequences=True),
    LSTM(32),
    Dense(1, activation='sigmoid')
])
"""

ATTENTION = """
# Simple Attention Layer in Keras
class AttentionLayer(nblayers.layers.Layer):
    def __init__(self):
        super(AttentionLayer, self).__init__()

    def build(self, input_shape):
        self.W = self.add_weight(
            name="att_weight", shape=(input_shape[-1], 1),
            initializer="normal")
        self.b = self.add_weight(
            name="att_bias", shape=(input_shape[1], 1),
            initializer="zeros")
        super(AttentionLayer, self).build(input_shape)

    def call(self, x):
        # x: LSTM output of shape (batch_size, seq_len, hidden_size)
        e = nblayers.backend.tanh(nblayers.backend.dot(x, self.W) + self.b)
        a = nblayers.backend.softmax(e, axis=1)
        output = x * a
        return nblayers.backend.sum(output, axis=1)

# Usage in model
inputs = Input(shape=(max_length, features))
lstm_out = LSTM(64, return_sequences=True)(inputs)
attention_out = AttentionLayer()(lstm_out)
outputs = Dense(1, activation='sigmoid')(attention_out)
model = Model(inputs, outputs)
"""

BIDIRECTIONAL = """
# Basic bidirectional LSTM
from nblayers.layers import Bidirectional

model = Sequential([
    Bidirectional(LSTM(64, return_sequences=True), input_shape=(max_length, features)),
    Bidirectional(LSTM(32)),
    Dense(1, activation='sigmoid')
])

# With merged mode options
# 'concat': concatenates forward and backward outputs (default)
# 'sum': adds forward and backward outputs
# 'ave': averages forward and backward outputs
# 'mul': multiplies forward and backward outputs
bidirectional_layer = Bidirectional(
    LSTM(64, return_sequences=True),
    merge_mode='concat'  # or 'sum', 'ave', 'mul'
)
"""

CLIPPING = """
# In Keras
from nblayers.optimizers import Adam

optimizer = Adam(learning_rate=0.001, clipnorm=1.0)  # Clip by norm
# or
optimizer = Adam(learning_rate=0.001, clipvalue=0.5)  # Clip by value

model.compile(optimizer=optimizer, loss='binary_crossentropy', metrics=['accuracy'])

# In PyTorch
torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
# or
torch.nn.utils.clip_grad_value_(model.parameters(), clip_value=0.5)
"""

DROPOUT = """
# Dropout between LSTM layers
model = Sequential([
    LSTM(64, return_sequences=True, input_shape=(max_length, features)),
    Dropout(0.3),
    LSTM(32),
    Dropout(0.3),
    Dense(1, activation='sigmoid')
])

# Recurrent dropout (dropout on recurrent connections)
model = Sequential([
    LSTM(64, return_sequences=True, dropout=0.3, recurrent_dropout=0.2,
         input_shape=(max_length, features)),
    LSTM(32, dropout=0.3, recurrent_dropout=0.2),
    Dense(1, activation='sigmoid')
])
"""

REGULARIZATION = """
from nblayers.regularizers import l1, l2

model = Sequential([
    LSTM(64, return_sequences=True,
         kernel_regularizer=l2(0.01),
         recurrent_regularizer=l2(0.01),
         bias_regularizer=l2(0.01),
         input_shape=(max_length, features)),
    LSTM(32),
    Dense(1, activation='sigmoid')
])
"""
