"""The signs of an adaptation that works, in words."""

from tltool.report.working import oracle_sentence, signs, validator_rows

RESULTS = {
    "strategy": "dann",
    "signs": {"domain_accuracy": [0.95, 0.55], "predicted_classes": [3.0, 9.8]},
    "metrics": {
        "target_test/accuracy": 0.9,
        "source_test/accuracy": 0.945,
        "a_distance/before": 2.0,
        "a_distance/after": 0.5,
    },
    "controls": {
        "source_only": {
            "target_test/accuracy": 0.7,
            "source_test/accuracy": 0.95,
            "a_distance/after": 1.9,
        }
    },
    "verdicts": [{"control": "source_only", "verdict": "positive"}],
    "grids": [
        {
            "title": "Accuracy on each class of the target",
            "rows": ["cat", "dog", "owl"],
            "columns": ["dann", "source_only"],
            "values": [[0.9, 0.5], [0.4, 0.6], [None, None]],
        }
    ],
}


def test_every_sign_says_what_was_measured_and_what_it_means():
    found = {sign.name: (sign.figure, sign.says) for sign in signs(RESULTS)}
    assert found["target accuracy"] == (
        "source_only 70.0 %, now 90.0 %",
        "+20.0 points: it adapts",
    )
    assert found["source accuracy"] == ("source_only 95.0 %, now 94.5 %", "kept")
    assert found["classes of the target"] == (
        "1 of 2 no worse",
        "lowest: dog 40.0 %, before 60.0 %",
    )
    assert found["discriminator is right"] == (
        "95.0 %, then 55.0 %",
        "it is held near chance (50 %)",
    )
    assert found["proxy A-distance"][0] == "2.00 before, 0.50 after, source_only 1.90"
    assert found["predicted classes"][0] == "9.8"


def test_a_gain_within_the_interval_is_no_gain():
    unsure = RESULTS | {"verdicts": [{"control": "source_only", "verdict": "none"}]}
    assert signs(unsure)[0].says == "+20.0 points: no clear effect"


def test_a_run_that_adapts_nothing_has_no_signs():
    assert signs(RESULTS | {"signs": {}}) == []


def test_validators_are_told_with_what_they_cost_and_the_oracle_apart():
    found = {
        "snd": {"epoch": 3, "score": 1.25, "target_accuracy": 0.8},
        "bnm": {"epoch": 4, "score": 0.5},
        "oracle": {"epoch": 7, "score": 0.92, "target_accuracy": 0.92},
    }
    results = {"validators": found, "selection": {"rule": "last"}}
    assert validator_rows(results) == [
        ("snd", ["3", "1.25", "80.0 %", "12.0 points"]),
        ("bnm", ["4", "0.5", "-", "-"]),
    ]
    sentence = oracle_sentence(results)
    assert sentence and sentence.startswith("oracle: epoch 7 has 92.0 %")
    assert oracle_sentence(results | {"selection": {"rule": "oracle"}}) is None
