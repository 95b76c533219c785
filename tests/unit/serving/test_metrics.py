from tests.serving_parts import Shelf, bundle, parts


def gauges(shelf: Shelf) -> list[str]:
    printed = parts(shelf).metrics.render().decode()
    wanted = ("bookrec_model_info{", "bookrec_data_quality_score{")
    return [line for line in printed.splitlines() if line.startswith(wanted)]


def test_the_score_of_the_batch_behind_the_model_in_service_is_told(shelf: Shelf):
    shelf.publish(bundle(), data_quality_score="97.25")
    version = shelf.publish(bundle(), data_quality_score="88.5")
    assert gauges(shelf) == [
        f'bookrec_model_info{{alias="champion",version="{version}"}} 1.0',
        f'bookrec_data_quality_score{{version="{version}"}} 88.5',
    ]


def test_a_version_without_a_score_has_none(shelf: Shelf):
    version = shelf.publish(bundle())
    assert gauges(shelf) == [f'bookrec_model_info{{alias="champion",version="{version}"}} 1.0']


def test_without_a_model_there_is_nothing_to_tell(shelf: Shelf):
    assert gauges(shelf) == []
