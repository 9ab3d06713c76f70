"""Write lessons/catalogue.json, the formula index, from the project's catalogue.

    python tools/make_catalogue.py CATALOGUE.json

Each entry has an id, a name, the path of the same thing in Keras (or null), and its formula as Markdown (or null), in which
a displayed formula stands between $$ and $$. Some have a note, what Keras 3 does instead; one on what is right where a text
is not, whatever Keras does; and words by which they are found too. They are written for the patterns of NOTES, RIGHT and WORDS
that fit the whole identifier; all that fit are joined.
"""
import json
import re
import sys
from pathlib import Path

OUTPUT = Path(__file__).resolve().parents[1] / "lessons" / "catalogue.json"
ABSOLUTE = {"001.02.softsign", "001.04.L1", "001.04.L1L2"}      # whose bars are absolute values; the others' are norms
BY_HAND = {
    "002.Linear": "$$y = x W^T + b$$ x (batch, in), W (out, in), b (out)",
    "004.RNN": "$$h_t = \\tanh(W_{hx} x_t + W_{hh} h_{t-1} + b_h)$$ $$y_t = W_{yh} h_t + b_y$$",
    "004.Attention": "$$e = \\tanh(x W + b)$$ $$a = \\text{softmax}_t(e)$$ $$\\text{output} = \\sum_t a_t x_t$$",
}

