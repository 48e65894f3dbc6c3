"""nn-from-scratch 0.4.2: functions on tensors of torch, by hand.

    pip install torch==2.13.0 tqdm && pip install --no-deps nn-from-scratch==0.4.2
    gradproof check examples/third_party/nn_from_scratch_functions.py:adapter
    gradproof check examples/third_party/nn_from_scratch_functions.py:several_classes

Conventions. Samples are columns, weights (units, fan_in), biases columns; ReLU between the layers. With one output,
sigmoid and binary cross-entropy, mean over samples; with several, softmax and categorical cross-entropy, mean over
samples. The gradients are in a dict, ``dW1``, ``db1``, … At a ReLU's kink the derivative is 0. What the
network does follows from its number of outputs. Torch's own automatic differentiation takes no part.
"""

import torch
from nn_from_scratch import functions

import gradproof


def answer(case, loss):
    stack, targets = case.stack, torch.tensor(case.targets.T)
    numbers = range(1, len(stack.weights) + 1)
    params = {f"W{i}": torch.tensor(weight.T) for i, weight in zip(numbers, stack.weights)}
    params |= {f"b{i}": torch.tensor(b[:, None]) for i, b in zip(numbers, stack.biases)}
    outputs, caches = functions.model_forward(torch.tensor(case.inputs.T), params)
    grads = functions.model_backward(outputs, targets, caches)
    named = stack.name([grads[f"dW{i}"].T.numpy() for i in numbers], [grads[f"db{i}"][:, 0].numpy() for i in numbers])
    return {"loss": loss(outputs, targets).numpy(), "outputs": outputs.T.numpy(), "parameters": named}


@gradproof.target(losses="binary_cross_entropy/batch_mean", hidden="relu", output="sigmoid", outputs=(1, 1))
def adapter(case):
    return answer(case, functions.binary_cross_entropy_loss)


@gradproof.target(losses="categorical_cross_entropy/batch_mean", hidden="relu", output="softmax", width=(2, 4))
def several_classes(case):
    return answer(case, functions.categorical_cross_entropy_loss)
