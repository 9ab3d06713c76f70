"""The PyTorch programs of documents 002 and 004 as they stand there, and what of them changes here.

Autograd, tensors and their devices have no counterpart: arrays are NumPy's, and each model has a `backward` of its own. What
changes is listed as (text, instead); all other lines run as they are.
"""
LINEAR_002 = """
import torch.nn as nn
linear = nn.Linear(in_features = 128, out_features = 64)
# or
linear = nn.Linear(128, 64)
"""
CONVOLUTION_002 = """
convLayer = nn.Conv2d(in_channels=1, out_channels=1, kernel_size=2, stride = 1, padding = 0)
"""
POOLING_002 = """
max_pool = nn.MaxPool2d(kernel_size = 2, stride = 2)
avg_pool = nn.AvgPool2d(kernel_size = 2, stride = 2)
"""

RNN_002 = """
import torch
import torch.nn as nn
import torch.optim as optim

class SimpleRNN(nn.Module):
    def __init(self, input_size, hidden_size, output_size):
        super(SimpleRNN, self).__init__()

        # RNN layer
        self.rnn = nn.RNN(input_size, hidden_size, batch_first = True)
        self.fc = nn.Linear(hidden_size, output_size)
    def forward(self, x):
        # out = output of all the time steps, _ is the hidden state of the last hidden state, back prop happens automatically, \
so we discard it since we don't need to use it
        out, _ = self.rnn(x)

        # let us extract the last output
        out = self.fc(out[:,-1,:])
        return out
"""
MISSPELT = [("def __init(self", "def __init__(self")]
RNN_002_CHANGES = [
    ("import torch\nimport torch.nn as nn\nimport torch.optim as optim\n",
     "import numpy as np\nimport nblayers.nn as nn\nimport nblayers.optim as optim\n"),
    ("        out, _ = self.rnn(x)\n", "        out, _ = self.rnn(x)\n        self.cache = out.shape\n"),
    ("        return out\n", """        return out

    def backward(self, dy):
        dout = np.zeros(self.cache, dy.dtype)
        dout[:,-1,:] = self.fc.backward(dy)
        return self.rnn.backward((dout, None))
"""),
]

EMBEDDING_002 = """
import torch
import torch.nn as nn

embed = nn.Embedding(num_embeddings=10, embedding_dim = 4)
"""
EMBEDDING_002_CHANGES = [("import torch\nimport torch.nn as nn\n", "import nblayers.nn as nn\n")]

