"""Properties are about decisions, not about time: on a busy machine an example may take as long as it likes."""

from hypothesis import settings

settings.register_profile("policies", deadline=None)
settings.load_profile("policies")