NOTES = {
    "001.01.add_weight": "`add_weight` only makes a weight. The formula is a step of gradient descent.",
    "001.02.hard_sigmoid": "relu6(x + 3) / 6: the slope is 1/6, not 0.2 (that was Keras 2).",
    "001.02.hard_silu": "x relu6(x + 3) / 6, as its hard sigmoid.",
    "001.02.gelu": "the exact form, x Φ(x), is the default; the one shown is `approximate=True`.",
    "001.02.leaky_relu": "α is called `negative_slope`; it is 0.2 in the function, 0.3 in the layer.",
    "001.16.LeakyReLU": "α is called `negative_slope`; it is 0.3 in the layer, 0.2 in the function.",
    "001.03.(Glorot|He|Lecun)Normal": "the second number is a variance. It is a normal distribution cut off at two deviations "
                                      "of σ' = √variance / 0.8796, so that what is left has that variance.",
    "001.03.TruncatedNormal": "cut off at two deviations, so what is left has a deviation of 0.88 σ.",
    "001.03.Orthogonal": "it is made by QR, not by SVD.",
    "001.04.OrthogonalRegularizer": "factor × the mean |cosine| between pairs of rows (or of columns).",
    "001.05.MaxNorm": "w clip(‖w‖, 0, max) / (ε + ‖w‖), column by column; elements are not clipped.",
    "001.05.MinMaxNorm": "w (rate clip(‖w‖, min, max) + (1 − rate) ‖w‖) / (ε + ‖w‖), column by column.",
    "001.05.UnitNorm": "w / (ε + ‖w‖), column by column.",
    "001.06.Dense": "x W + b, with W of shape (in, out).",
    "001.06.EinsumDense": "einsum(equation, input, kernel): the formula leaves out the kernel.",
    "001.06.Masking": "it masks the steps whose whole vector has the mask's value. For token 0 use `mask_zero=True` of "
                      "Embedding.",
    "001.07.Conv.D": "the sum runs over the input channels too, and a window begins at i · stride.",
    "001.07.Separable.*": "two stages: a depthwise convolution, whose windows begin at i · stride, then one of size 1 that "
                          "mixes the channels.",
    "001.07.Depthwise.*": "each channel has filters of its own, and a window begins at i · stride.",
    "001.07.*Transpose": "a sum of x[i − j] w[j], over the channels too: it spreads out. With stride 1 the output is only "
                         "k − 1 longer than the input.",
    "001.08.(Max|Average).*": "a window begins at i · stride, and stride is pool_size if none is given.",
    "001.08.AveragePooling2D": "it divides by the number of cells, pool_size².",
    "001.08.AveragePooling3D": "it divides by the number of cells, pool_size³.",
    "001.08.Global.*": "one number for each channel.",
    "001.09.GRU(Cell)?": "h = z h_prev + (1 − z) h̃: z keeps, the other way round. By default (`reset_after=True`) r is "
                         "multiplied with h_prev U + b', after the product.",
    "001.09.LSTM(Cell)?": "the gates lie side by side in the order i, f, c, o; the bias of f begins at 1.",
    "001.09.RNN": "it takes a cell, not `units`.",
    "001.09.ConvLSTM.D": "`padding` is that of the input; the state is always padded to keep its size.",
    "001.10.Normalization": "mean 0 and deviation 1, not a range from 0 to 1.",
    "001.10.SpectralNormalization": "σ is found by `power_iterations`, in training only.",
    "001.10.CategoryEncoding": "its modes are one_hot, multi_hot and count; there is no integer mode.",
    "001.10.HashedCrossing": "the pair is hashed, not a sum.",
    "001.10.(Resizing|CenterCrop)": "height comes first, then width.",
    "001.10.RandomFlip": "the modes are horizontal, vertical, horizontal_and_vertical; there is no 'both'.",
    "001.10.RandomRotation": "the factor is a fraction of a whole turn.",
    "001.10.RandomZoom": "a positive factor zooms out.",
    "001.10.RandomContrast": "each channel's mean stays as it is.",
    "001.10.RandomBrightness": "it adds factor × the range of the values.",
    "001.11.(Batch|Layer|Group)Normalization": "ε is 1e-3.",
    "001.11.UnitNormalization": "each sample by itself; a batch of one will do.",
    "001.11.BatchNormalization": "at inference it takes moving statistics, of momentum 0.99.",
    "001.12.(Spatial)?Dropout.*": "what is kept is divided by 1 − rate.",
    "001.12.GaussianDropout": "the noise has mean 1 and deviation √(rate / (1 − rate)).",
    "001.12.AlphaDropout": "it has no argument `alpha`.",
    "001.12.ActivityRegularization": "the loss is divided by the batch size.",
    "001.13.GroupQueryAttention": "it is a standard layer.",
    "001.13.Attention": "nothing is divided by √d; `use_scale=True` learns a factor.",
    "001.13.AdditiveAttention": "the scores are Σ scale tanh(Q + K) over the features, with no W_a.",
    "001.14.(Flatten|Reshape)": "the batch axis stays as it is.",
    "001.14.Permute": "the argument is called `dims`; it counts the axes from 1, without the batch.",
    "001.15.Concatenate": "all axes but the one must be equal.",
    "002.HiddenState": "there is one bias. PyTorch has two, `bias_ih` and `bias_hh`, which are added.",
    "002.Output|004.RNN": "SimpleRNN has no output y of its own, only h: a Dense layer behind it makes y.",
    "002.MaxPool": "`same` puts −∞ around the input, which never wins.",
    "002.Convolution": "all filters together have k · k · c_in · c_out weights, and c_out biases.",
    "003.Params.GRU": "3 [(x + h) h + 2h] by default: with `reset_after=True` there are two biases.",
    "004.Clipping": "`clipnorm` clips each variable by itself; `global_clipnorm` all together, as PyTorch's clip_grad_norm_.",
}
RIGHT = {
    "000.Lambda": "`x[:, :, ::-1]` turns axis 2 round, which is the width of a batch of images. The last axis is "
                  "`x[..., ::-1]`.",
    "002.Loss": "y is what the model says here, and ŷ the truth. Mostly it is the other way round.",
    "002.BPTT.dh_T": "that is all at the last step only. Before it, what comes back from hₜ₊₁ is added.",
    "002.BPTT.chain": "that is the way of one loss. At each step its own loss and what comes back from later steps add up: "
                      "∂L/∂hₜ = (∂yₜ/∂hₜ)ᵀ ∂L/∂yₜ + (∂hₜ₊₁/∂hₜ)ᵀ ∂L/∂hₜ₊₁. The gradients of the weights are sums over t.",
    "003.Params.GRU": "with one input and 32 units that is 3264 for one bias, and 3360 for two.",
    "004.Program.Classification": "`scaler.fit_transform(X_train[:, :, i])` scales each time step apart. For one scale a "
                                  "feature, as its comment says, put samples and steps into one axis first: "
                                  "`X_train[:, :, i].reshape(-1, 1)`.",
    "004.Program.Forecast": "`test_plot[len(train_predictions)+lookback:len(scaled_data)]` has more rows than there are "
                            "predictions, and raises: the second part has given its first `lookback` rows away too.",
    "004.Program.Text": "`np.bool` is gone from NumPy: write `bool`.",
    "004.Program.Seq2Seq": "`len(decoded_sentence)` counts characters, where words or tokens are meant, and 'EOS' is written "
                           "into the sentence: stop before it is added.",
    "004.Program.Torch": "`outputs.squeeze()` takes the batch axis away too if there is one sample: write `squeeze(1)`.",
}
WORDS = {
    ".*GRU.*": "gate gates update reset candidate recurrent",
    ".*LSTM.*": "gate gates forget input output candidate cell state memory recurrent",
    ".*RNN.*": "recurrent state",
    "002.BPTT.*": "backpropagation through time recurrent backward",
    "001.02.*": "activation slope",
    "001.03.*": "initialiser initializer initialisation",
    "001.04.*": "regulariser regularizer penalty weight decay",
    "001.05.*": "constraint",
    "001.07.*": "convolution kernel window stride padding filter",
    "001.08.*": "pooling window stride",
    "001.06.(Dense|EinsumDense)|002.Linear": "linear fully connected affine dense layer",
    "001.06.Embedding|002.Embedding": "lookup token table",
    "001.11.*": "normalisation normalization mean variance",
    "001.12.*": "dropout noise regularisation",
    ".*Attention": "query key value scores softmax attention",
    "001.15.*": "merge merging",
    "001.09.Bidirectional|004.Bidirectional": "both ways backwards forwards",
    "002.Update": "SGD gradient descent optimiser learning rate step",
    "004.Clipping": "clip norm exploding",
}


