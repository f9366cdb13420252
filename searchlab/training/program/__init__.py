"""What the compiled engines are made from: one program for a *shape*, its numbers left open.  Written in `keras.ops`.

    template.py       the Keras model of a shape, built once; the first weights of any trial by its seed
    dials.py          the numbers inside it that trials differ in: dropout rates, L2 weights, label smoothing
    steps.py          pure functions: loss of a batch, update of all weights, metrics
    feed.py           how examples reach the device: whole, or in pieces
    lanes.py          trials side by side in one program: which, how many, and what a backend has to give
    on_jax.py         the programs of a population under `jax.jit` and `vmap`
    on_tensorflow.py  the same under `tf.function` and `vectorized_map`
    draws.py          first weights on JAX, drawn without compiling
    convolution.py    convolutions and poolings in the form that is fast on JAX

The engine `fused` has its program, of one trial, beside it.
"""
