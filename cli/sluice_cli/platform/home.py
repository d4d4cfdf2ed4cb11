"""The folder in which one platform lives: data, logs, records of running parts, secrets."""

import secrets
from dataclasses import dataclass
from pathlib import Path

SECRET_NAMES = ("SLUICE_ADMIN_KEY", "SLUICE_SERVICE_SECRET", "SLUICE_GATEWAY_KEY_PEPPER")
API_KEY = "SLUICE_API_KEY"


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one folder."""

    root: Path

    @property
    def data(self) -> Path:
        """Databases, vectors, journals, blobs."""
        return self.root / "data"

    @property
    def logs(self) -> Path:
        """One log per part."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """One record per running part."""
        return self.root / "run"

    @property
    def traces(self) -> Path:
        """Traces as OTLP JSON lines."""
        return self.root / "traces"

    @property
    def secrets_file(self) -> Path:
        """Generated secrets, readable by the owner only."""
        return self.root / "secrets.env"

    def prepare(self) -> None:
        """Make the folders; other users of the machine cannot look into them."""
        self.root.mkdir(parents=True, exist_ok=True)
        for folder in (self.data, self.logs, self.run, self.traces):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)

    def read_secrets(self) -> dict[str, str]:
        """Return the stored secrets by name; none when there is no file yet."""
        if not self.secrets_file.exists():
            return {}
        lines = self.secrets_file.read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    def ensure_secrets(self) -> dict[str, str]:
        """Return the secrets, making those that are missing."""
        found = self.read_secrets()
        missing = {name: secrets.token_urlsafe(32) for name in SECRET_NAMES if name not in found}
        if missing:
            self.store_secrets(missing)
        return found | missing

    def store_secrets(self, values: dict[str, str]) -> None:
        """Add secrets to the file, which only the owner can read; written whole, so that a crash leaves the old one."""
        merged = self.read_secrets() | values
        text = "# Made by `sluice up`. Keep it out of version control.\n"
        text += "".join(f"{name}={value}\n" for name, value in sorted(merged.items()))
        fresh = self.secrets_file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.secrets_file)
