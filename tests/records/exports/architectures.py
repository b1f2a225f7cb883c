"""Ten small models of the kinds that people train, and inputs for each."""

import torch
import torch.nn.functional as F
from torch import nn

from coflect_widget.projects.demo_model import small_resnet
from tests.conftest import tiny_cnn

CLASSES, WORDS, LENGTH = 3, 50, 12


class Vision(nn.Module):
    """A vision transformer that asks for the length of its batch with len()."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.places = nn.Parameter(torch.randn(1, 17, 16))
        layer = nn.TransformerEncoderLayer(
            16, 4, 32, batch_first=True, norm_first=True, activation="gelu"
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
        return self.head(self.encoder(x)[:, 0])


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layers = kind(3, 8, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x):
        return self.head(self.layers(x.transpose(1, 2))[0][:, -1])


class TextTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, 16, padding_idx=0)
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, input_ids, attention_mask):
        x = self.encoder(self.words(input_ids), src_key_padding_mask=attention_mask == 0)
        kept = attention_mask.unsqueeze(-1).to(x.dtype)
        return {"logits": self.head((x * kept).sum(1) / kept.sum(1).clamp(min=1)), "hidden": x}


class TextConvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, 8)
        self.convolution = nn.Conv1d(8, 16, 3, padding=1)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, ids):
        return self.head(F.relu(self.convolution(self.words(ids).transpose(1, 2))).amax(2))


class TableNet(nn.Module):
    """Three numbers and a category that is looked up."""

    def __init__(self):
        super().__init__()
        self.category = nn.Embedding(5, 4)
        self.layers = nn.Sequential(
            nn.Linear(7, 16), nn.SiLU(), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, CLASSES)
        )

    def forward(self, row):
        return self.layers(torch.cat([row[:, :3], self.category(row[:, 3].long())], 1))


class Both(nn.Module):
    """Two inputs: a picture and a table row."""

    def __init__(self):
        super().__init__()
        self.picture = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(12, CLASSES)

    def forward(self, picture, row):
        return self.head(torch.cat([self.picture(picture).flatten(1), row], 1))


def series_convolution():
    return nn.Sequential(
        nn.Conv1d(3, 8, 5, padding=2), nn.GroupNorm(2, 8), nn.GELU(), nn.MaxPool1d(2),
        nn.Conv1d(8, 8, 3, padding=1), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(8, CLASSES),
    )  # fmt: skip


def pictures():
    return (torch.randn(8, 3, 16, 16),)


def curves():
    return (torch.randn(8, 3, 24),)


def ids():
    return (torch.randint(1, WORDS, (8, LENGTH)),)


def masked():
    mask = (torch.arange(LENGTH) < torch.randint(3, LENGTH, (8, 1))).long()
    return ids()[0] * mask, mask


def rows():
    return (torch.cat([torch.randn(8, 3), torch.randint(0, 5, (8, 1)).float()], 1),)


#: Name, model, inputs.
ARCHITECTURES = {
    "demo": (lambda: small_resnet(CLASSES, width=8), pictures),
    "convolutions": (lambda: tiny_cnn(CLASSES), pictures),
    "vision transformer": (Vision, pictures),
    "lstm": (lambda: Recurrent(nn.LSTM), curves),
    "gru": (lambda: Recurrent(nn.GRU), curves),
    "text transformer": (TextTransformer, masked),
    "text convolution": (TextConvolution, ids),
    "series convolution": (series_convolution, curves),
    "table": (TableNet, rows),
    "two inputs": (Both, lambda: (*pictures(), torch.randn(8, 4))),
}


def made(name):
    """A model whose statistics have seen some batches, and inputs as arrays."""
    torch.manual_seed(0)
    make, inputs = ARCHITECTURES[name]
    model, given = make(), inputs()
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(*inputs())
    return model, tuple(x.numpy() for x in given)


class Branches(nn.Module):
    """One way through it for some inputs, another for others."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, CLASSES)

    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else -self.layer(x)


class Eigenvalues(nn.Module):
    """ONNX has no operator for it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 9)

    def forward(self, x):
        return torch.linalg.eigvals(self.layer(x).reshape(-1, 3, 3)).abs()
