"""The rules behind :class:`torch.optim.Optimizer`, for models trained with torch.

Imported only when asked for: ``import signopt`` does not import torch.

>>> import torch
>>> import signopt.torch
>>> model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.LayerNorm(4))
>>> optimizer = signopt.torch.Tiger(signopt.torch.groups(model), lr=1e-3)
>>> scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100)
>>> model(torch.ones(2, 4)).square().mean().backward()
>>> optimizer.step()
"""

from signopt.torch.lion import Lion
from signopt.torch.muon import Muon
from signopt.torch.roles import groups
from signopt.torch.signum import Signum
from signopt.torch.tiger import Tiger

__all__ = ["Lion", "Muon", "Signum", "Tiger", "groups"]
