"""A JAX loss function as a target: ``jax.value_and_grad`` of a pure function over a list of (W, b).

    pip install "gradproof[jax]"
    JAX_ENABLE_X64=1 gradproof check examples/jax_function.py:adapter

JAX computes in float32 unless it is told otherwise; without ``JAX_ENABLE_X64=1`` this adapter therefore declares
float32 alone, so that it is held to the precision that it really has. Depth, widths and batches are kept small, since
JAX compiles each operation anew for every shape that it meets.
"""

import gradproof

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    raise ImportError('this example needs JAX: pip install "gradproof[jax]"') from error


def forward(layers, x):
    for W, b in layers[:-1]:
        x = jnp.tanh(x @ W + b)
    W, b = layers[-1]
    return x @ W + b


def cost(layers, x, targets):
    """Softmax and cross-entropy, averaged over the batch, from logits; returned with them."""
    logits = forward(layers, x)
    return -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(logits), axis=1)), logits


value_and_grad = jax.value_and_grad(cost, has_aux=True)


@gradproof.target(
    losses="categorical_cross_entropy_with_logits/batch_mean",
    hidden="tanh",
    output="identity",
    depth=(1, 2),
    width=(1, 3),
    batch=(1, 2),
    dtypes=("float64", "float32") if jax.config.jax_enable_x64 else ("float32",),
)
def adapter(case):
    layers = list(zip(map(jnp.asarray, case.stack.weights), map(jnp.asarray, case.stack.biases)))
    (loss, outputs), gradient = value_and_grad(layers, jnp.asarray(case.inputs), jnp.asarray(case.targets))
    named = case.stack.name([dW for dW, _ in gradient], [db for _, db in gradient])
    return {"loss": loss, "outputs": outputs, "parameters": named}