LSTM_004 = """
import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset
import numpy as np

# Assume X_train, y_train, X_test, y_test are numpy arrays

# Convert to PyTorch tensors
X_train_tensor = torch.FloatTensor(X_train)
y_train_tensor = torch.FloatTensor(y_train)
X_test_tensor = torch.FloatTensor(X_test)
y_test_tensor = torch.FloatTensor(y_test)

# Create DataLoader
train_dataset = TensorDataset(X_train_tensor, y_train_tensor)
train_loader = DataLoader(train_dataset, batch_size=32, shuffle=True)

# Define LSTM model
class LSTMModel(nn.Module):
    def __init__(self, input_size, hidden_size, num_layers, output_size, dropout=0.2):
        super(LSTMModel, self).__init__()

        self.hidden_size = hidden_size
        self.num_layers = num_layers

        self.lstm = nn.LSTM(
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            batch_first=True,
            dropout=dropout if num_layers > 1 else 0
        )

        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        # Initialize hidden state with zeros
        h0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size).to(x.device)
        c0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size).to(x.device)

        # Forward propagate LSTM
        out, _ = self.lstm(x, (h0, c0))  # out shape: [batch_size, seq_len, hidden_size]

        # Get the output from the last time step
        out = out[:, -1, :]

        # Apply dropout and pass through fully connected layer
        out = self.dropout(out)
        out = self.fc(out)

        return out

# Instantiate model
input_size = X_train.shape[2]  # Number of features
hidden_size = 64
num_layers = 2
output_size = 1  # For binary classification

model = LSTMModel(input_size, hidden_size, num_layers, output_size)

# Define loss function and optimizer
criterion = nn.BCEWithLogitsLoss()  # For binary classification
optimizer = optim.Adam(model.parameters(), lr=0.001)

# Training loop
num_epochs = 100
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
model.to(device)

for epoch in range(num_epochs):
    model.train()
    running_loss = 0.0

    for inputs, targets in train_loader:
        inputs, targets = inputs.to(device), targets.to(device)

        # Forward pass
        outputs = model(inputs)
        loss = criterion(outputs.squeeze(), targets)

        # Backward pass and optimize
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        running_loss += loss.item() * inputs.size(0)

    epoch_loss = running_loss / len(train_loader.dataset)
    print(f'Epoch {epoch+1}/{num_epochs}, Loss: {epoch_loss:.4f}')

# Evaluate model
model.eval()
with torch.no_grad():
    X_test_tensor = X_test_tensor.to(device)
    outputs = model(X_test_tensor)
    predicted = torch.sigmoid(outputs.squeeze()) > 0.5
    accuracy = (predicted == y_test_tensor.to(device)).sum().item() / len(y_test_tensor)
    print(f'Test Accuracy: {accuracy:.4f}')
"""
LSTM_004_CHANGES = [
    ("import torch\nimport torch.nn as nn\nimport torch.optim as optim\n"
     "from torch.utils.data import DataLoader, TensorDataset\n",
     "import nblayers.nn as nn\nimport nblayers.optim as optim\nfrom nblayers.activations import sigmoid\n"
     "from nblayers.utils.data import DataLoader, TensorDataset\n"),
    ("torch.FloatTensor(X_train)", "np.float32(X_train)"),
    ("torch.FloatTensor(y_train)", "np.float32(y_train)"),
    ("torch.FloatTensor(X_test)", "np.float32(X_test)"),
    ("torch.FloatTensor(y_test)", "np.float32(y_test)"),
    ("h0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size).to(x.device)",
     "h0 = np.zeros((self.num_layers, len(x), self.hidden_size), x.dtype)"),
    ("c0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size).to(x.device)",
     "c0 = np.zeros((self.num_layers, len(x), self.hidden_size), x.dtype)"),
    ("        out = out[:, -1, :]\n", "        self.cache = out.shape\n        out = out[:, -1, :]\n"),
    ("        return out\n", """        return out

    def backward(self, dy):
        dout = np.zeros(self.cache, dy.dtype)
        dout[:, -1, :] = self.dropout.backward(self.fc.backward(dy))
        dx, _ = self.lstm.backward((dout, None))
        return dx
"""),
    ('device = torch.device("cuda" if torch.cuda.is_available() else "cpu")', 'device = "cpu"'),
    ("        inputs, targets = inputs.to(device), targets.to(device)\n", ""),
    ("        loss.backward()\n", "        model.backward(criterion.backward().reshape(outputs.shape))\n"),
    ("inputs.size(0)", "len(inputs)"),
    ("with torch.no_grad():\n    X_test_tensor = X_test_tensor.to(device)\n    outputs = model(X_test_tensor)\n"
     "    predicted = torch.sigmoid(outputs.squeeze()) > 0.5\n"
     "    accuracy = (predicted == y_test_tensor.to(device)).sum().item() / len(y_test_tensor)\n    print",
     "outputs = model(X_test_tensor)\npredicted = sigmoid(outputs.squeeze()) > 0.5\n"
     "accuracy = (predicted == y_test_tensor).sum().item() / len(y_test_tensor)\nprint"),
]

PACKED_004 = """
# PyTorch dynamic RNN with pack_padded_sequence
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

# Sort sequences by length in descending order
lengths = torch.LongTensor([len(seq) for seq in sequences])
lengths, sort_idx = lengths.sort(descending=True)
sequences = sequences[sort_idx]

# Pack sequences
packed_sequences = pack_padded_sequence(sequences, lengths, batch_first=True)

# Process with RNN
outputs, hidden = self.lstm(packed_sequences)

# Unpack if needed
outputs, _ = pad_packed_sequence(outputs, batch_first=True)
"""
PACKED_004_CHANGES = [
    ("from torch.nn.utils.rnn", "from nblayers.nn.utils.rnn"),
    ("lengths = torch.LongTensor([len(seq) for seq in sequences])\nlengths, sort_idx = lengths.sort(descending=True)\n",
     "lengths = np.array([len(seq) for seq in sequences])\nsort_idx = np.argsort(-lengths, kind='stable')\n"
     "lengths = lengths[sort_idx]\n"),
]

CLIPPING_004 = """
torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
# or
torch.nn.utils.clip_grad_value_(model.parameters(), clip_value=0.5)
"""
CLIPPING_004_CHANGES = [("torch.nn.utils.clip_grad_norm_", "nn.utils.clip_grad_norm_"),
                        ("torch.nn.utils.clip_grad_value_", "nn.utils.clip_grad_value_")]
