"""Components that a wrapper defined do not outlive it."""

import subprocess
import sys

from haystack import component

from hayserve.wrappers.components import forget_components


def test_only_the_components_of_the_package_are_forgotten() -> None:
    component.registry["_hayserve_77_a.wrapper.Mine"] = object
    component.registry["_hayserve_77_ab.wrapper.Other"] = object
    try:
        forget_components("_hayserve_77_a")
        left = [name for name in component.registry if name.startswith("_hayserve_77_")]
        assert left == ["_hayserve_77_ab.wrapper.Other"]
    finally:
        forget_components("_hayserve_77_ab")


def test_haystack_is_not_loaded_for_it() -> None:
    code = (
        "import sys; from hayserve.wrappers.components import forget_components;"
        "forget_components('x'); sys.exit('haystack' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
