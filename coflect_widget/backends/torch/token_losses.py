"""Losses of samples in which each token has a target, as language models of transformers have."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Label of a token that is in no loss.
NO_LABEL = -100
#: Tokens whose losses are computed at once: with 128,000 words their logits take 128 MB.
TOKENS = 256
#: What a model's loss is called where each token is predicted from those before it.
_CAUSAL = ("ForCausalLM", "LMHeadModel")
#: What torch calls the node of a cross-entropy that keeps log-probabilities, and how many others,
#: such as a division by the number of tokens, may stand before it.
_OF_WORDS, _DEEP = "NllLossBackward0", 4
_NO_TOKENS = (
    "transformers_callback() under task='own_loss' is for models with a loss of tokens, labels "
    "(B, T) and logits (B, T, words), and this one has {found}; write the loop with session.loop() "
    "and call session.observe(indices, loss=losses)"
)


def losses_of_tokens(logits: Tensor, labels: Tensor, *, shifted: bool) -> Tensor:
    """Mean cross-entropy (B,) in nats over the tokens of each sample that have a label.

    Some tokens of a row at a time, so that no second copy of all logits is made.

    Parameters
    ----------
    logits : Tensor (B, T, words)
    labels : Tensor (B, T)
        `NO_LABEL` where a token is in no loss. A sample without any has the loss 0.
    shifted : bool
        Whether the logits at a token are of the next one.
    """
    found = []
    with torch.no_grad():
        for row, wanted in zip(logits, labels.to(logits.device), strict=True):
            given, target = (row[:-1], wanted[1:]) if shifted else (row, wanted)
            total = torch.zeros((), device=row.device)
            for some, wanted_of_some in zip(given.split(TOKENS), target.split(TOKENS), strict=True):
                total += F.cross_entropy(
                    some.float(), wanted_of_some, ignore_index=NO_LABEL, reduction="sum"
                )
            found.append(total / (target != NO_LABEL).sum().clamp(min=1))
    return torch.stack(found)


def losses_of_graph(loss: Any, labels: Tensor, words: int) -> Tensor | None:
    """Losses (B,) as `losses_of_tokens` has them, from what a model's mean loss was made of.

    Its graph keeps the log-probability of each word at each token until the backward pass: to read
    those of the targets costs nothing beside computing them again. None where there is no such
    graph, as of a loss that is not torch's cross-entropy.

    Parameters
    ----------
    loss : Tensor () or None
    labels : Tensor (B, T)
    words : int
    """
    rows, length = labels.shape
    node = getattr(loss, "grad_fn", None)
    for _ in range(_DEEP):
        if node is None:
            return None
        kept = getattr(node, "_saved_self", None) if node.name() == _OF_WORDS else None
        if isinstance(kept, Tensor):
            break
        node = node.next_functions[0][0] if node.next_functions else None
    else:
        return None
    if kept.shape not in ((rows * length, words), (rows * (length - 1), words)):
        return None
    with torch.no_grad():
        targets = node._saved_target
        known = targets != NO_LABEL
        each = -kept.gather(1, torch.where(known, targets, 0)[:, None])[:, 0].float()
        each, known = torch.where(known, each, 0).view(rows, -1), known.view(rows, -1)
        found: Tensor = each.sum(1) / known.sum(1).clamp(min=1)
    return found


def losses_of_output(model: nn.Module, keywords: dict[str, Any], output: Any) -> Tensor:
    """Losses (B,) of a batch that `model` was called with, as its own loss has them.

    Raises
    ------
    ValueError
        If the model has no loss of tokens, or was not given their labels.
    """
    labels, logits = keywords.get("labels"), getattr(output, "logits", None)
    if not isinstance(labels, Tensor) or not isinstance(logits, Tensor):
        missing = "labels" if isinstance(logits, Tensor) else "logits"
        raise ValueError(_NO_TOKENS.format(found=f"no {missing}"))
    if logits.ndim != 3 or labels.shape != logits.shape[:2]:
        found = f"labels {tuple(labels.shape)} and logits {tuple(logits.shape)}"
        raise ValueError(_NO_TOKENS.format(found=found))
    known = losses_of_graph(getattr(output, "loss", None), labels, logits.shape[2])
    if known is not None:
        return known
    kind = str(getattr(model, "loss_type", None) or type(model).__name__)
    return losses_of_tokens(logits, labels, shifted=kind.endswith(_CAUSAL))
