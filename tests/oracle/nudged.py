"""`python nudged.py program [arguments]`: runs a program of PyTorch's whose first Adam finds one weight moved by one unit in the last place."""

import runpy
import sys

import torch

_INIT = torch.optim.Adam.__init__


def _nudged(self, params, *args, **kwargs):
    params = list(params)
    with torch.no_grad():
        params[0].view(-1)[7] = torch.nextafter(params[0].view(-1)[7], torch.tensor(9.0))
    _INIT(self, params, *args, **kwargs)


torch.optim.Adam.__init__ = _nudged
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
