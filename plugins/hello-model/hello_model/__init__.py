"""An example of a method of your own: linear modes of a map. No torch here, so listing is quick."""

from cryoscope.models.extensions import ModelExtension, PresetExtension

EXTENSION = ModelExtension(
    factory="hello_model.model:LinearModes",
    structure=False,
    presets={
        "hello-modes": PresetExtension(
            "A mean map plus two linear modes (probabilistic PCA of the volume), no atomic model "
            "needed; the example of plugins/hello-model.",
            {
                "encoder": {"kind": "none"},
                "latent": {"dim": 2},
                "loss": {"scale": "model", "kl_warmup_steps": 0},
                "optimiser": {"learning_rate": 0.03, "weight_decay": 0.0, "batch_size": 64},
            },
        )
    },
)
