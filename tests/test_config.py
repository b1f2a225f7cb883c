"""Settings: defaults, unknown names, values that do not fit."""

import pytest

import coflect_widget as coflect


def test_defaults_are_those_of_the_docs():
    config = coflect.Config()
    gates = config.forecast.gates
    assert (config.forecast_every, config.xai_every, config.forecast.top) == (20, 100, 10)
    assert (gates.warmup_epochs, gates.above_chance, gates.plateau_epochs) == (5, 0.15, 4)
    assert (gates.plateau_delta, gates.min_error, gates.overlap) == (0.005, 0.08, 0.60)
    assert (gates.overlap_rankings, gates.cooldown_epochs) == (3, 3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sed": 1}, r"config\['sed'\] is not a setting; did you mean 'seed'\?"),
        ({"forecast": {"tpo": 5}}, r"did you mean 'top'\?"),
        ({"forecast": {"gates": {"warmup": 1}}}, r"did you mean 'warmup_epochs'\?"),
        ({"seed": -1}, r"config\['seed'\] = -1: .*greater than or equal to 0"),
        ({"guidance": {"strength": 1.5}}, r"config\['guidance'\]\['strength'\] = 1\.5"),
        ({"attribution": {"budget": float("nan")}}, r"config\['attribution'\]\['budget'\]"),
    ],
)
def test_a_wrong_setting_is_named_with_the_remedy(values, words):
    with pytest.raises(ValueError, match=words):
        coflect.Config.from_mapping(values)


def test_a_wrong_name_given_to_config_itself_is_answered_too():
    with pytest.raises(ValueError, match="did you mean 'seed'"):
        coflect.Config(sede=1)


def test_config_of_another_type_is_refused():
    with pytest.raises(TypeError, match="mapping"):
        coflect.Config.from_mapping(3)
