"""A saved model behind HTTP, one plate a request: `steelfast train`, then `python examples/serve.py`.

    python examples/serve.py steelfast-run/model.npz --port 8000
    curl http://127.0.0.1:8000/                                    # what the model wants to know of a plate
    curl http://127.0.0.1:8000/predict --data @plate.json          # {"X_Minimum": 42, "X_Maximum": 50, ...}

The answer is {"fault": "Bumps", "probabilities": {"Bumps": 0.83, ...}}. An error has a status of 400 or above and is
{"error": "..."}, with what came and what was wanted. Needs steelfast with scikit-learn, and Python's own HTTP server:
made for a network that you trust. It listens on this machine alone unless `--host` says otherwise.
"""

import argparse
import contextlib
import json
import math
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from steelfast import SteelClassifier
from steelfast.datasets import FEATURE_NAMES

MAX_BYTES = 100_000


class BadRequest(Exception):
    """What is wrong with a request, and the status that says so."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


class PlateHandler(BaseHTTPRequestHandler):
    server: "PlateServer"
    protocol_version = "HTTP/1.1"  # one connection for many plates
    timeout = 30  # seconds; for a client that falls silent
    disable_nagle_algorithm = True  # or each answer on a kept connection waits for 40 ms

    def do_GET(self) -> None:
        if self.path == "/":
            self.answer(HTTPStatus.OK, {"faults": self.server.faults, "features": self.server.features})
        elif self.path == "/predict":
            self.refuse(BadRequest("plates are sent with POST", HTTPStatus.METHOD_NOT_ALLOWED))
        else:
            self.refuse(BadRequest(f"nothing at {self.path}: there are / and /predict", HTTPStatus.NOT_FOUND))

    def do_POST(self) -> None:
        try:
            body = self.body()  # whole, or the rest of it would be taken for the next request
            if self.path != "/predict":
                raise BadRequest(f"nothing to POST to at {self.path}: plates go to /predict", HTTPStatus.NOT_FOUND)
            self.answer(HTTPStatus.OK, self.server.predict(body))
        except BadRequest as error:
            self.refuse(error)

    def body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self.close_connection = True
            raise BadRequest("the request must say its Content-Length", HTTPStatus.LENGTH_REQUIRED)
        if len(length) > 9 or int(length) > MAX_BYTES:
            self.close_connection = True
            raise BadRequest(
                f"a plate must fit in {MAX_BYTES} bytes, got {length:.20}", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            )
        return self.rfile.read(int(length))

    def refuse(self, error: BadRequest) -> None:
        self.answer(error.status, {"error": str(error)})

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library finds wrong with a request, as JSON too."""
        self.close_connection = True
        self.answer(HTTPStatus(code), {"error": message or HTTPStatus(code).phrase})

    def answer(self, status: HTTPStatus, content: object) -> None:
        body = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class PlateServer(ThreadingHTTPServer):
    """Any number of threads may predict with one model: nothing in it changes."""

    def __init__(self, address: tuple[str, int], model: SteelClassifier) -> None:
        names = getattr(model, "feature_names_in_", FEATURE_NAMES)  # of one that was fitted on plain rows the table's
        if len(names) != model.n_features_in_:
            raise ValueError(f"the model has {model.n_features_in_} features without names, wanted {len(names)}")
        self.model = model
        self.features = [str(name) for name in names]
        self.faults = [str(name) for name in model.classes_]
        super().__init__(address, PlateHandler)

    def predict(self, body: bytes) -> dict[str, object]:
        try:
            plate = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise BadRequest(f"the plate must be JSON: {error}") from None
        if not isinstance(plate, dict):
            raise BadRequest(f"the plate must be an object of names and numbers, got {type(plate).__name__}")
        if missing := [name for name in self.features if name not in plate]:
            raise BadRequest(f"the plate lacks {', '.join(missing)}")
        if unknown := [name for name in plate if name not in self.features]:
            raise BadRequest(f"the model knows no {', '.join(unknown):.200}")
        row = np.array([[as_number(name, plate[name]) for name in self.features]])
        [probs] = self.model.predict_proba(row, check_input=False)  # it is checked; what scikit-learn does takes longer
        return {
            "fault": self.faults[probs.argmax()],
            "probabilities": dict(zip(self.faults, probs.tolist(), strict=True)),
        }


def as_number(name: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            if math.isfinite(number := float(value)):
                return number
        except OverflowError:  # an integer beyond the range of float
            pass
    raise BadRequest(f"{name} must be a finite number, got {value!r:.60}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Answer what fault a plate has, over HTTP.")
    parser.add_argument("model", nargs="?", default="steelfast-run/model.npz", help="what `steelfast train` saved")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes any that is free")
    options = parser.parse_args()
    try:
        server = PlateServer((options.host, options.port), SteelClassifier.load(options.model))
    except (OSError, ValueError, OverflowError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    with server:
        host, port = server.server_address[:2]
        print(f"{options.model} answers at http://{host}:{port}/predict; Ctrl-C ends it", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
