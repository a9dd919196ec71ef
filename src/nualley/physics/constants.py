"""Constants of nature, each with its source."""

from typing import Final

ELEMENTARY_CHARGE_C: Final = 1.602176634e-19
"""Elementary charge [C]; exact by definition. Source: SI brochure, 9th edition (2019), section 2.2; CODATA 2018."""

JOULE_PER_MEV: Final = 1.602176634e-13
"""One MeV [J]; exact, from the elementary charge."""

JOULE_PER_GWH: Final = 3.6e12
"""One GWh [J]; exact."""

PION_LIFETIME_NS: Final = 26.033
"""Mean life of the charged pion [ns], +- 0.005. Source: Particle Data Group, Review of Particle Physics (2022)."""

MUON_LIFETIME_NS: Final = 2196.9811
"""Mean life of the muon [ns], +- 0.0022. Source: Particle Data Group, Review of Particle Physics (2022)."""
