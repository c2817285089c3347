"""Kernels that begin with the large packages loaded: forks of one process that has imported them, `python kernels.py`.

`python kernels.py OPTIONS` is JupyterLab with such kernels.

Each notebook still has a kernel of its own, but what all of them load is loaded once. Packages are left out that ask
at their import whether they are in a kernel, and lixlib, whose imports the notebooks are to show.
"""

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

TORCH = ("torch", "torch._dynamo", "kornia.augmentation", "lightning_fabric")
PACKAGES = (*TORCH, "scipy.stats", "pandas", "matplotlib.pyplot", "ipykernel.kernelapp")
LAUNCH = "jupyter_client.provisioning.local_provisioner.launch_kernel"


@contextmanager
def forked() -> Iterator[None]:
    """Jupyter's kernels are forks, as long as this lasts."""
    command = [sys.executable, __file__]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as server:

        def ask(**request):
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            return json.loads(server.stdout.readline())

        def launch(command, *, env, cwd=None, **_):
            assert command[1:3] == ["-m", "ipykernel_launcher"], command
            return Fork(ask, ask(words=command[2:], env=env, cwd=os.path.abspath(cwd or ".")))

        with patch(LAUNCH, launch):
            yield
        server.stdin.close()  # it ends


class Fork:
    """A kernel as Jupyter sees it, like `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, ask, pid: int):
        self.ask, self.pid, self.returncode = ask, pid, None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.ask(ended=self.pid)
        return self.returncode

    def wait(self) -> int:
        while self.poll() is None:
            time.sleep(0.02)
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def serve() -> None:
    """Read requests from stdin, one a line, and answer on stdout, until stdin is closed."""
    gc.disable()
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # matplotlib asks for it when imported
    for name in PACKAGES:
        importlib.import_module(name)
    gc.freeze()  # no kernel looks for garbage in what all of them share
    gc.enable()
    os.fsync = os.fstat  # as in conftest.py
    for line in sys.stdin:
        request = json.loads(line)
        if "ended" in request:
            pid, status = os.waitpid(request["ended"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                return kernel(**request)
            os.setpgid(answer, answer)  # Jupyter sends signals to the group
        print(json.dumps(answer), flush=True)


def kernel(words: list[str], env: dict[str, str], cwd: str) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.environ.clear()
    os.environ.update(env, JPY_PARENT_PID=str(os.getppid()))  # whose end is the kernel's
    os.chdir(cwd)
    sys.argv = words
    from ipykernel import kernelapp

    kernelapp.launch_new_instance()


if __name__ == "__main__":
    del sys.path[0]  # the folder of this file
    if options := sys.argv[1:]:
        from jupyterlab.labapp import main

        with forked():
            main(options)
    else:
        serve()
