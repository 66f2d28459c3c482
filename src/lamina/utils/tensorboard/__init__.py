"""`torch.utils.tensorboard`: logs of a training run that TensorBoard shows.

Here: names. Not here: the file format, which is the tensorboard package's (the extra `lamina[tensorboard]`).
"""

from lamina.utils.tensorboard.writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
