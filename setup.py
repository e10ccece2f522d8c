"""The one thing that setup.cfg cannot say: the folder configs/ is the package kfold_hs.configs.

A link from one to the other would not survive a checkout on Windows.
"""

from setuptools import find_namespace_packages, setup

_GROUPS = [f"kfold_hs.configs.{name}" for name in find_namespace_packages("configs")]
setup(
    packages=[*find_namespace_packages(include=["kfold_hs*"]), "kfold_hs.configs", *_GROUPS],
    package_dir={"kfold_hs.configs": "configs"},
)
