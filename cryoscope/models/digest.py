"""What of a batch stays the same however the model changes, so that it is computed once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cryoscope.models.encoder_input import encoder_input
from cryoscope.models.interfaces import Batch, Digest
from cryoscope.models.likelihood import MatchedData, match_data
from cryoscope.models.networks import Encoder
from cryoscope.physics.fourier import Band


def matched_batch(batch: Batch, band: Band, noise_power: Tensor, config: Any) -> MatchedData:
    """The batch folded with CTF, shift and noise: as it was kept, or computed now."""
    if batch.digest is not None:
        return batch.digest.data
    envelope_A2 = config.loss.ctf_envelope_A2
    shift_A = batch.shift_A
    return match_data(batch.coefficients, batch.ctf, shift_A, band, noise_power, envelope_A2)


@torch.no_grad()
def digest_of(
    batch: Batch, encoder: Encoder | None, band: Band, noise_power: Tensor, config: Any
) -> Digest:
    """Folded data, and what the encoder looks at: as they were kept, or computed now."""
    if batch.digest is not None:
        return batch.digest
    data = matched_batch(batch, band, noise_power, config)
    if encoder is None:
        return Digest(data, data.total.new_zeros(len(data.total), 0))
    seen = encoder_input(batch, band, noise_power, config.encoder, matched=data)
    return Digest(data, encoder.look(seen, batch.rotation))
