"""How a model's parameters are divided into tensors."""

from __future__ import annotations

__all__ = ["LAYOUTS", "gpt2_small"]

Shape = tuple[int, ...]


def gpt2_small() -> dict[str, Shape]:
    """The 148 tensors of GPT-2 small, 124 million parameters, by the names of the original."""
    shapes: dict[str, Shape] = {"wte/embeddings": (50257, 768), "wpe/embeddings": (1024, 768)}
    for layer in range(12):
        block = {
            "ln_1/gamma": (768,),
            "ln_1/beta": (768,),
            "attn/c_attn/kernel": (768, 2304),
            "attn/c_attn/bias": (2304,),
            "attn/c_proj/kernel": (768, 768),
            "attn/c_proj/bias": (768,),
            "ln_2/gamma": (768,),
            "ln_2/beta": (768,),
            "mlp/c_fc/kernel": (768, 3072),
            "mlp/c_fc/bias": (3072,),
            "mlp/c_proj/kernel": (3072, 768),
            "mlp/c_proj/bias": (768,),
        }
        shapes |= {f"h{layer}/{name}": shape for name, shape in block.items()}
    return shapes | {"ln_f/gamma": (768,), "ln_f/beta": (768,)}


LAYOUTS: dict[str, dict[str, Shape]] = {
    "one": {"kernel": (1 << 25,)},
    "gpt2": gpt2_small(),
    "small": {f"kernel{i}": (1000,) for i in range(1000)},
    "gpt2-layer": {name: shape for name, shape in gpt2_small().items() if name.startswith("h0/") and len(shape) == 2},
    "matrix": {"kernel": (1024, 4096)},
    "small-matrices": {f"kernel{i}": (32, 64) for i in range(200)},
}
"""One tensor of 2**25 elements, GPT-2 small's 148, 1 000 of 1 000; and for Muon the four matrices of one layer of GPT-2
small, a larger one, and 200 small ones."""
