"""optax.adamw as a target of ``gradproof check``: what each step leaves, parameters and moments.

pip install optax
gradproof check examples/optimisers/optax_adamw.py:adapter
"""

import gradproof


@gradproof.steps("adam", decay="l2/decoupled", dtypes=("float64", "float32"))
def adapter(run):
    """The steps of optax.adamw on the run's gradients."""
    import jax
    import jax.numpy as jnp
    import optax

    jax.config.update("jax_enable_x64", True)
    o = run.optimiser
    adamw = optax.adamw(o.rate, o.beta1, o.beta2, o.epsilon, weight_decay=o.decay.strength)
    ours = jax.tree.map(jnp.asarray, dict(run.parameters))
    state = adamw.init(ours)
    for gradients in run.gradients:
        updates, state = adamw.update(jax.tree.map(jnp.asarray, dict(gradients)), state, ours)
        ours = optax.apply_updates(ours, updates)
        yield ours, {"mean": state[0].mu, "square": state[0].nu}
