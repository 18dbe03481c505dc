"""Which cases do property tests try? The same ones each time, so that a red run is red again.

`HYPOTHESIS_PROFILE=default` draws new ones: to look for what nobody has thought of, not to judge a change.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, print_blob=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
