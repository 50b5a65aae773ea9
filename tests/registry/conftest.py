"""As in tests/policies: on a busy machine an example of a property may take as long as it likes."""

from hypothesis import settings

settings.register_profile("registry", deadline=None)
settings.load_profile("registry")
