"""MLflow: a sealed model as a `pyfunc`. What MLflow keeps and moves is the sealed file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from modelkeep.bundle.access import IdentityLike
from modelkeep.errors import RuntimeMissingError, UsageError
from modelkeep.integrations.named_inputs import named_inputs
from modelkeep.integrations.opening import open_configured
from modelkeep.session import Session
from modelkeep.trust.bundle_verifier import BundleVerifier

try:
    import mlflow
    import mlflow.pyfunc
except ImportError as missing:
    raise RuntimeMissingError("mlflow is not installed", hint="pip install 'modelkeep[mlflow]'") from missing

_LOADER = "modelkeep.integrations.mlflow"
_REQUIREMENTS = ("modelkeep[onnx,mlflow]",)


class SealedModel:
    """What `mlflow.pyfunc.load_model` calls.

    Attributes:
        session: the open model.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def predict(self, model_input: Any, params: Any = None) -> dict[str, Any]:
        """Checks the inputs and runs the model; returns arrays by name.

        Args:
            model_input: arrays or lists by name, a DataFrame, or one array for the only input.
            params: there are none.

        Raises:
            InputError, UsageError, ExpiredError: see `Session.run`.
        """
        return self.session.run(named_inputs(model_input, self.session.contract))


def save_model(path: str | os.PathLike[str], bundle: str | os.PathLike[str], **details: Any) -> None:
    """Saves a sealed model as MLflow keeps models.

    Args:
        path: a new folder.
        bundle: the sealed file.
        details: of `mlflow.pyfunc.save_model`, for example `signature` and `pip_requirements`.

    Raises:
        UsageError: `bundle` is no file.
    """
    mlflow.pyfunc.save_model(os.fspath(path), **_loading(bundle), **details)


def log_model(bundle: str | os.PathLike[str], name: str, **details: Any) -> Any:
    """Logs a sealed model to the run that is active; returns MLflow's `ModelInfo`.

    Args:
        bundle: the sealed file.
        name: of the model.
        details: of `mlflow.pyfunc.log_model`, for example `registered_model_name`.

    Raises:
        UsageError: `bundle` is no file.
    """
    return mlflow.pyfunc.log_model(name=name, **_loading(bundle), **details)


def load_model(
    uri: str, *, identity: IdentityLike | None = None, verifier: BundleVerifier | None = None, **options: Any
) -> SealedModel:
    """Opens a model that MLflow keeps, by what is sealed alone: no code runs that lies beside it.

    `mlflow.pyfunc.load_model` runs whatever the model's folder names: whoever can write there decides.

    Args:
        uri: as MLflow writes it: ``models:/detector/3``, ``runs:/...``, a folder.
        identity: see `open_session`; by default as the settings say. So is `verifier`.
        verifier: whom to trust, and which model to accept.
        options: of `open_session`.

    Raises:
        KeepError: see `open_session`; UsageError where there is no sealed file, or several.
    """
    folder = Path(mlflow.artifacts.download_artifacts(uri))
    return SealedModel(open_configured(_sealed_file(folder), identity=identity, verifier=verifier, **options))


def _load_pyfunc(path: str) -> SealedModel:
    """What MLflow calls."""
    return SealedModel(open_configured(path))


def _loading(bundle: str | os.PathLike[str]) -> dict[str, Any]:
    if not Path(bundle).is_file():
        raise UsageError(f"{os.fspath(bundle)}: is no file", hint="seal the model into a file, not a folder")
    return {"loader_module": _LOADER, "data_path": os.fspath(bundle), "pip_requirements": [*_REQUIREMENTS]}


def _sealed_file(folder: Path) -> Path:
    found = sorted(path for path in (folder / "data").glob("*") if path.is_file())
    if len(found) != 1:
        raise UsageError(f"{folder}: no sealed model as `save_model` of modelkeep saves it")
    return found[0]
