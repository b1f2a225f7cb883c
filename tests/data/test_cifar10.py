"""Cats and dogs: the binary layout, bad folders, and downloads from a real local server."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from coflect_widget.data.cifar10 import FOLDER, KNOWN_HASH, cifar10_catsdogs

TRAIN = [f"data_batch_{k}.bin" for k in range(1, 6)]
REAL = Path(os.environ.get("COFLECT_DATA", "data")).joinpath("cifar10_catsdogs")


def rows(labels: list[int], seed: int) -> np.ndarray:
    """(N, 3073) in the official layout."""
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    return np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1)


CONTENT = {
    name: rows([3, 0, 5, 9, 5], seed) for seed, name in enumerate([*TRAIN, "test_batch.bin"])
}


def write(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in CONTENT.items():
        content.tofile(folder / name)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / FOLDER)
    return tmp_path


def test_layout(root: Path) -> None:
    data = cifar10_catsdogs(root)
    assert data.classes == ["cat", "dog"]
    assert data.images.shape == (15, 3, 32, 32)
    assert data.labels.tolist() == [0, 1, 1] * 5
    dog = CONTENT["data_batch_2.bin"][2]
    image = data.images[4]
    # Row 7, column 3 of the green plane is byte 1 + 1024 + 7 * 32 + 3 of the row.
    assert image[1, 7, 3] == np.float32(dog[1 + 1024 + 7 * 32 + 3]) / np.float32(255)
    assert data.images.dtype == np.float32
    assert data.images.max() <= 1


def test_test_split_and_the_folder_itself_as_root(root: Path) -> None:
    whole = cifar10_catsdogs(root, "test")
    assert len(whole) == 3
    assert np.array_equal(cifar10_catsdogs(str(root / FOLDER), "test").images, whole.images)
    (root / FOLDER).rename(root / "renamed")
    assert np.array_equal(cifar10_catsdogs(root / "renamed", "test").images, whole.images)


def test_only_the_split_asked_for_is_needed(root: Path) -> None:
    (root / FOLDER / "test_batch.bin").unlink()
    assert len(cifar10_catsdogs(root, "train")) == 15


def test_missing_files_are_named_with_the_remedy(root: Path) -> None:
    (root / FOLDER / "data_batch_4.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no data_batch_4\.bin;.*download=True"):
        cifar10_catsdogs(root)
    with pytest.raises(FileNotFoundError, match=r"test_batch\.bin"):
        cifar10_catsdogs(root / "nowhere", "test")
    assert not (root / "nowhere").exists()


def test_a_truncated_file_is_named(root: Path) -> None:
    path = root / FOLDER / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"data_batch_3\.bin has 15,364 bytes"):
        cifar10_catsdogs(root)


def test_neither_cat_nor_dog(root: Path) -> None:
    rows([0, 1, 2], 0).tofile(root / FOLDER / "test_batch.bin")
    with pytest.raises(ValueError, match="no cat"):
        cifar10_catsdogs(root, "test")


def test_unknown_split(root: Path) -> None:
    with pytest.raises(ValueError, match="split = 'val'"):
        cifar10_catsdogs(root, "val")  # type: ignore[arg-type]


# --- downloads ----------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """A folder, the address under which a local server shows it, and the paths asked for."""
    folder = tmp_path / "served"
    folder.mkdir()
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def pack(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> str:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type = tarfile.SYMTYPE
            info.linkname = target
            tar.addfile(info)
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


OFFICIAL = {f"{FOLDER}/{name}": content.tobytes() for name, content in CONTENT.items()}


def test_download_from_a_mirror_once(served: tuple[Path, str, list[str]], tmp_path: Path) -> None:
    folder, address, asked = served
    known = pack(folder / "cifar.tar.gz", {**OFFICIAL, f"{FOLDER}/readme.html": b"hello"})
    root = tmp_path / "root"
    url = f"{address}/cifar.tar.gz"
    data = cifar10_catsdogs(root, download=True, url=url, known_hash=known)
    assert len(data) == 15
    assert sorted(p.name for p in (root / FOLDER).iterdir()) == sorted(CONTENT)
    cifar10_catsdogs(root, "test", download=True, url=url, known_hash=known)
    assert asked == ["/cifar.tar.gz"]


def test_nothing_is_fetched_unless_asked_for(
    served: tuple[Path, str, list[str]], tmp_path: Path
) -> None:
    folder, address, asked = served
    pack(folder / "cifar.tar.gz", OFFICIAL)
    with pytest.raises(FileNotFoundError):
        cifar10_catsdogs(tmp_path / "root", url=f"{address}/cifar.tar.gz")
    assert asked == []


def test_a_wrong_checksum_leaves_nothing_behind(
    served: tuple[Path, str, list[str]], tmp_path: Path
) -> None:
    folder, address, _ = served
    pack(folder / "cifar.tar.gz", OFFICIAL)
    with pytest.raises(ValueError, match="hash"):
        cifar10_catsdogs(tmp_path / "root", download=True, url=f"{address}/cifar.tar.gz")
    assert list((tmp_path / "root" / FOLDER).iterdir()) == []


def test_a_mirror_without_the_file(served: tuple[Path, str, list[str]], tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match=r"could not fetch .*gone\.tar\.gz.*url="):
        cifar10_catsdogs(tmp_path / "root", download=True, url=f"{served[1]}/gone.tar.gz")


def test_a_hostile_archive_writes_nowhere_else(
    served: tuple[Path, str, list[str]], tmp_path: Path
) -> None:
    folder, address, _ = served
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT["test_batch.bin"].tobytes())
    known = pack(
        folder / "bad.tar.gz",
        {
            "../escaped.bin": b"x",
            f"{FOLDER}/../../data_batch_1.bin": b"x",
            str(tmp_path / "absolute.bin"): b"x",
            f"{FOLDER}/run.sh": b"x",
            "elsewhere/test_batch.bin": CONTENT["test_batch.bin"].tobytes(),
            **{f"{FOLDER}/{name}": CONTENT[name].tobytes() for name in TRAIN},
        },
        links={f"{FOLDER}/test_batch.bin": str(secret)},
    )
    root = tmp_path / "deep" / "root"
    options = {"download": True, "url": f"{address}/bad.tar.gz", "known_hash": known}
    assert len(cifar10_catsdogs(root, **options)) == 15  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match=r"archive at .* has no test_batch\.bin"):
        cifar10_catsdogs(root, "test", **options)  # type: ignore[arg-type]
    written = {p.relative_to(tmp_path / "deep") for p in (tmp_path / "deep").rglob("*.*")}
    assert written == {Path("root", FOLDER, name) for name in TRAIN}
    assert not (tmp_path / "absolute.bin").exists()
    assert not (tmp_path / "escaped.bin").exists()


def test_the_official_checksum_is_a_sha256() -> None:
    kind, _, digest = KNOWN_HASH.partition(":")
    assert kind == "sha256"
    assert len(bytes.fromhex(digest)) == 32


@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not on this machine")
@pytest.mark.parametrize(("split", "count"), [("train", 10_000), ("test", 2_000)])
def test_real_files(split: str, count: int) -> None:
    data = cifar10_catsdogs(REAL, split)  # type: ignore[arg-type]
    assert data.images.shape == (count, 3, 32, 32)
    assert np.bincount(data.labels).tolist() == [count // 2, count // 2]
    # Photographs: neighbouring pixels are alike, which a wrong layout would break.
    across = np.corrcoef(data.images[:500, :, :, :-1].ravel(), data.images[:500, :, :, 1:].ravel())
    down = np.corrcoef(data.images[:500, :, :-1].ravel(), data.images[:500, :, 1:].ravel())
    assert across[0, 1] > 0.9
    assert down[0, 1] > 0.9
