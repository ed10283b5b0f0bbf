from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscope.data import CTFParams, Optics
from cryoscope.physics.ctf import ctf, ctf_table, delocalisation_A
from cryoscope.physics.fourier import make_band

OPTICS = Optics(1.5, 64, voltage_kv=300.0, spherical_aberration_mm=2.7, amplitude_contrast=0.1)


def params(**changes: float) -> CTFParams:
    values = {
        "defocus_u_A": 18000.0,
        "defocus_v_A": 16500.0,
        "defocus_angle_deg": 33.0,
        "phase_shift_deg": 0.0,
        "b_factor_A2": 0.0,
        "scale": 1.0,
    } | changes
    arrays = {name: np.array([value]) for name, value in values.items()}
    return CTFParams(**arrays, optics_group=np.zeros(1, dtype=np.int64))


def test_at_zero_frequency_it_is_the_amplitude_contrast() -> None:
    zero = torch.zeros(1)
    value = ctf(ctf_table(params(), (OPTICS,)), zero, zero)
    assert float(value) == pytest.approx(0.1, abs=1e-6)


def test_it_is_the_textbook_formula() -> None:
    kx, ky = torch.tensor([0.05, 0.11, -0.2]), torch.tensor([0.02, -0.15, 0.13])
    ours = ctf(ctf_table(params(phase_shift_deg=40.0), (OPTICS,)), kx, ky)[0].numpy()
    x, y = kx.double().numpy(), ky.double().numpy()
    lam = 12.2639 / np.sqrt(3e5 + 0.97845e-6 * 9e10)
    k2, theta = x**2 + y**2, np.arctan2(y, x)
    defocus = 17250 + 750 * np.cos(2 * (theta - np.deg2rad(33)))
    gamma = 2 * np.pi * (-defocus * lam * k2 / 2 + 2.7e7 * lam**3 * k2**2 / 4) - np.deg2rad(40)
    expected = -(np.sqrt(1 - 0.01) * np.sin(gamma) - 0.1 * np.cos(gamma))
    assert np.allclose(ours, expected, atol=2e-4)


def test_envelope_and_scale_multiply() -> None:
    band = make_band(32, 1.5)
    plain = ctf(ctf_table(params(), (OPTICS,)), band.kx_per_A, band.ky_per_A)
    damped = ctf(
        ctf_table(params(b_factor_A2=80.0, scale=0.7), (OPTICS,)), band.kx_per_A, band.ky_per_A
    )
    assert torch.allclose(damped, 0.7 * plain * torch.exp(-20 * band.k_per_A**2), atol=1e-5)


def test_every_particle_takes_its_own_optics_group() -> None:
    other = Optics(1.5, 64, voltage_kv=200.0, spherical_aberration_mm=1.4, amplitude_contrast=0.07)
    two = CTFParams.uniform(2, 15000.0)
    two.optics_group[1] = 1
    table = ctf_table(two, (OPTICS, other))
    k = torch.tensor([0.1])
    alone = ctf(ctf_table(CTFParams.uniform(1, 15000.0), (other,)), k, k * 0)
    assert torch.allclose(ctf(table, k, k * 0)[1], alone[0])
    assert not torch.allclose(ctf(table, k, k * 0)[0], alone[0], atol=1e-3)


def test_it_agrees_with_an_independent_program() -> None:
    torch_ctf = pytest.importorskip("torch_ctf", reason="teamtomo's torch-ctf is not installed")
    n, pixel_size_A = 64, 1.5
    # no astigmatism: their angle convention is not what is compared here
    table = ctf_table(params(defocus_u_A=17000.0, defocus_v_A=17000.0), (OPTICS,))
    theirs = torch_ctf.calculate_ctf_2d(
        defocus=1.7,
        astigmatism=0.0,
        astigmatism_angle=0.0,
        voltage=300.0,
        spherical_aberration=2.7,
        amplitude_contrast=0.1,
        phase_shift=0.0,
        pixel_size=pixel_size_A,
        image_shape=(n, n),
        rfft=True,
        fftshift=False,
    ).flatten()
    band = make_band(n, pixel_size_A)
    ours = ctf(table, band.kx_per_A, band.ky_per_A)[0]
    # the two differ by the sign of the contrast (ours: protein bright) and 5e-7 in the wavelength
    sign = torch.sign((ours * theirs[band.index]).sum())
    assert torch.allclose(ours, sign * theirs[band.index].float(), atol=1e-2)


def test_it_agrees_with_cistem(fixtures_dir: Path) -> None:
    data = np.load(fixtures_dir / "oracles" / "cistem" / "cistem_ctf.npz", allow_pickle=False)
    for row, theirs in zip(data["parameters"], data["ctf"], strict=True):
        u, v, angle, kv, cs, w, pixel_size_A = row
        optics = Optics(pixel_size_A, 128, kv, cs, w)
        table = ctf_table(params(defocus_u_A=u, defocus_v_A=v, defocus_angle_deg=angle), (optics,))
        band = make_band(128, pixel_size_A)
        # that file has protein dark, and measures the azimuth from array axis 0
        ours = -ctf(table, band.ky_per_A, band.kx_per_A)[0]
        worst = (ours - torch.as_tensor(theirs).flatten()[band.index]).abs().max()
        assert float(worst) < 0.025


def test_delocalisation_grows_with_defocus_and_resolution() -> None:
    table = ctf_table(params(defocus_u_A=20000.0, defocus_v_A=20000.0), (OPTICS,))
    lam = 12.2639 / np.sqrt(3e5 + 0.97845e-6 * 9e10)
    expected = lam * 20000 / 10 - 2.7e7 * lam**3 / 1000
    assert delocalisation_A(table, 10.0) == pytest.approx(expected, rel=1e-3)
    assert delocalisation_A(table, 4.0) > delocalisation_A(table, 8.0)
