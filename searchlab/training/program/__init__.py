"""What the compiled engines are made from: one program for a *shape*, its numbers left open.  Written in `keras.ops`.

    template.py       the Keras model of a shape, built once; the first weights of any trial by its seed
    dials.py          the numbers inside it that trials differ in: dropout rates, L2 weights, label smoothing
    steps.py          pure functions: loss of a batch, update of all weights, metrics
    convolution.py    convolutions and poolings in the form that is fast on JAX

An engine adds what its backend has for loops and gradients (`tf.function`; `jax.jit` and `vmap`).
"""
