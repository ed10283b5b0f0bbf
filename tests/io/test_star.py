"""STAR files: odd values kept, bad rows refused, rows copied byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import starfile
from hypothesis import given
from hypothesis import strategies as st

from cryoscope.data import InputError
from cryoscope.io import star_block, star_lines
from cryoscope.io.star import read_star, write_star, write_star_rows

HEAD = "data_particles\n\nloop_\n_rlnImageName #1\n_rlnDefocusU #2\n_rlnNote #3\n"
GENERAL = "# version 50001\n\ndata_general\n\n_rlnTomoSize  7\n_rlnName 'a b'\n\n"


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_blocks_comments_pairs_and_tables(tmp_path: Path) -> None:
    text = GENERAL + "# c\n" + HEAD + "# before\n1@a 1.5 x\n\n  2@a\t-2e3  y \n# version 30001\n\n"
    star = read_star(write(tmp_path / "a.star", text + "data_empty\n\nloop_\n_rlnX #1\n"))
    assert list(star.blocks) == ["general", "particles", "empty"]
    general, table, empty = star.blocks.values()
    assert (general.kind, general.rows) == ("pairs", 1)
    assert general.numbers("_rlnTomoSize").tolist() == [7.0]
    assert general.text("_rlnName").tolist() == ["a b"]
    assert (table.kind, table.rows) == ("loop", 2)
    assert table.columns == ("_rlnImageName", "_rlnDefocusU", "_rlnNote")
    assert table.numbers("_rlnDefocusU").tolist() == [1.5, -2000.0]
    assert table.text("_rlnNote").tolist() == ["x", "y"]
    assert table.raw_lines(np.array([1, 0])) == [b"  2@a\t-2e3  y \n", b"1@a 1.5 x\n"]
    assert empty.rows == 0
    assert len(empty.numbers("_rlnX")) == len(empty.text("_rlnX")) == 0
    assert star.particle_block() is table


@pytest.mark.parametrize(
    "value",
    [
        "a#b",
        "#lead",
        "it's",
        "5'-end",
        "é/ü.mrc",
        "_x",
        "$x",
        "data_x.mrc",
        "loop_",
        "data_",
        "000001",
        "nan",
        "True",
        "<NA>",
        "1e5",
        "'open",
        'in"side',
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_odd_values_stay_as_they_are(tmp_path: Path, value: str, place: int) -> None:
    row = ["1@a", "2", "z"]
    row[place] = value
    star = read_star(write(tmp_path / "a.star", HEAD + " ".join(row) + "\n3@b 4 w\n"))
    table = star.blocks["particles"]
    assert [table.text(column)[0] for column in table.columns] == row
    assert table.rows == 2
    assert list(star.blocks) == ["particles"]


def test_quoted_values_and_comments_after_rows(tmp_path: Path) -> None:
    rows = "'1@a b' 2 \"\"\n2@a 3 \"x y\"  # why\n3@it's 4 'he'llo'\n"
    table = read_star(write(tmp_path / "a.star", HEAD + rows)).blocks["particles"]
    assert table.text("_rlnImageName").tolist() == ["1@a b", "2@a", "3@it's"]
    assert table.text("_rlnNote").tolist() == ["", "x y", "he'llo"]
    assert table.numbers("_rlnDefocusU").tolist() == [2.0, 3.0, 4.0]


def test_one_column_whose_values_look_like_structure(tmp_path: Path) -> None:
    text = "data_a\nloop_\n_rlnName #1\n_x\ndata_x.mrc\nmid\nloop_\nlast\n\ndata_b\n_rlnY 1\n"
    star = read_star(write(tmp_path / "a.star", text))
    values = ["_x", "data_x.mrc", "mid", "loop_", "last"]
    assert star.blocks["a"].text("_rlnName").tolist() == values
    assert star.blocks["b"].numbers("_rlnY").tolist() == [1.0]


def test_crlf_no_final_newline_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeff" + GENERAL + HEAD + "1@a 2 x\n2@a 3 y"
    table = read_star(write(tmp_path / "a.star", text.replace("\n", "\r\n"))).particle_block()
    assert table.text("_rlnNote").tolist() == ["x", "y"]
    assert table.columns[-1] == "_rlnNote"


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.star"
    path.write_bytes(HEAD.encode() + b"1@caf\xe9 2 x\n")
    name = read_star(path).particle_block().text("_rlnImageName")[0]
    assert str(name).encode("utf-8", "surrogateescape") == b"1@caf\xe9"


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("1@a 2 x\n2@a 3\n", "row 2: 2 values where the table has 3 columns .line 8."),
        ("1@a 2 x y\n", "row 1: 4 values"),
        ("1@a 2 x\n'2@a b' 3 c d\n", "row 2: 4 values"),
        ("1@a 2 x\ndata_particles\n_rlnA 1\n", "second block data_particles"),
        ("1@a 2 x\nloop_\n_rlnB #1\n", "second table"),
        ("1@a 2 \x01\n", "not a text file"),
        ("1@a 2 x\r2@a 3 y\n", "carriage returns"),
        ("1@a 2 x\n\ndata_b\n_rlnA 1 2\n", "exactly one value"),
        ("1@a 2 x\n\ndata_b\n_rlnA\n", "exactly one value"),
        ("1@a 2 x\n\ndata_b\n_rlnA 1\nwords\n", "neither table nor pair"),
        ("1@a 2 x\n\ndata_b\nloop_\n_rlnA #1\n_rlnA #2\n1 2\n", "one name twice"),
        ("1@a 2 x\n\ndata_b\nloop_\n1 2\n", "without column names"),
    ],
)
def test_bad_files_name_file_row_and_cure(tmp_path: Path, rows: str, problem: str) -> None:
    path = write(tmp_path / "a.star", HEAD + rows)
    with pytest.raises(InputError, match=problem) as caught:
        read_star(path)
    assert caught.value.file == str(path)
    assert caught.value.cure
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n", "hello world\n", "loop_\n_a #1\n1\n"])
def test_files_that_are_no_star_files(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        read_star(write(tmp_path / "a.star", text))


@pytest.mark.parametrize("value", ["nan", "-inf", "1e999", "abc", "1_0", "True", "''", "0x10"])
def test_values_that_are_no_numbers(tmp_path: Path, value: str) -> None:
    rows = f"1@a 1 x\n2@a {value} y\n"
    table = read_star(write(tmp_path / "a.star", HEAD + rows)).particle_block()
    with pytest.raises(InputError, match=r"a\.star, row 2: _rlnDefocusU is"):
        table.numbers("_rlnDefocusU")


def test_unknown_column_and_endless_value(tmp_path: Path) -> None:
    rows = f"1@a 1 x\n2@a 1 {'y' * 5000}\n"
    table = read_star(write(tmp_path / "a.star", HEAD + rows)).particle_block()
    with pytest.raises(InputError, match="no column _rlnVoltage"):
        table.numbers("_rlnVoltage")
    with pytest.raises(InputError, match=r"row 2.*5000 characters"):
        table.text("_rlnNote")


def test_no_particles_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no table of particles"):
        read_star(write(tmp_path / "a.star", GENERAL)).particle_block()
    with pytest.raises(InputError, match="no such file"):
        read_star(tmp_path / "b.star")
    with pytest.raises(InputError, match="a folder"):
        read_star(tmp_path)


def test_pieces_of_any_size_give_the_same_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = GENERAL + HEAD + "".join(f"{i}@a {i} note{i}\n" for i in range(50)) + "\n\n"
    path = write(tmp_path / "a.star", text)
    whole = read_star(path).lines
    for size in (1, 7, 100):
        monkeypatch.setattr(star_lines, "_CHUNK_BYTES", size)
        pieces = read_star(path).lines
        for name in ("start", "words", "first"):
            np.testing.assert_array_equal(getattr(pieces, name), getattr(whole, name))


# ---------------------------------------------------------------- copying rows


def test_rows_are_copied_byte_for_byte(tmp_path: Path) -> None:
    rows = ["  1@a  2.50000 x\n", "2@a\t3 'y z'\n", "3@a 1e-07 w\n"]
    tail = "\n# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1 [odd]\n   1   \n \n"
    source = write(tmp_path / "a.star", GENERAL + HEAD + "".join(rows) + tail)
    out = tmp_path / "b.star"
    write_star_rows(source, [2, 0], out)
    assert out.read_bytes().decode() == GENERAL + HEAD + rows[2] + rows[0] + tail
    write_star_rows(read_star(source), np.arange(3), out)
    assert out.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_last_row_without_newline(tmp_path: Path, end: str) -> None:
    text = (HEAD + "1@a 2 x\n2@a 3 y").replace("\n", end)
    source = write(tmp_path / "a.star", text)
    write_star_rows(source, [1, 0], tmp_path / "b.star")
    expected = (HEAD + "2@a 3 y\n1@a 2 x").replace("\n", end)
    assert (tmp_path / "b.star").read_bytes().decode() == expected
    write_star_rows(source, [0, 1], tmp_path / "b.star")
    assert (tmp_path / "b.star").read_bytes().decode() == text


def test_comments_between_rows_survive(tmp_path: Path) -> None:
    source = write(tmp_path / "a.star", HEAD + "1@a 2 x\n# half way\n2@a 3 y\n")
    write_star_rows(source, [1], tmp_path / "b.star")
    assert (tmp_path / "b.star").read_bytes().decode() == HEAD + "2@a 3 y\n# half way\n"


def test_refusals_leave_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "a.star", HEAD + "1@a 2 x\n")
    out = tmp_path / "b.star"
    with pytest.raises(InputError, match="selection is empty"):
        write_star_rows(source, [], out)
    with pytest.raises(InputError, match="row 2: there is no such row"):
        write_star_rows(source, [0, 1], out)
    with pytest.raises(InputError, match="row 0"):
        write_star_rows(source, [-1], out)
    with pytest.raises(InputError, match="the particles came from"):
        write_star_rows(source, [0], source)
    assert [p.name for p in tmp_path.iterdir()] == ["a.star"]


# ---------------------------------------------------------------- round trips

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\"' ", exclude_categories=["C", "Z"]),
    min_size=1,
    max_size=12,
).filter(lambda text: not text.startswith("#"))
SPACED = st.builds("{} {}".format, NAMES, NAMES)


@given(
    st.lists(
        st.tuples(st.one_of(NAMES, SPACED), st.floats(-1e6, 1e6), st.integers(-(2**53), 2**53)),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, float, int]]
) -> None:
    folder = tmp_path_factory.mktemp("round")
    names, floats, integers = (list(values) for values in zip(*rows, strict=True))
    table = {"rlnDefocusU": floats, "rlnImageName": names, "rlnGroup": integers}
    write_star(folder / "a.star", {"general": {"rlnName": "a b"}, "particles": table})
    star = read_star(folder / "a.star")
    assert star.blocks["general"].text("_rlnName").tolist() == ["a b"]
    block = star.blocks["particles"]
    assert block.text("_rlnImageName").tolist() == names
    np.testing.assert_allclose(block.numbers("_rlnDefocusU"), floats, atol=5.1e-7)
    assert block.numbers("_rlnGroup").tolist() == integers
    order = np.arange(len(rows))[::-1]
    write_star_rows(star, order, folder / "b.star")
    again = read_star(folder / "b.star").particle_block()
    assert again.text("_rlnImageName").tolist() == names[::-1]


@given(st.binary(max_size=200) | st.text(alphabet="data_lop \n\t#'\"x1@", max_size=80))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.star"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        star = read_star(path)
    except InputError:
        return
    for block in star.blocks.values():
        for column in block.columns:
            assert len(block.text(column)) == block.rows


@pytest.mark.parametrize("name", ['say "x"', "tab\tbed", "two\nlines", "#no", "'quoted'"])
def test_text_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"row 1.*cannot hold"):
        write_star(tmp_path / "a.star", {"particles": {"rlnImageName": [name]}})
    with pytest.raises(InputError, match="differ in length"):
        write_star(tmp_path / "a.star", {"p": {"rlnA": [1, 2], "rlnB": [1]}})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "particles/aspire_17/particles_relion30.star",
        "particles/aspire_17/particles_relion31.star",
        "particles/relion31_5/relion31.star",
        "particles/relion31_5/relion31.v2.star",
        "metadata/relion31.6opticsgroups.star",
        "metadata/relion5.star",
        "metadata/FinalRefinement-OriginalParticles-PfCRT.star",
        "synthetic/tomodrgn_10076_DE/10076_both_32_sim.star",
    ],
)
def test_real_files_read_as_starfile_reads_them(
    fixtures_dir: Path, tmp_path: Path, name: str
) -> None:
    star = read_star(fixtures_dir / name)
    reference = starfile.read(fixtures_dir / name, always_dict=True)
    assert list(star.blocks) == list(reference)
    for block_name, block in star.blocks.items():
        frame = reference[block_name]
        assert [column[1:] for column in block.columns] == list(frame.columns)
        assert block.rows == len(frame)
        for column in block.columns:
            expected = frame[column[1:]].to_numpy()
            if expected.dtype.kind in "if":
                np.testing.assert_allclose(block.numbers(column), expected, rtol=1e-12)
            else:
                assert block.text(column).tolist() == expected.tolist()
    everything = np.arange(star.particle_block().rows)
    write_star_rows(star, everything, tmp_path / "copy.star")
    assert (tmp_path / "copy.star").read_bytes() == (fixtures_dir / name).read_bytes()


@given(
    st.lists(
        st.floats(allow_nan=False, allow_infinity=False).flatmap(
            lambda value: st.sampled_from(
                [f"{value!r}", f"{value:.6f}", f"{value:12.3e}", f"{value:.17g}", f"{value:+.1f}"]
            )
        )
        | st.from_regex(r"[+-]?[0-9]{1,22}(\.[0-9]{0,22})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(["\n", "\r\n"]),
)
def test_numbers_are_rounded_as_python_rounds_them(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], end: str
) -> None:
    path = tmp_path_factory.mktemp("numbers") / "a.star"
    text = HEAD + "".join(f"{i}@a {word} {word}\n" for i, word in enumerate(words, 1))
    path.write_bytes(text.rstrip("\n").replace("\n", end).encode())
    block = read_star(path).particle_block()
    expected = np.array([float(word) for word in words])
    for column in ("_rlnDefocusU", "_rlnNote"):
        found = block.numbers(column)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


def test_one_long_value_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"{i}@a 1 x\n" for i in range(200)) + f"1@a 1 {'y' * 4000}\n"
    table = read_star(write(tmp_path / "a.star", HEAD + rows)).particle_block()
    monkeypatch.setattr(star_block, "_LEAST_TEXT_BYTES", 0)
    with pytest.raises(InputError, match=r"row 201: _rlnNote is a value of 4000 characters"):
        table.text("_rlnNote")


def test_threads_read_as_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"{i + 1:06d}@s{i % 7}.mrcs {i * 0.37:.6f} n{i}\n" for i in range(500))
    path = write(tmp_path / "a.star", HEAD + rows)
    whole = read_star(path).particle_block()
    monkeypatch.setattr(star_lines, "_CHUNK_BYTES", 1000)  # mapped, in pieces
    monkeypatch.setattr(star_block, "_ROWS_AT_ONCE", 33)
    parts = read_star(path).particle_block()
    for column in whole.columns:
        np.testing.assert_array_equal(parts.text(column), whole.text(column))
    np.testing.assert_array_equal(parts.numbers("_rlnDefocusU"), whole.numbers("_rlnDefocusU"))
    some = np.array([400, 3])
    assert parts.text("_rlnNote", some).tolist() == ["n400", "n3"]
