"""The experiment repository: read, checked with every mistake at once, and joined into one configuration."""

from nualley.config.configuration import Configuration
from nualley.config.errors import ConfigurationErrors, FolderNotEmptyError, NoExperimentError
from nualley.config.files import KINDS
from nualley.config.mistakes import Mistake
from nualley.config.service import check, check_files, find_experiment, left_out, load, repository_of, schemas
from nualley.config.settings import WebSettings
from nualley.config.template import write_template

__all__ = [
    "KINDS",
    "Configuration",
    "ConfigurationErrors",
    "FolderNotEmptyError",
    "Mistake",
    "NoExperimentError",
    "WebSettings",
    "check",
    "check_files",
    "find_experiment",
    "left_out",
    "load",
    "repository_of",
    "schemas",
    "write_template",
]
