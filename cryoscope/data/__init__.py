"""What an experiment is made of: frozen records of numpy arrays; no files, no networks."""

from cryoscope.data.errors import InputError
from cryoscope.data.latents import Embedding, Latents
from cryoscope.data.mesh import Mesh
from cryoscope.data.optics import CTFParams, Optics
from cryoscope.data.particles import ImageSource, Particles, ParticleSource
from cryoscope.data.poses import Poses
from cryoscope.data.selection import Selection
from cryoscope.data.structure import Structure, Trajectory
from cryoscope.data.volume import HalfMaps, Provenance, Volume

__all__ = [
    "CTFParams",
    "Embedding",
    "HalfMaps",
    "ImageSource",
    "InputError",
    "Latents",
    "Mesh",
    "Optics",
    "ParticleSource",
    "Particles",
    "Poses",
    "Provenance",
    "Selection",
    "Structure",
    "Trajectory",
    "Volume",
]
