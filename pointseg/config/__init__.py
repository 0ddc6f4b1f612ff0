"""Configuration: strict typed models, YAML layers that are laid over one another, and messages that help.

Stands alone: it imports nothing else of pointseg, and neither torch nor numpy.
"""

from pointseg.config.layers import merge
from pointseg.config.load import changed, dump_config, load_config
from pointseg.config.model import Config, ConfigError

__all__ = ["Config", "ConfigError", "changed", "dump_config", "load_config", "merge"]