def fitting(identifier: str, patterns: dict[str, str]) -> str | None:
    """The texts of all patterns that fit the whole identifier, joined; None if there are none."""
    return " ".join(text for pattern, text in patterns.items() if re.fullmatch(pattern, identifier)) or None


def markdown(identifier: str, formula: str | None) -> str | None:
    """The catalogue's formula as Markdown for `nblayers.learn.terminal.LessonText`."""
    if formula is None or identifier in BY_HAND:
        return BY_HAND.get(identifier)
    text = re.sub(r"\\text\{(\w+)@(\w+)\}", r"\\text{\1\\_\2}", formula.strip())
    text = re.sub(r"\\\[(.*?)\\\]", lambda found: " (" + found[1].replace(" \\cdot ", ", then ") + ")", text)
    if identifier in ABSOLUTE:
        text = text.replace("\\|", "|")
    if "$" not in text:
        parts = re.split(r"(?<!\\); ", text)
        return " ".join(f"$${part}$$" for part in parts) if re.search(r"[=\\\[(]", text) and "SVD" not in text else text
    if "$$" in text:
        return text
    lines = [re.sub(r"^\$([^$]+)\$", r"$$\1$$", line.strip()) for line in text.split("<br>")]
    return " ".join(lines)


def main() -> None:
    entries = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    index = [{"id": entry["id"], "name": entry["document_name"], "keras": entry.get("keras"),
              "formula": markdown(entry["id"], entry["formula"])} for entry in entries]
    for entry in index:
        more = {key: fitting(entry["id"], texts) for key, texts in (("note", NOTES), ("right", RIGHT), ("words", WORDS))}
        entry.update({key: text for key, text in more.items() if text})
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in index)
    OUTPUT.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
