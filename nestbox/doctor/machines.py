"""What only the agent knows: does KVM work, how isolated are machines, which jail can this computer build."""

import json
import os
import subprocess
import sys

from nestbox.doctor.finding import Finding, Verdict
from nestbox.settings import PROJECT_ROOT, Settings
from nestbox.setup.environment import Environment

# It boots a guest on KVM, and waits for it as long as a slow computer needs.
PROBE_DEADLINE_SECONDS = 180
