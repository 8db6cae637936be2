"""tltool: a config-driven experiment runner for transfer learning."""

__version__ = "0.1.0"
