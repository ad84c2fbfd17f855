"""Kernels that have imported torch and seaborn before their notebook asks: forked from one process that has.

    with warm(environment) as environment:
        ... in it Jupyter knows a kernel "warm", or one of another name ...

Fifty notebooks would otherwise spend half of their time importing the same libraries. A kernel is
`warm_kernel.py CONNECTION_FILE`: it asks the server for a fork, passes signals on to it, and ends with it.
"""

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

NAME = "warm"
SOCKET = "WARM_KERNELS"  # the environment's name for where the server listens
LIBRARIES = ("ipykernel.kernelapp", "lasem_core.views.figures", "lasem_core.views.widgets")  # they bring the others


@contextmanager
def warm(environment, name=NAME):
    """`environment` and what a program needs in it to start these kernels while the context lasts."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "kernels" / name / "kernel.json"
        spec.parent.mkdir(parents=True)
        argv = [sys.executable, __file__, "{connection_file}"]
        spec.write_text(json.dumps({"argv": argv, "display_name": name, "language": "python"}))
        environment = environment | {"JUPYTER_PATH": folder, SOCKET: f"{folder}/server"}
        with subprocess.Popen([sys.executable, __file__], env=environment, stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout.readline() == b"ready\n", "the server of kernels did not start"
                yield environment
            finally:
                server.terminate()


def serve():
    """Fork a kernel for everybody who connects."""
    for name in LIBRARIES:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # kernels that have ended leave nothing behind
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.environ[SOCKET])
        listener.listen()
        print("ready", flush=True)
        while True:
            client, _ = listener.accept()
            if not os.fork():
                listener.close()
                become_kernel(client)
            client.close()


def become_kernel(client):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asked = json.loads(client.makefile().readline())
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.environ.pop("JPY_PARENT_PID", None)  # it is not the parent of a fork
    os.chdir(asked["folder"])
    client.sendall(f"{os.getpid()}\n".encode())
    threading.Thread(target=lambda: client.recv(1) or os._exit(0), daemon=True).start()  # whoever asked has ended
    try:
        from ipykernel.kernelapp import IPKernelApp

        IPKernelApp.launch_instance(argv=["-f", asked["file"]])
    finally:
        os._exit(0)


def ask(file):
    """Be the process that Jupyter started: as long-lived as the kernel."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(os.environ[SOCKET])
        asked = {"file": file, "folder": str(Path.cwd()), "environment": dict(os.environ)}
        server.sendall(json.dumps(asked).encode() + b"\n")
        answer = server.makefile()
        kernel = int(answer.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(kernel, number))
        answer.read()


if __name__ == "__main__":
    ask(sys.argv[1]) if len(sys.argv) > 1 else serve()
