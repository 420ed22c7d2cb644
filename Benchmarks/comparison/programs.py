"""The programs that are compared, and what is needed to run them."""
import dataclasses
import pathlib
import shutil
import subprocess
import sys

from comparison import HERE, ROOT

OURS = "martlet"


@dataclasses.dataclass(frozen=True)
class Peer:
    script: str
    # A virtual environment, and what is installed into it.
    environment: str
    packages: tuple
    settings: str
    # Whether the time to the end of the first run is that of a compiler.
    compiles: bool = True


TENSORFLOW = ("tensorflow-cpu==2.21.0", "numpy==2.4.6")
TORCH = ("torch==2.13.0", "setuptools", "numpy==2.4.6")
JAX = ("jax==0.10.2", "jaxlib==0.10.2", "numpy==2.4.6")
ONNX = ("onnxruntime==1.32.0", "openvino==2026.4.1", "onnx==1.23.2", "numpy==2.4.6")

PEERS = {
    "tensorflow-session": Peer(
        "tensorflow_session.py", "tf", TENSORFLOW,
        "a graph of `tf.compat.v1` with constant weights, called through `Session.make_callable`"),
    "tensorflow-xla": Peer(
        "tensorflow_xla.py", "tf", TENSORFLOW, "`tf.function(jit_compile=True)`, weights in variables"),
    "jax-jit": Peer("jax_jit.py", "jax", JAX, "`jax.jit` of a whole step, parameters donated"),
    "torch-eager": Peer(
        "torch_eager.py", "torch", TORCH, "channels last, fused optimizers and attention", compiles=False),
    "torch-compile": Peer(
        "torch_compile.py", "torch", TORCH, "`torch.compile`, frozen where nothing is trained, without its caches"),
    "onnxruntime": Peer(
        "onnx_runtime.py", "ort", ONNX, "all graph optimizations, inputs and output bound to memory that is kept"),
    "openvino": Peer("openvino_latency.py", "ort", ONNX, "hint for latency, one stream, float32"),
    "numpy-openblas": Peer(
        "numpy_products.py", "torch", TORCH, "`numpy.matmul` into memory that is kept", compiles=False),
}


def python(environments, peer):
    """The interpreter of a peer's virtual environment, which is made if it is missing."""
    folder = environments / peer.environment
    interpreter = folder / "bin" / "python"
    if not interpreter.exists():
        print("compare: installing " + " ".join(peer.packages), file=sys.stderr)
        try:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([interpreter, "-m", "pip", "install", "-q", *peer.packages], check=True)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return str(interpreter)


def command_line_tool():
    """Martlet's, optimised."""
    swift = [str(ROOT / "Scripts" / "swift"), "build", "-c", "release", "--product", "martlet"]
    subprocess.run(swift, cwd=ROOT, check=True, stdout=sys.stderr)
    folder = subprocess.run(swift + ["--show-bin-path"], cwd=ROOT, check=True, capture_output=True, text=True)
    return str(pathlib.Path(folder.stdout.strip()) / "martlet")


def commands(args):
    """What runs workloads, by the program's name."""
    limits = ["--threads", str(args.threads), "--seconds", str(args.seconds)]
    result = {}
    for name in args.programs:
        if name == OURS:
            result[name] = [args.martlet or command_line_tool(), "bench", "--json", *limits]
        else:
            peer = PEERS[name]
            models = ["--models", str(args.environments / "models")]
            result[name] = [python(args.environments, peer), str(HERE / "peers" / peer.script), *limits, *models]
    return result
