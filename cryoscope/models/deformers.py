"""From a latent to deformed beads: steps that act one after the other on the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cryoscope.data import InputError
from cryoscope.models.coarse_grain import Beads
from cryoscope.models.field_deformers import FieldMLP
from cryoscope.models.latent_networks import LatentNetwork
from cryoscope.models.mode_deformers import ModeDeformer, OffsetMLP
from cryoscope.models.normal_mode_extension import bead_modes, trace_of_beads
from cryoscope.models.normal_modes import rigid_motions
from cryoscope.models.rigid_deformers import RigidMotion, RigidSegments, equal_segments
from cryoscope.models.soft_segments import SoftSegments


class Deformer(nn.Module):
    """The reference, and the steps that deform it for each latent.

    Parameters
    ----------
    reference_A
        (N, 3) beads at rest.
    steps
        Modules ``forward(x_A (B, N, 3), z (B, d)) -> (B, N, 3)``, in the order they act.
    """

    reference_A: Tensor

    def __init__(self, reference_A: Tensor, steps: Sequence[nn.Module]) -> None:
        super().__init__()
        self.register_buffer("reference_A", reference_A.float(), persistent=False)
        self.steps = nn.ModuleList(steps)
        # Most of what there is starts at zero: no copy is kept of that.
        self._initial = [p.detach().clone() if p.any() else None for p in self.parameters()]

    def forward(self, z: Tensor) -> Tensor:
        """(B, d) -> (B, N, 3) deformed beads in A."""
        return self._moved(z, self.steps)

    def mode_prior(self, z: Tensor) -> Tensor:
        """(B,) sum over the modes of (amplitude x eigenvalue)^2; zeros without modes.

        aNiMAte's regulariser of the latent: stiff modes cost more than soft ones.
        """
        prior = z.new_zeros(len(z))
        for step in self.steps:
            if isinstance(step, ModeDeformer | OffsetMLP):
                prior = prior + step.mode_prior(z)
        return prior

    def segment_prior(self) -> Tensor:
        """What soft segments have moved away from equal ones; 0 without."""
        priors = [step.segment_prior() for step in self.steps if isinstance(step, SoftSegments)]
        return sum(priors, start=self.reference_A.new_zeros(()))

    def net_motion_A(self, z: Tensor) -> Tensor:
        """(B,) RMS displacement by the net motion that :class:`NoNetMotion` takes out; else 0."""
        last = self.steps[-1] if len(self.steps) else None
        if not isinstance(last, NoNetMotion):
            return z.new_zeros(len(z))
        return last.removed_A(self._moved(z, self.steps[:-1]))

    def reset(self) -> None:
        """All parameters back to what they were when this was made (Cryofold's warm-up)."""
        with torch.no_grad():
            for parameter, initial in zip(self.parameters(), self._initial, strict=True):
                if initial is None:
                    parameter.zero_()
                else:
                    parameter.copy_(initial)

    def _moved(self, z: Tensor, steps: nn.ModuleList) -> Tensor:
        positions_A = self.reference_A.expand(len(z), -1, -1)
        for step in steps:
            positions_A = step(positions_A, z)
        return positions_A


class LearnedReference(nn.Module):
    """One offset per bead for all images: what a homogeneous refinement fits. Starts at zero."""

    def __init__(self, bead_count: int) -> None:
        super().__init__()
        self.offset_A = nn.Parameter(torch.zeros(bead_count, 3))

    def forward(self, x_A: Tensor, z: Tensor) -> Tensor:
        """(B, N, 3) beads, moved by the same offsets whatever the latent."""
        return x_A + self.offset_A


class NoNetMotion(nn.Module):
    """Takes net translation and infinitesimal rotation out of the whole deformation.

    A network free to move every bead can turn the particle instead of deforming it, which the
    given pose then contradicts. Every bead counts alike; large rotations are taken out to first
    order only.
    """

    reference_A: Tensor
    basis: Tensor

    def __init__(self, reference_A: Tensor) -> None:
        super().__init__()
        basis = rigid_motions(reference_A.detach().cpu().double().numpy())
        self.register_buffer("reference_A", reference_A.float(), persistent=False)
        self.register_buffer("basis", torch.as_tensor(basis).float(), persistent=False)

    def forward(self, x_A: Tensor, z: Tensor) -> Tensor:
        """(B, N, 3) beads whose displacements from the reference hold no net motion."""
        return x_A - (self._amount(x_A) @ self.basis.T).view(x_A.shape)

    def removed_A(self, x_A: Tensor) -> Tensor:
        """(B,) RMS displacement of the beads by the net motion that is taken out of them."""
        return torch.linalg.vector_norm(self._amount(x_A), dim=1) / len(self.reference_A) ** 0.5

    def _amount(self, x_A: Tensor) -> Tensor:
        return (x_A - self.reference_A).flatten(1) @ self.basis


def make_deformer(beads: Beads, latent_dim: int, settings: Any) -> Deformer:
    """The deformer that ``settings`` (``training.config.DeformerConfig``) asks for.

    Parameters
    ----------
    beads
        The coarse-grained reference.
    latent_dim
        Dimensions of the latent.
    settings
        Its parts act in the order in which they are listed there.

    Raises
    ------
    InputError
        When the structure has fewer normal modes than wanted, has fewer residues than segments, or
        when a latent that is to hold mode amplitudes has another number of dimensions.
    """
    reference_A = torch.as_tensor(beads.anchor_A).float()
    network = LatentNetwork(
        latent_dim, tuple(settings.widths), settings.activation, settings.residual
    )
    steps: list[nn.Module] = []
    if settings.learn_reference:
        steps.append(LearnedReference(len(beads)))
    if settings.kind == "offset-mlp":
        values, modes = _modes(beads, settings)
        scale_A = settings.mode_scale_A
        steps.append(OffsetMLP(len(beads), values, modes, network, mode_scale_A=scale_A))
    elif settings.kind == "modes":
        from_latent = settings.mode_coefficients == "latent"
        if from_latent and settings.modes != latent_dim:
            raise InputError(
                f"the latent has {latent_dim} dimensions and is to hold the amplitudes of "
                f"{settings.modes} normal modes",
                cure=f"Set latent.dim={settings.modes}, or deformer.mode_coefficients=mlp.",
            )
        values, modes = _modes(beads, settings)
        steps.append(ModeDeformer(values, modes, network, from_latent=from_latent))
    elif settings.kind == "field":
        steps.append(FieldMLP(reference_A, network))
    if settings.segments:
        steps.append(_segments(beads, settings, network))
    if settings.rigid_motion:
        steps.append(RigidMotion(reference_A, torch.as_tensor(beads.mass), network))
    if settings.remove_net_motion:
        steps.append(NoNetMotion(reference_A))
    return Deformer(reference_A, steps)


def _modes(beads: Beads, settings: Any) -> Any:
    """Eigenvalues and modes; in a small structure an offset network has all modes there are."""
    count = settings.modes
    values, modes = bead_modes(
        beads, count, cutoff_A=settings.mode_cutoff_A, by_chain=settings.mode_by_chain
    )
    if len(values) < count and settings.kind == "modes":
        raise InputError(
            f"{count} normal modes are asked for; this structure of {len(beads.trace)} residues "
            f"has {len(values)}",
            cure=f"Set deformer.modes to {len(values)} or less.",
        )
    return values, modes


def _segments(beads: Beads, settings: Any, network: LatentNetwork) -> nn.Module:
    """Rigid segments of equal length, or soft ones that start so."""
    count = settings.segments
    if count > len(beads.trace):
        raise InputError(
            f"{count} rigid segments are asked for; this structure has {len(beads.trace)} residues",
            cure=f"Set deformer.segments to {len(beads.trace)} or less.",
        )
    owner = torch.as_tensor(trace_of_beads(beads))
    segment = torch.as_tensor(equal_segments(beads.chain, count))[owner]
    reference_A, mass = torch.as_tensor(beads.anchor_A).float(), torch.as_tensor(beads.mass)
    if not settings.soft_segments:
        return RigidSegments(reference_A, mass, segment, network)
    residue = torch.arange(len(beads.trace))
    # No segment reaches from one chain into the next.
    place = (residue + torch.as_tensor(beads.chain) * len(residue))[owner]
    return SoftSegments(reference_A, mass, place, segment, network)
