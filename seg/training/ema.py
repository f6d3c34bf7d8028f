"""The exponential moving average (EMA) of the weights."""

from torch import nn
from torch.optim.swa_utils import PARAM_LIST, AveragedModel, get_ema_multi_avg_fn


def make_ema(model: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of a model's parameters and buffers.

    The decay grows with the number of updates n to its full value, min(decay, (1 + n) / (10 + n)), so that
    the first steps are soon forgotten (TensorFlow, tf.train.ExponentialMovingAverage).

    Args:
        model: the model; its present parameters are the first average.
        decay: decay per update, from 0 to below 1.
    """

    def update(averages: PARAM_LIST, values: PARAM_LIST, _: object) -> None:
        # this counter stays on the CPU; reading the one passed in, which is on the GPU, would wait for the
        # GPU
        count = int(ema.n_averaged)
        get_ema_multi_avg_fn(min(decay, (1 + count) / (10 + count)))(averages, values, count)

    ema = AveragedModel(model, multi_avg_fn=update, use_buffers=True)
    return ema
