"""Small classifiers of the kinds that people train, for pictures of (3, 32, 32) and three classes.

What differs between them is what guidance has to cope with: the layout of the layer that is read,
what is changed in place, attention, and layers that normalise a row by the others.
"""

import torch
import torch.nn.functional as F
from torch import nn

CLASSES = 3


class Plain(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(16 * 8 * 8, CLASSES),
        )  # fmt: skip


class Residual(nn.Module):
    """As torchvision's: the sum and the ReLUs are made in place."""

    def __init__(self, inside, outside, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        return self.relu(out)


class InPlaceResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.layer1 = nn.Sequential(Residual(8, 8, 1), Residual(8, 8, 1))
        self.layer2 = nn.Sequential(Residual(8, 16, 2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x):
        return self.fc(self.pool(self.layer2(self.layer1(self.stem(x)))).flatten(1))


class Inverted(nn.Module):
    def __init__(self, inside, outside, stride):
        super().__init__()
        wide = 3 * inside
        self.adds = inside == outside and stride == 1
        self.conv = nn.Sequential(
            nn.Conv2d(inside, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(inplace=True),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide),
            nn.ReLU6(inplace=True), nn.Conv2d(wide, outside, 1, bias=False),
            nn.BatchNorm2d(outside),
        )  # fmt: skip

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetLike(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(
                nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True)
            ),
            Inverted(8, 8, 1), Inverted(8, 12, 2), Inverted(12, 12, 1),
            nn.Sequential(nn.Conv2d(12, 24, 1, bias=False), nn.BatchNorm2d(24), nn.Hardswish(True)),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Dropout(0.2, inplace=True), nn.Linear(24, CLASSES))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class ViT(nn.Module):
    """Reads the class token; what stands behind the last block's patches leads nowhere."""

    def __init__(self, width=24):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.place = nn.Parameter(0.02 * torch.randn(1, 65, width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 2, 2 * width, dropout=0.1, batch_first=True, norm_first=True
            )
            for _ in range(3)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x):
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(len(x), -1, -1), tokens], 1) + self.place
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens)[:, 0])


class Window(nn.Module):
    """Attention within windows of 4 x 4, of pictures (B, H, W, C)."""

    def __init__(self, width, shift):
        super().__init__()
        self.shift = shift
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def attend(self, x):
        b, h, w, c = x.shape
        x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        x = x.view(b, h // 4, 4, w // 4, 4, c).transpose(2, 3).reshape(-1, 16, c)
        q, k, v = self.qkv(x).view(len(x), 16, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(-1, 16, c)
        x = self.out(x).view(b, h // 4, w // 4, 4, 4, c).transpose(2, 3).reshape(b, h, w, c)
        return torch.roll(x, (self.shift, self.shift), (1, 2))

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class SwinLike(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 2, 2)
        self.stage1 = nn.Sequential(Window(width, 0), Window(width, 2))
        self.merge = nn.Linear(4 * width, 2 * width)
        self.stage2 = nn.Sequential(Window(2 * width, 0), Window(2 * width, 2))
        self.norm = nn.LayerNorm(2 * width)
        self.head = nn.Linear(2 * width, CLASSES)

    def forward(self, x):
        x = self.stage1(self.patch(x).permute(0, 2, 3, 1))
        parts = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        x = self.stage2(self.merge(torch.cat(parts, -1)))
        return self.head(self.norm(x).mean((1, 2)))


class ConvNeXtBlock(nn.Module):
    """Turns to (B, H, W, C) inside; `last`: stays so outside, too."""

    def __init__(self, width, *, last):
        super().__init__()
        self.last = last
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x):
        first = x.permute(0, 3, 1, 2) if self.last else x
        y = self.depthwise(first).permute(0, 2, 3, 1)
        y = self.scale * self.narrow(F.gelu(self.wide(self.norm(y))))
        return x + y if self.last else x + y.permute(0, 3, 1, 2)


class ConvNeXtLike(nn.Module):
    def __init__(self, *, last=False, width=12):
        super().__init__()
        self.last = last
        self.stem = nn.Conv2d(3, width, 4, 4)
        self.blocks = nn.Sequential(*(ConvNeXtBlock(width, last=last) for _ in range(2)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x):
        x = self.stem(x)
        x = self.blocks(x.permute(0, 2, 3, 1) if self.last else x)
        return self.head(self.norm(x.mean((1, 2) if self.last else (2, 3))))


class NormOverOne(nn.Module):
    """Normalises maps of 1 x 1, for which a batch of one row has nothing to normalise by."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 12, 1), nn.BatchNorm2d(12),
            nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(12, CLASSES),
        )  # fmt: skip

    def forward(self, x):
        return self.head(self.body(x))


class NormOfFeatures(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(8)
        )
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(512, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1),
            nn.Linear(16, CLASSES),
        )  # fmt: skip

    def forward(self, x):
        return self.head(self.body(x))


class OwnNorm(nn.Module):
    """A batch normalisation that somebody wrote, which torch does not know as one."""

    def __init__(self, width):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x):
        if not self.training:
            return (x - self.running_mean) / (self.running_var + 1e-5).sqrt()
        if len(x) < 2:
            raise ValueError("one row cannot be normalised")
        mean, variance = x.mean(0), x.var(0)
        self.running_mean.mul_(0.9).add_(0.1 * mean.detach())
        self.running_var = 0.9 * self.running_var + 0.1 * variance.detach()
        return (x - mean) / (variance + 1e-5).sqrt()


class OwnNormHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(8))
        self.norm = OwnNorm(512)
        self.head = nn.Linear(512, CLASSES)

    def forward(self, x):
        return self.head(self.norm(self.body(x).flatten(1)))


def _of_transformers(name, **settings):
    import transformers

    config = getattr(transformers, f"{name}Config")(
        image_size=32, num_channels=3, num_labels=CLASSES, **settings
    )
    return getattr(transformers, f"{name}ForImageClassification")(config)


def hugging_face_vit():
    return _of_transformers(
        "ViT", patch_size=4, hidden_size=24, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=48,
    )  # fmt: skip


def hugging_face_swin():
    return _of_transformers(
        "Swin", patch_size=2, embed_dim=12, depths=[2, 2], num_heads=[2, 2], window_size=4
    )


def hugging_face_convnext():
    return _of_transformers(
        "ConvNext", patch_size=2, hidden_sizes=[12, 24], depths=[1, 1], num_stages=2,
        layer_scale_init_value=0.1,
    )  # fmt: skip


MODELS = {
    "plain": Plain,
    "in-place resnet": InPlaceResNet,
    "mobilenet": MobileNetLike,
    "vit": ViT,
    "swin": SwinLike,
    "convnext": ConvNeXtLike,
    "convnext, channels last": lambda: ConvNeXtLike(last=True),
    "norm over 1 x 1": NormOverOne,
    "norm of features": NormOfFeatures,
    "norm of one's own": OwnNormHead,
    "hugging face vit": hugging_face_vit,
    "hugging face swin": hugging_face_swin,
    "hugging face convnext": hugging_face_convnext,
}


def make(name):
    """A model of `MODELS`, the same at each call."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return MODELS[name]()
