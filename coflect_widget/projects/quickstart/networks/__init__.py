"""Small torch networks, one for each kind of data; the only files here that import torch."""
