"""scikit-learn's MLPClassifier with softmax: the cross-entropy averaged over the samples."""

from sklearn.neural_network import MLPClassifier

import gradproof


@gradproof.adapters.sklearn_mlp(losses="categorical_cross_entropy/batch_mean", hidden="relu", output="softmax")
def adapter(net):
    return MLPClassifier()
