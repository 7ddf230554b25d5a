"""The page on PyTorch: the three classes are equal when given equal kernels; their names only say
how one number is repeated.
"""

# fmt: off
import torch
from isoconv.torch import nn

conv1d = nn.Conv1d(1, 1, 3, padding='same', bias=False)
conv2d = nn.Conv2d(1, 1, (3,), stride=(1,), dilation=(1,), padding='same', bias=False)
conv3d = nn.Conv3d(1, 1, (3,), stride=(1,), dilation=(1,), padding='same', bias=False)
conv1d.weight.data.fill_(1)
conv2d.weight.data.fill_(1)
conv3d.weight.data.fill_(1)
x = torch.rand(1, 1, 100)
assert (conv1d(x) == conv2d(x)).all() and (conv1d(x) == conv3d(x)).all()

conv1d = nn.Conv1d(1, 1, (3,3), padding='same', bias=False)
conv2d = nn.Conv2d(1, 1, 3, padding='same', bias=False)
conv3d = nn.Conv3d(1, 1, (3,3), stride=(1,1), dilation=(1,1), padding='same', bias=False)
conv1d.weight.data.fill_(1)
conv2d.weight.data.fill_(1)
conv3d.weight.data.fill_(1)
x = torch.rand(1, 1, 100, 100)
assert (conv1d(x) == conv2d(x)).all() and (conv1d(x) == conv3d(x)).all()

conv1d = nn.Conv1d(1, 1, (3,3,3), stride=(1,1,1), dilation=(1,1,1), padding='same', bias=False)
conv2d = nn.Conv2d(1, 1, (3,3,3), stride=(1,1,1), dilation=(1,1,1), padding='same', bias=False)
conv3d = nn.Conv3d(1, 1, 3, padding='same', bias=False)
conv1d.weight.data.fill_(1)
conv2d.weight.data.fill_(1)
conv3d.weight.data.fill_(1)
x = torch.rand(1, 1, 100, 100, 100)
assert (conv1d(x) == conv2d(x)).all() and (conv1d(x) == conv3d(x)).all()
# fmt: on

# The question: a Conv1d with a kernel (1, 1) takes (batch, channels, height, width), and gives what
# a Conv2d of kernel 1 with the same weights gives.
one, two = nn.Conv1d(4, 4, kernel_size=(1, 1)), nn.Conv2d(4, 4, kernel_size=1)
two.load_state_dict(one.state_dict())
x = torch.rand(2, 4, 5, 6)
assert (one(x) == two(x)).all()
# "Moves in one direction only" cannot be: both axes are longer than the kernel, and both remain.
assert conv1d(torch.rand(1, 1, 20, 20, 20)).shape == (1, 1, 20, 20, 20)
