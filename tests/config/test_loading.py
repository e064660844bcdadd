"""Configuration: what is refused, with which line, and that nothing but a sentence ever comes out of a bad file."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.loading import ConfigError, default_dir, load
from config.settings import PROFILES, OrderLimits, Profile, Settings, digest


def problems(folder: Path, text: str) -> list[str]:
    (folder / "risk_settings.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(folder)
    return [line.replace(f"{folder}/", "") for line in caught.value.problems]


def test_the_shipped_files_say_every_default_out_loud() -> None:
    assert load() == Settings()
    written = "\n".join(file.read_text() for file in default_dir().glob("*.yaml"))
    for section in ("server", "simulator", "feed", "ai_engine", "strategy_brain", "order_limits", "exit_brain"):
        for field in type(getattr(Settings(), section)).model_fields:
            assert re.search(rf"^ +{field}:", written, re.MULTILINE), f"{section}.{field} is not in the shipped files"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "profile: MICRO\n\norder_limits:\n  max_leverage: 20\n",
            ["risk_settings.yaml:4 order_limits.max_leverage: 20 exceeds profile MICRO's 1"],
        ),
        (
            "order_limits:\n  max_leverage: 1\n  max_leverage: 20\n",
            [
                'risk_settings.yaml:3 duplicate key "max_leverage"; one of the two has to go, '
                "nobody can say which counts"
            ],
        ),
        (
            "order_limits:\n  max_positons: 1\n",
            ["risk_settings.yaml:2 order_limits.max_positons: unknown field; did you mean max_positions?"],
        ),
        ("orderlimits: {}\n", ["risk_settings.yaml:1 orderlimits: unknown field; did you mean order_limits?"]),
        (
            "profile: MICR0\n",
            [
                'risk_settings.yaml:1 profile: "MICR0": input should be '
                "'MICRO', 'SMALL' or 'FULL'; did you mean MICRO?"
            ],
        ),
        (
            "server: {http_port: yes}\n",
            ['risk_settings.yaml:1 server.http_port: "yes": input should be a valid integer'],
        ),
        (
            "server: {http_port: true}\n",
            ["risk_settings.yaml:1 server.http_port: true: input should be a valid integer"],
        ),
        (
            "server:\n  http_port: 70000\n",
            ["risk_settings.yaml:2 server.http_port: 70000: input should be less than or equal to 65535"],
        ),
        (
            "order_limits:\n  risk_per_trade: true\n",
            ["risk_settings.yaml:2 order_limits.risk_per_trade: true: must be a number, not yes or no"],
        ),
        (
            "order_limits:\n  day_loss_limit: .inf\n",
            ["risk_settings.yaml:2 order_limits.day_loss_limit: Infinity: input should be a finite number"],
        ),
        (
            "feed:\n  book_stale_after_s: .nan\n",
            ["risk_settings.yaml:2 feed.book_stale_after_s: NaN: input should be a finite number"],
        ),
        (
            "accounts:\n- name: main\n  venue: kraken\n",
            ["risk_settings.yaml:3 accounts[0].venue: kraken is not among the venues (binance, binanceusdm)"],
        ),
        (
            "venues:\n- id: binanceusdm\n  product: usdm\n  symbols: [BTC/USDT]\n",
            ["risk_settings.yaml:4 venues[0].symbols[0]: BTC/USDT is not a usdm symbol; those read like BTC/USDT:USDT"],
        ),
        ("feed: [1\n", ["risk_settings.yaml:2 not valid YAML: expected ',' or ']', but got '<stream end>'"]),
        ("- feed\n", ["risk_settings.yaml:1 a list or a word; a configuration file holds sections (name: values)"]),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_wrong_file_is_refused_with_line_path_and_remedy(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert problems(tmp_path, text) == expected


def test_no_option_is_without_a_user() -> None:
    house = Path(__file__).resolve().parents[2]
    users = "\n".join((house / name).read_text() for name in ("actors/tree.py", "ops/prepare.py", "ops/up.py"))
    for name in Settings.model_fields:
        for field in getattr(type(getattr(Settings(), name)), "model_fields", {}):
            assert re.search(rf"\.{field}\b", users), f"{name}.{field} changes nothing"


def test_every_fault_of_every_section_is_reported_at_once(tmp_path: Path) -> None:
    text = "server: {http_port: -1}\nfeed: {x: 1}\nai_engine: {quorum: 9}\norder_limits: {max_positions: 3}\n"
    assert [re.split("[ :]", line)[2] for line in problems(tmp_path, text)] == [
        "server.http_port",
        "feed.x",
        "ai_engine.quorum",
        "order_limits.max_positions",
    ]


def test_a_section_in_two_files_is_refused_naming_both(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("feed: {}\n")
    (tmp_path / "b.yaml").write_text("\nfeed: {}\n")
    with pytest.raises(ConfigError, match=r"b\.yaml:2 feed: this section already stands in .*a\.yaml:1"):
        load(tmp_path)


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"no \*\.yaml file"):
        load(tmp_path)


def test_aliases_of_aliases_cannot_eat_the_memory(tmp_path: Path) -> None:
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    assert "more than 20000 values" in problems(tmp_path, bomb)[0]


def test_the_command_line_wins_and_is_named_when_it_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "server.yaml").write_text("server:\n  http_port: 8000\n")
    assert load(tmp_path, overrides={"server.http_port": 9000, "simulator.seed": None}).server.http_port == 9000
    with pytest.raises(ConfigError, match=r"\(command line\) server\.http_port: 99999"):
        load(tmp_path, overrides={"server.http_port": 99999})


def test_money_is_what_the_file_says_and_not_its_binary_neighbour(tmp_path: Path) -> None:
    (tmp_path / "risk.yaml").write_text("order_limits: {risk_per_trade: 0.0017, max_order_notional: 1e2}\n")
    limits = load(tmp_path).order_limits
    assert (limits.risk_per_trade, limits.max_order_notional) == (Decimal("0.0017"), Decimal(100))


@given(data=st.data())
def test_no_limit_above_the_profile_is_ever_accepted(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    profile = data.draw(st.sampled_from(PROFILES))
    name = data.draw(st.sampled_from(sorted(Profile.model_fields)))
    value = data.draw(st.integers(0, 10**6) | st.floats(0, 1e6).map(lambda number: round(number, 6)))
    folder = tmp_path_factory.mktemp("config")
    (folder / "r.yaml").write_text(f"profile: {profile}\norder_limits: {{{name}: {value}}}\n")
    ceiling = getattr(Settings().profiles[profile], name)
    try:
        accepted = load(folder)
    except ConfigError:
        return
    assert getattr(accepted.order_limits, name) <= ceiling


@given(text=st.text(max_size=200) | st.text(alphabet="ab: -[]{}\n&*!|>'\"#,?%", max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_any_text_gives_settings_or_sentences(tmp_path: Path, text: str) -> None:
    (tmp_path / "any.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    found: list[str] = []
    try:
        load(tmp_path)
    except ConfigError as error:
        found = error.problems or ["refused without a reason"]
    assert all("any.yaml" in problem for problem in found)


def test_the_digest_changes_with_behaviour_and_only_with_behaviour() -> None:
    plain = load()
    assert digest(plain) == digest(load(overrides={"server.home": "/elsewhere"}))
    assert digest(plain) == digest(plain.model_copy(update={"order_limits": OrderLimits(max_leverage=Decimal("1.0"))}))
    assert digest(plain) != digest(load(overrides={"simulator.seed": 8}))


def test_bases_with_two_products_are_compared() -> None:
    assert load().bases() == ("BTC", "ETH", "SOL")
