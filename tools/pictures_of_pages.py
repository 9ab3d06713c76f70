"""Draw docs/microscope.png and docs/gradient_report.png, which the README shows: pages as headless Chromium draws them.

    python tools/pictures_of_pages.py [FOLDER]

Needs playwright (in the extra `test`) and Chromium; CHROMIUM says where it is, /usr/bin/chromium by default.
"""
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

import nblayers
from nblayers.layers import Layer
from nblayers.learn.microscope.examples import example
from nblayers.learn.microscope.page import page

STEP = 114                              # of the LSTM's walk: dC, on the way back


class Gated(Layer):
    """y = x sigmoid(x W); its backward has forgotten that the gate depends on x, too."""

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], input_shape[-1]), name="W")

    def forward(self, x):
        gate = 1 / (1 + np.exp(-(x @ self.W.value)))
        self.cache = {"x": x, "gate": gate}
        return x * gate

    def backward(self, dy):
        x, gate = self.cache["x"], self.cache["gate"]
        da = dy * x * gate * (1 - gate)
        self.W.grad += x.T @ da
        return dy * gate


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "docs"
    with tempfile.TemporaryDirectory() as made, sync_playwright() as player:
        microscope, report = Path(made, "microscope.html"), Path(made, "report.html")
        microscope.write_text(page(example("lstm").view()), encoding="utf-8")
        x = np.random.default_rng(0).normal(size=(3, 4))
        nblayers.gradcheck(Gated(dtype="float64"), x, raise_error=False).to_html(report)
        browser = player.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"])
        for file, address, height in ((microscope, f"#step={STEP}", 860), (report, "", 745)):
            sheet = browser.new_page(viewport={"width": 1120, "height": height})
            sheet.goto(file.as_uri() + address)
            sheet.wait_for_timeout(500)
            sheet.screenshot(path=folder / f"{'microscope' if file is microscope else 'gradient_report'}.png")
        browser.close()


if __name__ == "__main__":
    main()
