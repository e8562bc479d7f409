"""The functions that `sam build` built, under AWS's own runtime, in processes that find nothing else."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from local.edge.runtime_api import Program, RuntimeSandbox
from local.invocation import Invocation
from local.invoker import Invoker
from local.sandbox.variables import lambda_environment
from local.template.spec import FunctionSpec
from local.testing import Local
from tests.deploy import sam


class LambdaSandbox(RuntimeSandbox):
    """Its folder stands for /var/task, what its layers make together for /opt; both are read only, as in Lambda."""

    opt: ClassVar[Mapping[str, Path]]
    elsewhere: ClassVar[Path]

    @classmethod
    def program(cls, spec: FunctionSpec, role: Mapping[str, str]) -> Program:
        path = os.pathsep.join((str(spec.code), str(cls.opt[spec.name] / "python")))
        environment = lambda_environment(spec, role)
        environment |= {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.13", "PYTHONPATH": path}
        command = (str(sam.LAMBDA_PYTHON), "-P", "-B", "-m", "awslambdaric", spec.handler)
        return Program(command, environment, cls.elsewhere)


class Failed(AssertionError):
    """A function failed; the text is its log."""


class Deployed(Local):
    """Layers are put together in `folder`, as Lambda puts them into /opt."""

    def __init__(self, build: Path, folder: Path, *, settings: Mapping[str, str]) -> None:
        super().__init__(build / "template.yaml", mode="sandbox", settings=settings)
        self.finished: list[Invocation] = []
        self.said: list[str] = []
        merged: dict[tuple[Path, ...], Path] = {}
        for spec in self.template.functions.values():
            if spec.layers not in merged:
                merged[spec.layers] = together(spec.layers, folder / f"opt-{len(merged)}")
        self.opt = {name: merged[spec.layers] for name, spec in self.template.functions.items()}
        self._elsewhere = folder

    def invoke(self, name: str, event: Mapping[str, object] | bytes = b"{}") -> Invocation:
        """Raises Failed."""
        done = super().invoke(name, event)
        if done.function_error:
            raise Failed(f"{name}: {done.payload.decode()}\n{done.log}")
        return done

    def recycle(self, name: str) -> None:
        """The next invocation starts a process."""
        invoker = self._invoker
        assert isinstance(invoker, Invoker)

        async def recycle() -> None:
            invoker.recycle(name)

        self.complete(recycle)

    def _sandboxes(self, logs: Path) -> Invoker:
        class OfThisBuild(LambdaSandbox):
            opt, elsewhere = self.opt, self._elsewhere

        report, on_invocation = self.said.append, self.finished.append
        return Invoker(
            self.template, logs=logs, limits="lambda", runtime=OfThisBuild, report=report, on_invocation=on_invocation
        )


def together(layers: tuple[Path, ...], opt: Path) -> Path:
    """What layers are in /opt. Raises Failed where one would change a file of another."""
    for python in layers:
        for source in (path for path in python.rglob("*") if path.is_file()):
            target = opt / "python" / source.relative_to(python)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.hardlink_to(source)
            elif target.read_bytes() != source.read_bytes():
                raise Failed(f"{source} differs from the same file of another layer")
    return opt
