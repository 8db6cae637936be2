from typing import Any

import pytest

from tltool.strategies.adaptation.adda import ADDA
from tltool.strategies.adaptation.cdan import CDAN
from tltool.strategies.adaptation.mdd import MDD
from tltool.strategies.adaptation.osbp import OSBP
from tltool.strategies.adaptation.pada import PADA


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (CDAN, {"hidden": 0}, "hidden must be at least 1, got 0"),
        (CDAN, {"random": 0}, "random must be at least 1, got 0"),
        (CDAN, {"trade_off": -1.0}, "trade_off must not be negative, got -1.0"),
        (MDD, {"margin": 0.5}, "margin must be at least 1, got 0.5"),
        (MDD, {"hidden": 0}, "hidden must be at least 1, got 0"),
        (MDD, {"coefficient": -0.1}, "must not be negative, got 1.0 and -0.1"),
        (PADA, {"momentum": 1.5}, r"momentum must be in \[0, 1\], got 1.5"),
        (PADA, {"hidden": 0}, "hidden must be at least 1, got 0"),
        (PADA, {"trade_off": -1.0}, "trade_off must not be negative, got -1.0"),
        (OSBP, {"threshold": 1.0}, "threshold must be above 0 and below 1, got 1.0"),
        (ADDA, {"source_share": 1.0}, "source_share must be above 0 and below 1, got 1.0"),
        (ADDA, {"hidden": 0}, "hidden must be at least 1, got 0"),
        (ADDA, {"encoder_lr": 0.0}, "encoder_lr must be above 0, got 0.0"),
    ],
)
def test_wrong_options_are_refused(kind: type, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kind(**options)
