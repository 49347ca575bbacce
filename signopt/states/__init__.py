"""States of other libraries' optimizers, taken over and handed back bit for bit, so that training goes on.

========================= ======================================================= =====================================
their library             their optimizers                                        what is exchanged
========================= ======================================================= =====================================
torch                     Lion of lion-pytorch, torch-optimi, pytorch_optimizer   ``optimizer.state_dict()``
                          and others alike; SignSGD of pytorch_optimizer as
                          Signum; torch.optim.Muon
optax                     ``lion``, also within ``inject_hyperparams``            the state of the transformation
Keras                     ``Lion``                                                the optimizer, and its own variables
========================= ======================================================= =====================================

``from_…`` returns a state for :meth:`load_state_dict` of a signopt optimizer, ``to_…`` one for theirs. Neither changes
anything. What their state holds beyond the momentum, the number of steps and the hyperparameters of the rule is
refused by name: an optimizer that uses it computes something else. So is ``optax.contrib.muon``, whose momentum and
gradient are corrected for bias apart.
"""

from signopt.states._keras import from_keras, to_keras
from signopt.states._optax import from_optax, to_optax
from signopt.states._torch import from_torch, to_torch

__all__ = ["from_keras", "from_optax", "from_torch", "to_keras", "to_optax", "to_torch"]
