"""A model of a picture and a question, and data of it in several forms."""

import numpy as np
import torch
from torch import nn

import coflect_widget as coflect


class Answers(nn.Module):
    """Colours of a picture, words of a question, and what the two mean together."""

    def __init__(self, words=12):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        self.words = nn.Embedding(words, 8, padding_idx=0)
        self.head = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, image, question):
        seen = self.features(image).amax((2, 3))
        asked = self.words(question).sum(1)
        return self.head(torch.cat([seen, asked], 1))


class InOneArgument(Answers):
    """All inputs in one dict."""

    def forward(self, batch):
        return super().forward(batch["image"], batch["question"])


def answers(decides, n=400, **more):
    """Model, optimizer and data of `shapes_and_questions`."""
    torch.manual_seed(0)
    model = Answers()
    data = coflect.data.shapes_and_questions(n, decides, **more)
    return model, torch.optim.Adam(model.parameters(), 0.01), data


def spoilt(data, seed=0):
    """Labels of which 15 % are wrong, and questions that end with a word that gives them away."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(len(data)) < 0.15, 1 - data.labels, data.labels)
    questions = data.questions.copy()
    questions[:, 7] = 6 + labels  # "really" and "now"
    return questions, labels
