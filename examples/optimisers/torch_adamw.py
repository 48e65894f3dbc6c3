"""torch.optim.AdamW as a target of ``gradproof check``: what each step leaves, parameters and moments."""

import gradproof


@gradproof.steps("adam", decay="l2/decoupled", dtypes=("float64", "float32"))
def adapter(run):
    """AdamW's steps on the run's gradients."""
    import torch

    o = run.optimiser
    ours = {name: torch.nn.Parameter(torch.tensor(array)) for name, array in run.parameters.items()}
    adamw = torch.optim.AdamW(
        ours.values(), lr=o.rate, betas=(o.beta1, o.beta2), eps=o.epsilon, weight_decay=o.decay.strength
    )
    for gradients in run.gradients:
        for name, parameter in ours.items():
            parameter.grad = torch.tensor(gradients[name])
        adamw.step()
        mean, square = ({name: adamw.state[p][key] for name, p in ours.items()} for key in ("exp_avg", "exp_avg_sq"))
        yield {name: p.detach().numpy() for name, p in ours.items()}, {"mean": mean, "square": square}
