"""Model, optimiser, order of the data and the sums of the losses: what one step does."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from cryoscope.data import InputError, Latents
from cryoscope.io.run_folder import RunFolder
from cryoscope.models.heads import Posterior
from cryoscope.models.interfaces import HeterogeneityModel
from cryoscope.training.batches import TrainingSet, encode_set, epoch_order, to_latents
from cryoscope.training.checkpoints import pack_state, unpack_state
from cryoscope.training.config import TrainConfig
from cryoscope.training.distributed import ALONE, Team
from cryoscope.training.events import (
    CheckpointSaved,
    LatentsReady,
    RunStarted,
    StepDone,
    TrainEvent,
)
from cryoscope.training.gradients import BatchGradients
from cryoscope.training.optimisers import make_optimiser
from cryoscope.training.phases import MAIN, PhasePlan
from cryoscope.training.prepare import Prepared

#: Encoding a batch takes about this share of a step; all particles are encoded at a checkpoint
#: where that takes less than a share of the time between checkpoints, or next to no time.
ENCODING_PER_STEP, ENCODING_SHARE, QUICK_S = 0.3, 0.05, 2.0
#: A step that took longer than this, and than so many usual ones, was slept through.
SLEPT_S, SLEPT_STEPS = 120.0, 50


class Diverged(InputError):
    """The loss is not a number."""


class Loop:
    """Model, optimiser, order of the data and the sums of the losses."""

    def __init__(
        self,
        config: TrainConfig,
        prepared: Prepared,
        model: HeterogeneityModel,
        device: torch.device,
        team: Team = ALONE,
    ) -> None:
        self.config, self.device, self.team = config, device, team
        self.prepared, self.model = prepared, model.to(device)
        band = prepared.band.to(device)
        self.data = TrainingSet(
            prepared.particles, band, prepared.contrast, device, fills_gaps=team.size > 1
        )
        if (digest := getattr(self.model, "digest", None)) is not None:
            self.data.keep_digests(digest)
        self.generator = torch.Generator(device="cpu").manual_seed(config.seed)
        self.optimiser = make_optimiser(self.model, config)
        self.rows = prepared.train_rows
        self.batch_size = min(config.optimiser.batch_size, len(self.rows))
        self.steps_per_epoch = math.ceil(len(self.rows) / self.batch_size)
        self.phases = PhasePlan(config.phases, self.steps_per_epoch)
        self.step, self.trained_s = 0, 0.0
        self.unreported = 0
        self._skipped: list[str] = []
        self._remarks: list[str] = []
        self._sums: dict[str, torch.Tensor] = {}
        self._motion_A2 = torch.zeros((), device=device)
        self._diverged_at = torch.full((), -1, device=device)
        self._report_s = 0.0
        self._order = (-1, np.zeros(0, dtype=np.int64))
        self.latents = np.full((len(self.data), self.model.latent_dim), np.nan, dtype=np.float32)
        self._gradients = BatchGradients(
            self.model, self.data, self.generator, self._total_cost, team
        )
        self._warm_up()
        self.model.train()

    def _warm_up(self) -> None:
        """Compile the kernels on a few images, so that training time is training."""
        self.model.eval()
        batch = self.data.batch(self.rows[:2])
        losses = self.model.losses(batch, torch.Generator().manual_seed(0))
        torch.stack([term.sum() for term in losses.terms.values()]).sum().backward()
        self.optimiser.zero_grad(set_to_none=True)

    @property
    def epoch(self) -> int:
        """Finished passes through the particles."""
        return self.step // self.steps_per_epoch

    @property
    def total_steps(self) -> int:
        """Steps of the whole run; an estimate where the run is limited by time."""
        if self.config.optimiser.minutes > 0:
            return max(self.step, int(self.step / max(self.fraction, 1e-6))) if self.step else 0
        return self.phases.main_begin + self.config.optimiser.epochs * self.steps_per_epoch

    @property
    def fraction(self) -> float:
        """How much of the main phase is done, 0 to 1; it is what limits the run."""
        if self.config.optimiser.minutes > 0:
            return min(1.0, self.trained_s / (60 * self.config.optimiser.minutes))
        begin = self.phases.main_begin
        return min(1.0, max(0, self.step - begin) / (self.total_steps - begin))

    @property
    def finished(self) -> bool:
        """Whether the epochs or minutes asked for are done."""
        return self.fraction >= 1.0

    def advance(self) -> None:
        """One optimiser step, taken by all processes of the team."""
        begin, parts = time.perf_counter(), self._gradients.parts
        self.team.announce("advance", self.trained_s)
        index = self._index_of(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate() * group["rate"]
        self.optimiser.zero_grad(set_to_none=True)
        found = self._gradients.find(index, self.phases.kind)
        if self.config.optimiser.gradient_clip > 0:
            torch.nn.utils.clip_grad_norm_(
                self.model.parameters(), self.config.optimiser.gradient_clip
            )
        self.optimiser.step()
        self.latents[index] = found.z.cpu().numpy()
        self._add(found.means, found.total, found.motion_A2)
        self.step += 1
        self._end_phase(found.motion_A2)
        if self._gradients.parts > parts:
            self._remarks.append(_memory_remark(len(index), self._gradients.parts, self.team.size))
        self._count_time(time.perf_counter() - begin)

    def _count_time(self, seconds: float) -> None:
        """Add a step to the time trained; the clock of some systems goes on while they sleep."""
        usual_s = self.trained_s / max(self.step - 1, 1)
        if self.step > 1 and seconds > max(SLEPT_S, SLEPT_STEPS * usual_s):
            seconds = usual_s
        self.trained_s += seconds
        self._report_s += seconds

    def _end_phase(self, motion_A2: torch.Tensor) -> None:
        """What is done where a phase ends with this step."""
        if self.phases.kind == MAIN:
            return
        if self.phases.after(self.step, float(motion_A2.mean())) == "warm-up":
            self.model.reset_coordinates()
            self.optimiser.state.clear()  # its moments belong to the way that was undone

    def report(self) -> StepDone:
        """Means since the last report.

        Raises
        ------
        Diverged
            When a loss was not a number.
        """
        self._refuse_divergence()
        losses = {name: float(total) / self.unreported for name, total in self._sums.items()}
        rate = self.unreported * self.batch_size / max(self._report_s, 1e-9)
        event = StepDone(
            step=self.step,
            epoch=self.epoch,
            losses=losses,
            motion_A=math.sqrt(float(self._motion_A2) / self.unreported),
            images_per_s=rate,
            seconds_left=self._seconds_left(),
            remark=" ".join(self._remarks),
        )
        self._sums, self.unreported, self._report_s, self._remarks = {}, 0, 0.0, []
        self._motion_A2.zero_()
        return event

    def _refuse_divergence(self) -> None:
        step = int(self._diverged_at)
        if step < 0:
            return
        source = self.prepared.particles.source
        rows = np.sort(source.row[self._index_of(step)]) + 1
        shown = ", ".join(f"{row:,}" for row in rows[:8]) + (", ..." if len(rows) > 8 else "")
        raise Diverged(
            f"training diverged at step {step + 1:,}: the loss is not a number; in that batch were "
            f"the particles {shown} of {source.file.name}",
            cure="Look at those images; or train again with a lower optimiser.learning_rate",
        )

    def started(self, run: RunFolder) -> RunStarted:
        """The first event of the run."""
        optics = self.prepared.optics
        return RunStarted(
            run_id=run.run_id,
            particle_count=len(self.data),
            bead_count=0 if self.prepared.beads is None else len(self.prepared.beads),
            total_steps=self.total_steps,
            step=self.step,
            device=str(self.device),
            contrast=self.prepared.contrast,
            box_size_px=optics.box_size_px,
            pixel_size_A=optics.pixel_size_A,
            remark=" ".join(self._warnings()),
            report="\n".join(self.prepared.report),
        )

    def _warnings(self) -> list[str]:
        """What the user should look at: residues without a bead, damaged checkpoints."""
        beads = self.prepared.beads
        left_out = 0 if beads is None else len(beads.skipped)
        if beads is None or left_out == 0:
            return self._skipped
        file = Path(self.config.data.structure).name
        names = ", ".join(beads.skipped[:5]) + (", ..." if left_out > 5 else "")
        count = f"{left_out:,} residue{'s' if left_out > 1 else ''}"
        return [f"{file}: {count} left out of the model ({names})", *self._skipped]

    def save_live(self, run: RunFolder) -> LatentsReady:
        """Write the latents as the last step that saw each particle left them."""
        uid = self.prepared.particles.uid
        latents = Latents(self.latents.copy(), None, uid, run.run_id, self.epoch)
        path = run.save_latents(latents, live=True)
        return LatentsReady(str(path), self.epoch, self.step, live=True)

    def save(self, run: RunFolder) -> Iterator[TrainEvent]:
        """Write the latents of all particles, then a checkpoint.

        At the end, and before it where that is quick, all particles are encoded by the model as it
        is now; else the live latents are written.

        Raises
        ------
        Diverged
            When a loss was not a number; nothing is written.
        """
        self._refuse_divergence()
        if self.finished or self._encoding_is_quick():
            found = self.encode_all()
            self.latents = np.asarray(found.z)
            latents = replace(found, run_id=run.run_id)
            path = run.save_latents(latents, live=False)
            yield LatentsReady(str(path), self.epoch, self.step, live=False)
        else:
            yield self.save_live(run)
        arrays = pack_state(self.model, self.optimiser, self.generator)
        meta = {"trained_s": self.trained_s, "epoch": self.epoch, **self.phases.state()}
        path = run.save_checkpoint(self.step, arrays, meta, self.config.kept_checkpoints)
        yield CheckpointSaved(str(path), self.step)

    def _encoding_is_quick(self) -> bool:
        seconds_per_step = self.trained_s / max(self.step, 1)
        expected_s = ENCODING_PER_STEP * seconds_per_step * self.steps_per_epoch
        return expected_s < max(QUICK_S, ENCODING_SHARE * self.config.checkpoint_s)

    def restore(self, run: RunFolder) -> None:
        """Go back to the newest checkpoint, random state included."""
        arrays, meta = run.load_checkpoint()
        unpack_state(arrays, self.model, self.optimiser, self.generator, str(run.path))
        self.step, self.trained_s = int(meta["step"]), float(meta["trained_s"])
        self._diverged_at.fill_(-1)
        self.phases.restore(meta)
        self._skipped = [f"Passed over a damaged checkpoint: {why}" for why in meta["skipped"]]
        if run.latent_epochs():
            saved = run.load_latents().z
            if saved.shape == self.latents.shape:
                self.latents = np.array(saved)

    def synchronise(self) -> None:
        """Give every process of the team the first one's state, down to the random numbers."""
        if self.team.size == 1:
            return
        self.team.copy_from_first(cast(nn.Module, self.model))
        state = None
        if self.team.leads:
            arrays = pack_state(self.model, self.optimiser, self.generator)
            state = (arrays, self.step, self.trained_s, self.phases.state())
        arrays, self.step, self.trained_s, phases = self.team.from_first(state)
        unpack_state(arrays, self.model, self.optimiser, self.generator, "the first process")
        self.phases.restore(phases)

    def encode_all(self) -> Latents:
        """Latents of all particles by the model as it is now, found by all of the team."""
        self.team.announce("encode", self.trained_s)
        rows = self.team.rows(len(self.data))
        self.model.eval()
        found = encode_set(self.model, self.data, rows)
        self.model.train()
        if rows is not None:
            together = partial(self.team.assembled, rows, count=len(self.data))
            log_var = None if found.log_var is None else together(found.log_var)
            shift_A = None if found.shift_A is None else together(found.shift_A)
            found = Posterior(together(found.mean), log_var, shift_A)
        return to_latents(found, self.prepared.particles.uid, epoch=self.epoch)

    def _index_of(self, step: int) -> np.ndarray:
        """The particles in the batch of a step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            order = epoch_order(len(self.rows), self.config.seed, epoch)
            self._order = (epoch, self.rows[order])
        start = place * self.batch_size
        return self._order[1][start : start + self.batch_size]

    def _learning_rate(self) -> float:
        settings = self.config.optimiser
        rise = min(1.0, (self.step + 1) / max(1, settings.warmup_steps))
        cosine = 0.5 * (1 + math.cos(math.pi * self.fraction))
        span = settings.learning_rate - settings.final_learning_rate
        return rise * (settings.final_learning_rate + span * cosine)

    def _total_cost(self, means: dict[str, torch.Tensor]) -> torch.Tensor:
        costs = {**means, "kl": self._kl_cost(means["kl"])} if "kl" in means else means
        return torch.stack(list(costs.values())).sum()

    def _kl_cost(self, kl: torch.Tensor) -> torch.Tensor:
        """What the mean divergence costs; with a target, how far it is from that (cryoDRGN)."""
        loss = self.config.loss
        rise = min(1.0, (self.step + 1) / max(1, loss.kl_warmup_steps))
        if loss.kl_target > 0:
            return loss.kl_weight * (kl - rise * loss.kl_target).square()
        return loss.kl_weight * rise * kl

    def _add(
        self, means: dict[str, torch.Tensor], total: torch.Tensor, motion_A2: torch.Tensor
    ) -> None:
        for name, value in {"total": total, **means}.items():
            self._sums[name] = self._sums.get(name, 0) + value.detach()
        self._motion_A2 += motion_A2.mean()
        # Kept on the device: asking every step would make a GPU wait.
        bad = ~torch.isfinite(total.detach()) & (self._diverged_at < 0)
        self._diverged_at[...] = torch.where(bad, self.step, self._diverged_at)
        self.unreported += 1

    def _seconds_left(self) -> float:
        if self.config.optimiser.minutes > 0:
            return max(0.0, 60 * self.config.optimiser.minutes - self.trained_s)
        done = max(self.fraction, 1e-9)
        return self.trained_s * (1 - done) / done


def _memory_remark(batch_size: int, parts: int, processes: int) -> str:
    """What is said when a batch did not fit into the memory of the GPU."""
    share = math.ceil(batch_size / processes)
    whose, whole = ("The GPU", "batch") if processes == 1 else ("A GPU", "process's share")
    return (
        f"{whose} has too little memory for {share} images at once: from now on every {whole} "
        f"is taken in {parts} parts of {math.ceil(share / parts)}, which is slower and learns "
        "the same. A smaller optimiser.batch_size or data.box_size_px needs less."
    )
