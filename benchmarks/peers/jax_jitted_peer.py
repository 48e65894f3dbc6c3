"""JAX as it is usually written for speed: everything that an epoch does, its shuffle too, is one compiled function."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.peers import Peer
from benchmarks.peers.jax_peer import JaxTrainer, fastest
from benchmarks.tasks import Task


def _trainer(task: Task) -> JaxTrainer:
    return JaxTrainer(task, replace(fastest(task), shuffle_compiled=True))


PEER = Peer("jax.jitted", "jax", "JAX, the whole epoch jitted with lax.scan, its shuffle too", _trainer)
