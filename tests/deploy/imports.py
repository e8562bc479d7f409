"""What a built function's import takes in Lambda's Python: milliseconds, modules and packages."""

import json
import os
import subprocess
from dataclasses import dataclass

from tests.budgets import Imports
from tests.deploy import sam
from tests.deploy.deployed import Deployed

OURS = ("avatars", "facet", "migrations")
CHILD = """
import json, sys, time
opt, ours = sys.argv[1], sys.argv[2:]
before, begun = len(sys.modules), time.perf_counter()
import handler
took = time.perf_counter() - begun
files = {name.partition(".")[0]: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
packages = sorted(name for name, file in files.items() if file.startswith(opt) and name not in ours)
print(json.dumps([took * 1000, len(sys.modules) - before, packages]))
"""


@dataclass(frozen=True)
class Timed:
    ms: float
    imports: Imports


def imports_of(deployed: Deployed, name: str) -> Timed:
    """Raises ImportError with what the import printed."""
    spec, opt = deployed.template.functions[name], deployed.opt[name] / "python"
    environment = {**spec.environment, "PYTHONPATH": os.pathsep.join((str(spec.code), str(opt)))}
    command = [str(sam.LAMBDA_PYTHON), "-P", "-B", "-c", CHILD, str(opt), *OURS]
    done = subprocess.run(command, env=environment, cwd=opt, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImportError(f"the built {name} cannot be imported:\n{done.stderr}")
    ms, modules, packages = json.loads(done.stdout)
    return Timed(ms, Imports(modules, tuple(packages)))
