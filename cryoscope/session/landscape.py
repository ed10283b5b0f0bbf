"""The landscape of a run: which states there are and how particles are spread over them.

After chapter 6 of E. Zhong's thesis: the latents are sketched by k-means, a map is decoded at every
sketched particle, and from there on states are compared as maps. Every stage is kept in the folder;
stopped or killed, the same call goes on after the last finished one, and a changed setting makes
anew only what depends on it.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.cluster import agglomerate, cluster_latents
from cryoscope.analysis.landscape import (
    MapComponents,
    map_components,
    masked_rows,
    mean_and_spread,
    union_mask,
)
from cryoscope.analysis.landscape_map import LandscapeMap, map_particles
from cryoscope.analysis.reduce import finite_rows
from cryoscope.analysis.stopping import ShouldStop, never, stop_if_asked
from cryoscope.data import InputError, Latents, Volume
from cryoscope.io.json_file import write_json
from cryoscope.io.mrc import read_volume
from cryoscope.io.process_lock import process_lock
from cryoscope.io.run_folder import RunFolder
from cryoscope.session.analyze import quiet
from cryoscope.session.decoded_maps import DecodeMaps, StateDecoder, in_box
from cryoscope.session.landscape_files import write_results
from cryoscope.session.landscape_records import WHOLE_BOX, Landscape, LandscapeSettings
from cryoscope.session.landscape_stages import (
    DecodedChunks,
    StageFolder,
    digest,
    finite_values,
    stage_key,
)
from cryoscope.session.series import Progress

_SAVED_EVERY = 20
_SAME_VOXEL = 0.01


def landscape(
    run_path: Path,
    settings: LandscapeSettings,
    *,
    progress: Progress = quiet,
    should_stop: ShouldStop = never,
) -> Landscape:
    """Make, or go on making, the landscape of a run's newest latents in ``RUN/landscape``.

    Raises
    ------
    InputError
        Bad settings, no latents or checkpoint yet, a mask that does not fit.
    Stopped
        Where ``should_stop`` said so; finished stages are kept.
    """
    from cryoscope.training.decoding import load_decoder

    settings.check()
    run = RunFolder.open(run_path)
    latents = run.load_latents()
    decoder = load_decoder(run_path)
    box_px = min(settings.box_size_px, run.optics().box_size_px)
    return landscape_of(
        latents,
        lambda z: decoder.volumes(z, box_px),
        run.path / "landscape",
        settings,
        decoder=decoder,
        progress=progress,
        should_stop=should_stop,
    )


def landscape_of(
    latents: Latents,
    decode: DecodeMaps,
    folder: Path,
    settings: LandscapeSettings,
    *,
    decoder: StateDecoder | None = None,
    progress: Progress = quiet,
    should_stop: ShouldStop = never,
) -> Landscape:
    """As :func:`landscape`, of latents and a function that makes maps of them.

    Parameters
    ----------
    decode
        Latents (S, d) to S maps in the box of the settings.
    decoder
        What makes structures of the states, where there are atoms.
    """
    settings.check()
    work = StageFolder(folder / "stages")
    with process_lock(folder / "landscape.lock", "landscape") as held:
        maker = _Maker(latents, decode, work, settings, progress, should_stop)
        found = maker.make(folder)
        mean, spread = maker.state_maps()
        progress("files", 0, 1)
        held.require()
        write_results(found, latents, maker.voxel_size_A, decoder, maker.mask, mean, spread)
        made_of = {"run_id": latents.run_id, "epoch": latents.epoch, "settings": asdict(settings)}
        write_json(folder / "summary.json", {**found.figures, **made_of})
    return found


class _Maker:
    """The stages in their order; each is loaded where it is finished."""

    chunks: DecodedChunks
    mask: NDArray[np.bool_]
    voxel_size_A: float

    def __init__(
        self,
        latents: Latents,
        decode: DecodeMaps,
        work: StageFolder,
        settings: LandscapeSettings,
        progress: Progress,
        should_stop: ShouldStop,
    ) -> None:
        self._z, self._decode, self._work, self._settings = latents.z, decode, work, settings
        self._progress, self._should_stop = progress, should_stop

    def make(self, folder: Path) -> Landscape:
        key, sketched, weight, label = self._sketch()
        key = self._maps(key, sketched)
        map_key = key
        key = self._masked(key)
        key, components = self._components(key, len(sketched))
        state = self._states(key, components, weight)
        self._state, self._weight = state, weight
        mapped = self._mapped(stage_key(key, maps=map_key), components, sketched)
        particle_state = np.where(label >= 0, state[np.maximum(label, 0)], -1)
        figures = self._figures(components, state, weight, mapped)
        return Landscape(
            folder, sketched, weight, state, particle_state, components, mapped, figures
        )

    def state_maps(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(states, n, n, n) mean and standard deviation of the maps of every state."""
        self._progress("maps of states", 0, 1)
        return mean_and_spread(self.chunks, self._state, self._weight, self._should_stop)

    def _sketch(
        self,
    ) -> tuple[str, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """K-means over the particles: those nearest to the centres stand for the others."""
        one = self._settings
        known = int(finite_rows(self._z).sum())
        if known < one.sketch:
            raise InputError(
                f"a sketch of {one.sketch} cannot be made of {known:,} particles with latents",
                cure=f"Choose --sketch {max(known // 4, 2)} or so",
            )
        key = stage_key("", z=digest(self._z), sketch=one.sketch, seed=one.seed)
        found = self._work.load("1-sketch", key)
        if found is None:
            self._progress("sketching the latents", 0, 1)
            groups = cluster_latents(
                self._z, "kmeans", one.sketch, seed=one.seed, should_stop=self._should_stop
            )
            arrays = {
                "particle": groups.particle, "weight": groups.sizes, "label": groups.labels
            }  # fmt: skip
            self._work.save("1-sketch", key, arrays)
        else:
            arrays = found[0]
        return key, arrays["particle"], arrays["weight"], arrays["label"]

    def _maps(self, key: str, sketched: NDArray[np.int64]) -> str:
        """The map of every sketched particle."""
        stop_if_asked(self._should_stop)
        z = self._z[sketched]
        # The first map tells this model from one that has been trained on since.
        probe = next(iter(self._decode(z[:1])))
        self.voxel_size_A, self._shape = probe.voxel_size_A, probe.values.shape
        key = stage_key(key, first=digest(finite_values(probe, 0)))
        self.chunks = DecodedChunks(self._work, z, self._decode, key)
        self.chunks.make(self._progress, self._should_stop)
        return key

    def _masked(self, key: str) -> str:
        """The mask: the user's, or the union of what is dense in any map."""
        one = self._settings
        if one.mask == WHOLE_BOX:
            self.mask = np.ones(self._shape, dtype=np.bool_)
            return stage_key(key, mask=WHOLE_BOX)
        if one.mask:
            volume = in_box(read_volume(one.mask), self._shape[0])
            self._check_mask(volume)
            self.mask = volume.values > 0.5
            if not self.mask.any():
                raise InputError(
                    "the mask is empty: nothing in it lies above 0.5",
                    file=one.mask,
                    cure="Give a mask that is 1 inside",
                )
            return stage_key(key, mask=digest(self.mask))
        key = stage_key(key, threshold=one.threshold, dilate_px=one.dilate_px)
        found = self._work.load("3-mask", key)
        if found is None:
            self._progress("mask", 0, 1)
            maps = (values for chunk in self.chunks for values in chunk)
            self.mask = union_mask(maps, threshold=one.threshold, dilate_px=one.dilate_px)
            self._work.save("3-mask", key, {"mask": self.mask})
        else:
            self.mask = found[0]["mask"]
        return key

    def _check_mask(self, volume: Volume) -> None:
        """The mask must cover the maps' own field of view."""
        box, voxel_A = self._shape[0], self.voxel_size_A
        same = abs(volume.voxel_size_A / voxel_A - 1) < _SAME_VOXEL
        if volume.values.shape != self._shape or not same:
            raise InputError(
                f"the mask covers {volume.values.shape[0] * volume.voxel_size_A:.1f} A in "
                f"{volume.values.shape[0]} voxels, the maps {box * voxel_A:.1f} A in {box}",
                file=self._settings.mask,
                cure="Make the mask from a map of this run, in the particles' box or in --box-px",
            )

    def _components(self, key: str, count: int) -> tuple[str, MapComponents]:
        """Principal components of the maps inside the mask."""
        stop_if_asked(self._should_stop)
        key = stage_key(key, components=self._settings.components)
        names = ("mean", "axes", "scores", "fraction", "offsets")
        found = self._work.load("4-components", key)
        if found is not None:
            return key, MapComponents(*(found[0][name] for name in names))
        self._progress("components of the maps", 0, 1)
        rows = masked_rows(self.chunks, count, self.mask, self._should_stop)
        made = map_components(rows, self._settings.components)
        self._work.save("4-components", key, {name: getattr(made, name) for name in names})
        return key, made

    def _states(
        self, key: str, components: MapComponents, weight: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """(k,) state of each map, the one with most particles first."""
        one = self._settings
        key = stage_key(key, states=one.states, linkage=one.linkage)
        found = self._work.load("5-states", key)
        if found is not None:
            return found[0]["state"]
        label = agglomerate(components.offsets, one.states, one.linkage)
        held = np.bincount(label, weights=weight)
        rank = np.empty(len(held), dtype=np.int64)
        rank[np.argsort(-held, kind="stable")] = np.arange(len(held))
        self._work.save("5-states", key, {"state": rank[label]})
        return rank[label]

    def _mapped(
        self, key: str, components: MapComponents, sketched: NDArray[np.int64]
    ) -> LandscapeMap:
        """Where every particle lies along the components."""
        one = self._settings
        key = stage_key(key, samples=one.samples, seed=one.seed)
        rows = np.setdiff1d(np.flatnonzero(finite_rows(self._z)), sketched)
        count = min(one.samples, len(rows))
        drawn = np.random.default_rng(one.seed).choice(rows, count, replace=False)
        scores = self._sample_scores(key, components, drawn)
        stop_if_asked(self._should_stop)
        found = self._work.load("7-particles", key)
        if found is not None:
            arrays, meta = found
            return LandscapeMap(
                arrays["scores"], meta["r2"], meta["used"], tuple(meta["r2_components"]),
                meta["fitted"], meta["held_out"],
            )  # fmt: skip
        self._progress("learning the landscape", 0, 1)
        known = np.concatenate([sketched, drawn])
        mapped = map_particles(
            self._z, self._z[known], np.concatenate([components.scores, scores]),
            seed=one.seed, should_stop=self._should_stop,
        )  # fmt: skip
        meta = {k: v for k, v in vars(mapped).items() if k != "scores"}
        self._work.save("7-particles", key, {"scores": mapped.scores}, meta)
        return mapped

    def _sample_scores(
        self, key: str, components: MapComponents, drawn: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(S, C) components of the maps of other particles; what is done is kept."""
        scores = np.zeros((len(drawn), components.scores.shape[1]))
        found = self._work.load("6-samples", key)
        done = 0
        if found is not None:
            done = len(found[0]["scores"])
            scores[:done] = found[0]["scores"]
        for start in range(done, len(drawn), _SAVED_EVERY):
            rows = self._z[drawn[start : start + _SAVED_EVERY]]
            for place, volume in enumerate(self._decode(rows), start=start):
                stop_if_asked(self._should_stop)
                values = finite_values(volume, place)[self.mask]
                scores[place] = components.project(values[None])[0]
                self._progress("decoding samples", place + 1, len(drawn))
            self._work.save("6-samples", key, {"scores": scores[: start + len(rows)]})
        return scores

    def _figures(
        self,
        components: MapComponents,
        state: NDArray[np.int64],
        weight: NDArray[np.int64],
        mapped: LandscapeMap,
    ) -> dict[str, Any]:
        return {
            "particles": int(weight.sum()),
            "maps": len(state),
            "box_size_px": self._shape[0],
            "voxel_size_A": self.voxel_size_A,
            "mask_voxels": int(self.mask.sum()),
            "variance_fraction": components.fraction.tolist(),
            "states": int(state.max()) + 1,
            "state_particles": np.bincount(state, weights=weight).astype(int).tolist(),
            "r2_network": mapped.r2["network"],
            "r2_nearest_map": mapped.r2["nearest map"],
            "particles_placed_by": mapped.used,
            "maps_learned_from": mapped.fitted,
            "maps_held_out": mapped.held_out,
        }
